/** Whoever is refused a workspace's files may ask for a role; whoever may give one is told, and answers. */
import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  Dialog,
  ICommandPalette,
  InputDialog,
  Notification,
  showDialog
} from '@jupyterlab/apputils';
import { Contents, ServerConnection } from '@jupyterlab/services';
import { ITranslator, TranslationBundle } from '@jupyterlab/translation';
import { usersIcon } from '@jupyterlab/ui-components';

import { AskingModel, keyOf, placeOf } from '../asking';
import { CommandIDs } from '../commandIds';
import { brief } from '../format';
import { WorkspacesModel } from '../model';
import { report } from '../notices';
import { GivenRole, roleName } from '../people';
import { IAccessRequest, PeopleApi } from '../peopleApi';
import { textsOf } from '../texts';
import { IAsking, IWorkspaces } from '../tokens';

const ASKED_FOR: GivenRole[] = ['viewer', 'runner', 'editor'];

interface IParts {
  app: JupyterFrontEnd;
  model: WorkspacesModel;
  asking: AskingModel;
  trans: TranslationBundle;
  /** By workspace folder, the deepest path that was refused: a folder that is restored is not what she came for. */
  wanted: Map<string, string>;
}

export const asking: JupyterFrontEndPlugin<AskingModel> = {
  id: 'syla-jupyter:asking',
  description: 'Asks for roles in Syla workspaces, and answers who asks.',
  autoStart: true,
  requires: [IWorkspaces],
  optional: [ITranslator, ICommandPalette],
  provides: IAsking,
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    translator: ITranslator | null,
    palette: ICommandPalette | null
  ) => {
    const trans = textsOf(translator);
    const found = new AskingModel(model, new PeopleApi(model.api.settings));
    const parts: IParts = {
      app,
      model,
      asking: found,
      trans,
      wanted: new Map()
    };
    app.commands.addCommand(CommandIDs.ask, {
      label: trans.__('Ask for Access to a Workspace…'),
      caption: trans.__('Ask those who share a workspace for a role in it'),
      icon: usersIcon,
      describedBy: {
        args: {
          type: 'object',
          properties: {
            path: {
              type: 'string',
              description: 'Of a file or folder in a workspace'
            }
          }
        }
      },
      execute: args => ask(parts, String(args['path'] ?? ''))
    });
    palette?.addItem({
      command: CommandIDs.ask,
      category: trans.__('Syla Workspaces')
    });
    offerWhereRefused(parts);
    tellOwners(parts);
    tellAnswers(parts);
    return found;
  }
};

/** A file or folder was not to be had: once for each workspace, it is offered to ask. */
function offerWhereRefused(parts: IParts): void {
  const { app, model, asking, wanted } = parts;
  const { contents } = app.serviceManager;
  const offered = new Set<string>();
  const get = contents.get.bind(contents);
  const refused = (path: string, reason: unknown): void => {
    const local = contents.localPath(path);
    const place = placeOf(local);
    if (
      !(reason instanceof ServerConnection.ResponseError) ||
      reason.response.status !== 403 ||
      !place ||
      model.at(`workspaces/${place}`)
    ) {
      return;
    }
    if (local.length > (wanted.get(place) ?? '').length) {
      wanted.set(place, local);
    }
    if (!asking.hasAsked(place) && !offered.has(place)) {
      offered.add(place);
      void ask(parts, local);
    }
  };
  contents.get = async (
    path: string,
    options?: Contents.IFetchOptions
  ): Promise<Contents.IModel> => {
    try {
      return await get(path, options);
    } catch (reason) {
      await model.known;
      refused(path, reason); // before JupyterLab says so: dialogs come one after the other
      throw reason;
    }
  };
}

async function ask(parts: IParts, path: string): Promise<void> {
  const { asking, trans, wanted } = parts;
  const place = placeOf(path);
  const names = ASKED_FOR.map(role => roleName(role, trans));
  const chosen = await InputDialog.getItem({
    title: place
      ? trans.__('You have no access to “%1”', place)
      : trans.__('Ask for access'),
    label: trans.__('Ask those who share it for a role:'),
    items: names,
    okLabel: trans.__('Ask for Access')
  });
  const role = ASKED_FOR[names.indexOf(chosen.value ?? '')];
  if (!chosen.button.accept || !role) {
    return;
  }
  const called =
    place ||
    (await InputDialog.getText({ title: trans.__('Which workspace?') })).value;
  if (called) {
    try {
      await asking.ask(called, role, wanted.get(place) ?? path);
      Notification.info(
        brief(
          trans.__(
            'Asked for access to %1. You are told when answered.',
            called
          )
        ),
        { autoClose: 10_000 }
      );
    } catch (reason) {
      await report(trans.__('Ask for Access'), reason, trans);
    }
  }
}

/** A notice for each who asks, for as long as he waits. */
function tellOwners(parts: IParts): void {
  const { asking, model, trans } = parts;
  const notes = new Map<string, string>();
  asking.asked.connect((_, request) => {
    const name = model.find(request.workspace)?.name ?? request.workspace;
    const answer = async (deed: Promise<void>): Promise<void> => {
      try {
        await deed;
      } catch (reason) {
        await report(trans.__('Access to %1', name), reason, trans);
      }
    };
    const note = Notification.info(
      brief(
        trans.__('%1 asks to use %2 as %3.', request.user, name, request.role)
      ),
      {
        autoClose: false,
        actions: [
          {
            label: trans.__('Grant…'),
            displayType: 'accent',
            callback: event => {
              event.preventDefault(); // it goes when it is answered
              void grant(parts, request, name, answer);
            }
          },
          {
            label: trans.__('Refuse'),
            displayType: 'warn',
            callback: () => void answer(asking.refuse(request))
          }
        ]
      }
    );
    notes.set(keyOf(request), note);
  });
  asking.changed.connect(() => {
    const waiting = new Set(asking.waiting.map(keyOf));
    for (const [key, note] of notes) {
      if (!waiting.has(key)) {
        notes.delete(key);
        Notification.dismiss(note);
      }
    }
  });
}

async function grant(
  { asking, trans }: IParts,
  request: IAccessRequest,
  name: string,
  answer: (deed: Promise<void>) => Promise<void>
): Promise<void> {
  const names = ASKED_FOR.map(role => roleName(role, trans));
  const chosen = await InputDialog.getItem({
    title: trans.__('Let %1 use %2', request.user, name),
    label: trans.__('Role'),
    items: names,
    current: ASKED_FOR.indexOf(request.role),
    okLabel: trans.__('Grant')
  });
  const role = ASKED_FOR[names.indexOf(chosen.value ?? '')];
  if (chosen.button.accept && role) {
    await answer(asking.grant(request, role));
  }
}

function tellAnswers({ app, asking, trans }: IParts): void {
  asking.answered.connect((_, { called, workspace, path }) => {
    if (!workspace) {
      void showDialog({
        title: trans.__('No access to %1', called),
        body: trans.__('Your question was answered with no.'),
        buttons: [Dialog.okButton()]
      });
      return;
    }
    Notification.success(
      brief(trans.__('You may use %1 now.', workspace.name)),
      {
        autoClose: false,
        actions: [
          {
            label: trans.__('Open'),
            callback: () =>
              void app.commands.execute('filebrowser:open-path', {
                path: path || (workspace.path ?? '')
              })
          }
        ]
      }
    );
  });
}

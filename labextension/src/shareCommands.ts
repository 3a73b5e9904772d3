/** What a person can do about who uses a workspace. */
import {
  Dialog,
  InputDialog,
  Notification,
  showDialog
} from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import { usersIcon } from '@jupyterlab/ui-components';

import { IWorkspace } from './api';
import { AskingModel } from './asking';
import { CommandIDs } from './commandIds';
import { openFolder } from './commands';
import { addWorkspaceCommand, IContext } from './workspaceCommand';
import { SharingView } from './components/SharingView';
import { leaveIcon } from './icons';
import { JOIN_PAGE } from './invited';
import { goOut } from './leaving';
import { report, withProgress } from './notices';
import { secretIn } from './people';
import { PeopleApi } from './peopleApi';
import { SharingModel } from './sharing';

export function addShareCommands(context: IContext, asking: AskingModel): void {
  const { app, model, trans } = context;
  const people = new PeopleApi(model.api.settings);

  addWorkspaceCommand(context, {
    id: CommandIDs.share,
    label: trans.__('Share Workspace…'),
    icon: usersIcon,
    needs: 'read',
    possible: one => one.state !== 'deleted',
    action: one => share(context, people, asking, one)
  });
  addWorkspaceCommand(context, {
    id: CommandIDs.leave,
    label: trans.__('Leave Workspace…'),
    icon: leaveIcon,
    needs: 'read',
    possible: one => model.role(one) !== 'owner',
    action: one => leave(context, people, one)
  });
  app.commands.addCommand(CommandIDs.join, {
    label: trans.__('Join Workspace by Invitation…'),
    caption: trans.__('Become a member of a workspace by an invitation link'),
    icon: usersIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          secret: { type: 'string', description: 'Of the invitation' }
        }
      }
    },
    execute: async args => {
      const secret =
        typeof args['secret'] === 'string'
          ? args['secret']
          : await askSecret(context);
      if (secret) {
        await join(context, people, secret);
      }
    }
  });
}

async function askSecret({ trans }: IContext): Promise<string> {
  const result = await InputDialog.getText({
    title: trans.__('Join a Workspace'),
    label: trans.__('Invitation link'),
    okLabel: trans.__('Join')
  });
  return result.button.accept ? secretIn(result.value ?? '') : '';
}

async function join(
  context: IContext,
  people: PeopleApi,
  secret: string
): Promise<void> {
  const { app, model, trans } = context;
  try {
    const joined = await withProgress(
      people.join(secret),
      trans.__('Joining…')
    );
    await model.refresh();
    const workspace = model.find(joined.workspace);
    Notification.success(
      trans.__(
        'You are a member of %1 now: %2.',
        workspace?.name ?? joined.workspace,
        joined.role
      ),
      { autoClose: 10_000 }
    );
    if (workspace) {
      await openFolder(context, workspace);
    }
    await app.commands.execute(CommandIDs.show);
  } catch (reason) {
    await report(trans.__('Join a Workspace'), reason, trans);
  }
}

async function leave(
  context: IContext,
  people: PeopleApi,
  workspace: IWorkspace
): Promise<void> {
  const { model, trans } = context;
  const byLink = model.byLink(workspace);
  const result = await showDialog({
    title: trans.__('Leave %1?', workspace.name),
    body: byLink
      ? trans.__(
          'It goes from your list. Its link brings it back for as long as it is open to all.'
        )
      : trans.__('You come back only when somebody shares it with you again.'),
    buttons: [
      Dialog.cancelButton(),
      Dialog.warnButton({ label: trans.__('Leave') })
    ],
    defaultButton: 0
  });
  if (result.button.accept) {
    if (byLink) {
      await goOut(context, workspace);
    }
    await people.take(workspace.id, 'user', model.me);
    await model.refresh();
  }
}

/** In it Enter sends what was typed, and does not close it. */
class SharingDialog extends Dialog<void> {
  handleEvent(event: Event): void {
    const typed =
      event.type === 'keydown' &&
      (event as KeyboardEvent).key === 'Enter' &&
      event.target instanceof HTMLElement &&
      !event.target.closest('.jp-Dialog-footer');
    if (!typed) {
      super.handleEvent(event);
    }
  }
}

async function share(
  { model, trans }: IContext,
  people: PeopleApi,
  asking: AskingModel,
  workspace: IWorkspace
): Promise<void> {
  const labUrl = URLExt.join(model.api.settings.baseUrl, JOIN_PAGE);
  await new SharingDialog({
    title: trans.__('Share %1', workspace.name),
    body: new SharingView({
      sharing: new SharingModel(model, people, asking, workspace.id),
      labUrl,
      trans
    }),
    buttons: [Dialog.okButton({ label: trans.__('Close') })],
    hasClose: true
  }).launch();
  await model.refresh();
}

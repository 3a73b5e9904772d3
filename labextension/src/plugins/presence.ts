/** Who is where: provided to the panel of workspaces, listed in the right bar, and followed. */
import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import { ITranslator } from '@jupyterlab/translation';
import { usersIcon } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';

import { CommandIDs } from '../commandIds';
import { FollowingNote, PeopleView } from '../components/PeopleView';
import { Following } from '../following';
import { WorkspacesModel } from '../model';
import { PresenceModel } from '../presence';
import { textsOf } from '../texts';
import { IPresence, IWorkspaces, PEOPLE_ID } from '../tokens';

const LOOK_MS = 10_000;

export const presence: JupyterFrontEndPlugin<PresenceModel> = {
  id: 'syla-jupyter:presence',
  description: 'Says who is where in Syla workspaces.',
  autoStart: true,
  requires: [IWorkspaces],
  provides: IPresence,
  activate: (_: JupyterFrontEnd, model: WorkspacesModel) => {
    const asks = PageConfig.getOption('disableRTC') !== 'true';
    const found = new PresenceModel(model, model.api, asks);
    if (asks) {
      setInterval(() => found.look(), LOOK_MS); // time makes idle; nothing is asked
    }
    return found;
  }
};

export const here: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:here',
  description: 'Lists who is where in Syla workspaces, and follows them.',
  autoStart: true,
  requires: [IWorkspaces, IPresence],
  optional: [ITranslator, ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    presence: PresenceModel,
    translator: ITranslator | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ) => {
    const trans = textsOf(translator);
    const { commands } = app;
    const following = new Following(app, presence);
    const parts = { model, presence, following, commands, trans };

    const panel = new PeopleView(parts);
    panel.id = PEOPLE_ID;
    panel.title.icon = usersIcon;
    panel.title.caption = trans.__('People in Syla workspaces');
    panel.node.setAttribute('role', 'region');
    panel.node.setAttribute('aria-label', panel.title.caption);
    app.shell.add(panel, 'right', { rank: 710, type: 'Syla People' });
    restorer?.add(panel, PEOPLE_ID);
    void app.restored.then(() =>
      Widget.attach(new FollowingNote(parts), document.body)
    );

    commands.addCommand(CommandIDs.people, {
      label: trans.__('Show People'),
      caption: trans.__('List who is where in Syla workspaces'),
      icon: usersIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(PEOPLE_ID)
    });
    commands.addCommand(CommandIDs.follow, {
      label: trans.__('Follow a Person'),
      caption: trans.__('Go where somebody goes'),
      icon: usersIcon,
      isEnabled: args => !!presence.of(String(args['user'] ?? '')),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            user: { type: 'string', description: 'Name of a user' }
          }
        }
      },
      execute: args => following.start(String(args['user']))
    });
    commands.addCommand(CommandIDs.unfollow, {
      label: trans.__('Stop Following'),
      caption: trans.__('Stay where one is'),
      isEnabled: () => !!following.user,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => following.stop()
    });
    following.changed.connect(() => commands.notifyCommandChanged());
    const category = trans.__('Syla Workspaces');
    palette?.addItem({ command: CommandIDs.people, category });
    palette?.addItem({ command: CommandIDs.unfollow, category });
  }
};

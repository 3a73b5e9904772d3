/** One command for everything a person can do with a workspace; versions and sharing have files of their own. */
import {
  addIcon,
  deleteIcon,
  folderIcon,
  LabIcon,
  refreshIcon,
  runIcon,
  settingsIcon,
  stopIcon
} from '@jupyterlab/ui-components';

import { IWorkspace } from './api';
import { cancellable } from './cancelling';
import { CommandIDs } from './commandIds';
import { askLimits, askNew, confirmLoss } from './dialogs';
import { duration } from './format';
import { archiveIcon, recoverIcon, suspendIcon, workspacesIcon } from './icons';
import { browserOut } from './leaving';
import { withProgress } from './notices';
import { Permission } from './people';
import { extension } from './rules';
import { PANEL_ID } from './tokens';
import { worked } from './working';
import { Action, addWorkspaceCommand, IContext } from './workspaceCommand';

export function addCommands(context: IContext): void {
  const { model, trans } = context;
  const add = (
    id: string,
    label: string,
    icon: LabIcon,
    needs: Permission,
    possible: (workspace: IWorkspace) => boolean,
    action: Action
  ): void =>
    addWorkspaceCommand(context, { id, label, icon, needs, possible, action });
  const allowed =
    (verb: IWorkspace['allowed'][number]) =>
    (workspace: IWorkspace): boolean =>
      workspace.allowed.includes(verb);

  addGeneral(context);
  add(
    CommandIDs.open,
    trans.__('Open Workspace Folder'),
    folderIcon,
    'read',
    one => one.path !== null && one.state !== 'archived',
    one => openFolder(context, one)
  );
  add(
    CommandIDs.resume,
    trans.__('Resume Workspace'),
    runIcon,
    'execute',
    one => one.allowed.includes('resume') || one.allowed.includes('start'),
    async one =>
      (await cancellable(
        model.api.resume(one.id),
        trans.__('Resuming %1…', one.name),
        () => model.api.suspend(one.id, !one.frozen),
        trans
      )) ?? undefined
  );
  add(
    CommandIDs.suspend,
    trans.__('Suspend Workspace'),
    suspendIcon,
    'write',
    allowed('suspend'),
    async one =>
      (await cancellable(
        model.api.suspend(one.id),
        trans.__('Suspending %1…', one.name),
        () => model.api.resume(one.id),
        trans
      )) ?? undefined
  );
  add(
    CommandIDs.stop,
    trans.__('Stop Workspace…'),
    stopIcon,
    'write',
    one => allowed('stop')(one) && one.execution !== '',
    async one => {
      if (await confirmLoss(one, 'stop', trans)) {
        const work = model.api.suspend(one.id, true);
        return withProgress(work, trans.__('Stopping %1…', one.name));
      }
      return undefined;
    }
  );
  add(
    CommandIDs.archive,
    trans.__('Archive Workspace…'),
    archiveIcon,
    'admin',
    allowed('archive'),
    async one => {
      if (await confirmLoss(one, 'archive', trans)) {
        await browserOut(context, one);
        const work = model.api.archive(one.id);
        return (await worked(model, one, 'archive', work, trans)) ?? undefined;
      }
      return undefined;
    }
  );
  add(
    CommandIDs.recover,
    trans.__('Recover Workspace'),
    recoverIcon,
    'write',
    one => one.state === 'archived' && allowed('recover')(one),
    async one => {
      const work = model.api.recover(one.id);
      return (await worked(model, one, 'recover', work, trans)) ?? undefined;
    }
  );
  add(
    CommandIDs.remove,
    trans.__('Delete Workspace…'),
    deleteIcon,
    'delete',
    // Not from the archive it takes a confirmation, so the server does not offer it by itself.
    one =>
      allowed('delete')(one) || (!one.is_default && one.state !== 'deleted'),
    async one => {
      if (await confirmLoss(one, 'delete', trans)) {
        await browserOut(context, one);
        const name = one.state === 'archived' ? '' : one.name;
        await withProgress(
          model.api.remove(one.id, name),
          trans.__('Deleting %1…', one.name)
        );
        model.note({ ...one, state: 'deleted' });
      }
    }
  );
  addWorkspaceCommand(context, {
    id: CommandIDs.extend,
    label: trans.__('Extend Workspace’s Deadline'),
    caption: () =>
      trans.__(
        'Put its deadline off by %1',
        duration(context.extendSeconds(), trans)
      ),
    icon: addIcon,
    needs: 'execute',
    possible: one => one.next.at !== null,
    action: one => {
      const more = extension(one, context.extendSeconds(), Date.now());
      return model.api.touch(one.id, more);
    }
  });
  add(
    CommandIDs.limits,
    trans.__('Change Workspace’s Limits…'),
    settingsIcon,
    'admin',
    one => one.state !== 'archived',
    async one => (await askLimits(one, model, trans)) ?? undefined
  );
}

/** Commands that are about no workspace in particular. */
function addGeneral(context: IContext): void {
  const { app, model, trans } = context;
  app.commands.addCommand(CommandIDs.create, {
    label: args => (args['toolbar'] ? '' : trans.__('New Syla Workspace…')),
    caption: trans.__(
      'Make a workspace with files, packages and limits of its own'
    ),
    icon: args => (args['launcher'] ? workspacesIcon : addIcon),
    describedBy: { args: { type: 'object', properties: {} } },
    execute: async () => {
      const made = await askNew(model, trans);
      if (made) {
        model.note(made);
        await openFolder(context, made);
      }
    }
  });
  app.commands.addCommand(CommandIDs.show, {
    label: trans.__('Show Syla Workspaces'),
    caption: trans.__('Show the panel of Syla workspaces'),
    icon: workspacesIcon,
    describedBy: { args: { type: 'object', properties: {} } },
    execute: () => app.shell.activateById(PANEL_ID)
  });
  app.commands.addCommand(CommandIDs.refresh, {
    label: args => (args['toolbar'] ? '' : trans.__('Refresh Syla Workspaces')),
    caption: trans.__('Read the list of workspaces anew'),
    icon: refreshIcon,
    describedBy: { args: { type: 'object', properties: {} } },
    execute: () => model.refresh()
  });
}

export async function openFolder(
  context: IContext,
  workspace: IWorkspace
): Promise<void> {
  const { commands } = context.app;
  if (
    workspace.path !== null &&
    commands.hasCommand('filebrowser:go-to-path')
  ) {
    await commands.execute('filebrowser:go-to-path', {
      path: `/${workspace.path}`
    });
  }
}

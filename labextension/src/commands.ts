/** One command for everything a person can do; buttons, menus, palette, launcher and keys all name these. */
import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { TranslationBundle } from '@jupyterlab/translation';
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
import {
  ReadonlyJSONObject,
  ReadonlyPartialJSONObject
} from '@lumino/coreutils';

import { IWorkspace } from './api';
import { cancellable } from './cancelling';
import { askLimits, askNew, confirmLoss } from './dialogs';
import { duration } from './format';
import { archiveIcon, recoverIcon, suspendIcon, workspacesIcon } from './icons';
import { browserOut } from './leaving';
import { WorkspacesModel } from './model';
import { IWayOut, report, withProgress } from './notices';
import { Permission } from './people';
import { ApiError } from './request';
import { extension } from './rules';
import { PANEL_ID } from './tokens';
import { worked } from './working';

export namespace CommandIDs {
  export const create = 'syla:create';
  export const show = 'syla:show';
  export const refresh = 'syla:refresh';
  export const open = 'syla:open';
  export const suspend = 'syla:suspend';
  export const resume = 'syla:resume';
  export const stop = 'syla:stop';
  export const archive = 'syla:archive';
  export const recover = 'syla:recover';
  export const remove = 'syla:delete';
  export const extend = 'syla:extend';
  export const limits = 'syla:limits';
  export const versions = 'syla:snapshots';
  export const take = 'syla:take-snapshot';
  export const restore = 'syla:restore';
  export const clone = 'syla:clone';
  export const exportFile = 'syla:export';
  export const variables = 'syla:variables';
  export const share = 'syla:share';
  export const join = 'syla:join';
  export const leave = 'syla:leave';
  export const people = 'syla:people';
  export const ask = 'syla:ask';
  export const follow = 'syla:follow';
  export const unfollow = 'syla:unfollow';
}

/** Buttons of a workspace's row, in this order; those that are not possible now are not shown. */
export const ROW_COMMANDS = [
  CommandIDs.open,
  CommandIDs.resume,
  CommandIDs.suspend,
  CommandIDs.stop,
  CommandIDs.recover,
  CommandIDs.take,
  CommandIDs.versions,
  CommandIDs.clone,
  CommandIDs.share,
  CommandIDs.limits,
  CommandIDs.archive,
  CommandIDs.remove
];

/** What a command does with its workspace; what it rejects with is shown to the person. */
export type Action = (
  workspace: IWorkspace,
  args: ReadonlyPartialJSONObject
) => Promise<IWorkspace | void>;

export interface IContext {
  app: JupyterFrontEnd;
  model: WorkspacesModel;
  trans: TranslationBundle;
  browsers: IFileBrowserFactory | null;
  restorer: ILayoutRestorer | null;
  /** By how much *Extend* puts a deadline off. */
  extendSeconds: () => number;
}

const ARGS: ReadonlyJSONObject = {
  workspace: { type: 'string', description: 'Id of a workspace' },
  on: {
    type: 'string',
    enum: ['row', 'folder', 'focus'],
    description: 'What the context menu was opened on, or the row in focus'
  }
};

/** Of a command that is about one workspace, which is named, clicked on, or the one somebody works in. */
interface IWorkspaceCommand {
  id: string;
  label: string;
  /** What a tooltip says; else the label. */
  caption?: () => string;
  icon: LabIcon;
  /** What a person has to be allowed there. */
  needs: Permission;
  possible: (workspace: IWorkspace, args: ReadonlyPartialJSONObject) => boolean;
  action: Action;
  /** Besides the workspace. */
  properties?: ReadonlyJSONObject;
}

export function addWorkspaceCommand(
  context: IContext,
  command: IWorkspaceCommand
): void {
  const { app, model, trans } = context;
  const { id, label, icon, needs, action } = command;
  const possible: IWorkspaceCommand['possible'] = (workspace, args) =>
    model.may(workspace, needs) && command.possible(workspace, args);
  app.commands.addCommand(id, {
    label: args =>
      args['toolbar']
        ? ''
        : args['launcher']
          ? (target(context, args)?.name ?? label)
          : label,
    caption: command.caption ?? label,
    icon: args => (args['launcher'] ? workspacesIcon : icon),
    isEnabled: args => {
      const workspace = target(context, args);
      return !!workspace && possible(workspace, args);
    },
    isVisible: args => {
      const workspace = target(context, args);
      return !!workspace && (!args['on'] || possible(workspace, args));
    },
    describedBy: {
      args: {
        type: 'object',
        properties: { ...ARGS, ...command.properties }
      }
    },
    execute: async args => {
      const workspace = target(context, args);
      if (!workspace) {
        return;
      }
      try {
        const after = await action(workspace, args);
        if (after) {
          model.note(after);
        }
      } catch (reason) {
        const what = trans.__('%1: %2', label, workspace.name);
        const way = wayOut(context, id, workspace, args, reason);
        await report(what, reason, trans, way);
      }
    }
  });
}

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

/** The one action that mends it, where there is one. */
function wayOut(
  { app, model, trans }: IContext,
  command: string,
  workspace: IWorkspace,
  args: ReadonlyPartialJSONObject,
  reason: unknown
): IWayOut | null {
  const way = (label: string, id: string): IWayOut => ({
    label,
    go: () =>
      void app.commands.execute(id, { ...args, workspace: workspace.id })
  });
  if (!(reason instanceof ApiError) || !reason.retryable) {
    return null;
  }
  const ofLimits =
    command === CommandIDs.resume &&
    reason.code === 'insufficient_resources' &&
    model.may(workspace, 'admin');
  return ofLimits
    ? way(trans.__('Change limits…'), CommandIDs.limits)
    : way(trans.__('Try again'), command);
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

/** The workspace meant: named, under the context menu, in focus, or the one somebody works in. */
function target(
  context: IContext,
  args: ReadonlyPartialJSONObject
): IWorkspace | undefined {
  const { app, model, browsers } = context;
  if (typeof args['workspace'] === 'string') {
    return model.find(args['workspace']);
  }
  if (args['on'] === 'row') {
    const row = app.contextMenuHitTest(node => !!node.dataset['workspace']);
    return model.find(row?.dataset['workspace'] ?? '');
  }
  if (args['on'] === 'focus') {
    const row =
      document.activeElement?.closest<HTMLElement>('[data-workspace]');
    return model.find(row?.dataset['workspace'] ?? '');
  }
  if (args['on'] === 'folder') {
    const item = browsers?.tracker.currentWidget?.selectedItems().next().value;
    const found = item ? model.at(item.path) : undefined;
    return found && found.path === item?.path ? found : undefined;
  }
  return model.current;
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

/** A command about one workspace: which one is meant, whether it is possible there, and what a refusal is followed by. */
import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { TranslationBundle } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';
import {
  ReadonlyJSONObject,
  ReadonlyPartialJSONObject
} from '@lumino/coreutils';

import { IWorkspace } from './api';
import { CommandIDs } from './commandIds';
import { workspacesIcon } from './icons';
import { WorkspacesModel } from './model';
import { IWayOut, report } from './notices';
import { Permission } from './people';
import { ApiError } from './request';

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

/** What a person can do with the versions of a workspace. */
import {
  MainAreaWidget,
  Notification,
  WidgetTracker
} from '@jupyterlab/apputils';
import { copyIcon, downloadIcon, undoIcon } from '@jupyterlab/ui-components';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { IWorkspace } from './api';
import { CommandIDs } from './commandIds';
import { addWorkspaceCommand, IContext } from './workspaceCommand';
import { VersionsView } from './components/VersionsView';
import { askClone, askMessage, askRestore, tellRestored } from './dialogs';
import { snapshotIcon, timelineIcon } from './icons';
import { takenWords } from './rules';
import { VersionsModel } from './versions';
import { worked } from './working';

type Tabs = WidgetTracker<MainAreaWidget<VersionsView>>;

const NUMBER = { type: 'number', description: 'Of the version' };

export function addVersionCommands(context: IContext): void {
  const { model, trans } = context;
  const tabs = restoredTabs(context);
  const there = (one: IWorkspace): boolean =>
    one.state !== 'archived' && one.state !== 'deleted';

  // As it is now it would have to be saved first.
  const copied = (one: IWorkspace, args: ReadonlyPartialJSONObject): boolean =>
    one.state !== 'deleted' &&
    (numberIn(args) !== null || model.may(one, 'write'));

  addWorkspaceCommand(context, {
    id: CommandIDs.versions,
    label: trans.__('Snapshots of Workspace'),
    icon: timelineIcon,
    needs: 'read',
    possible: one => one.state !== 'deleted',
    action: async one => show(context, tabs, one)
  });
  addWorkspaceCommand(context, {
    id: CommandIDs.take,
    label: trans.__('Take Snapshot of Workspace…'),
    icon: snapshotIcon,
    needs: 'write',
    possible: there,
    properties: {
      message: { type: 'string', description: 'What it is; else it is asked' }
    },
    action: async (one, args) => {
      const message =
        typeof args['message'] === 'string'
          ? args['message']
          : await askMessage(one, trans);
      if (message !== null) {
        const work = model.api.take(one.id, message);
        const taken = await worked(model, one, 'snapshot', work, trans);
        if (taken) {
          Notification.success(takenWords(one, taken, trans));
          told(context, one);
        }
      }
    }
  });
  addWorkspaceCommand(context, {
    id: CommandIDs.restore,
    label: trans.__('Restore Workspace…'),
    icon: undoIcon,
    needs: 'write',
    possible: there,
    properties: {
      version: NUMBER,
      paths: {
        type: 'array',
        items: { type: 'string' },
        description: 'Proposed: only these'
      }
    },
    action: async (one, args) => {
      const version = numberIn(args);
      const paths =
        version === null
          ? null
          : await askRestore(one, version, proposed(args), trans);
      if (version === null || !paths) {
        return undefined;
      }
      const work = model.api.restore(one.id, version, paths);
      const restored = await worked(model, one, 'restore', work, trans);
      if (restored) {
        told(context, one);
        model.note(restored.workspace);
        await tellRestored(one, version, paths, restored, trans);
      }
      return undefined;
    }
  });
  addWorkspaceCommand(context, {
    id: CommandIDs.clone,
    label: trans.__('Clone Workspace…'),
    icon: copyIcon,
    needs: 'read',
    possible: copied,
    properties: { version: NUMBER },
    action: async (one, args) => {
      await askClone(one, numberIn(args), model, trans);
      told(context, one);
    }
  });
  addWorkspaceCommand(context, {
    id: CommandIDs.exportFile,
    label: trans.__('Export Workspace'),
    icon: downloadIcon,
    needs: 'read',
    possible: copied,
    properties: { version: NUMBER },
    action: async (one, args) => {
      const work = model.api.export(one.id, numberIn(args));
      const file = await worked(model, one, 'export', work, trans);
      if (!file) {
        return;
      }
      save(file, `${one.name}.syla`);
      Notification.info(
        trans.__(
          'The file of %1 is not encrypted. `syla workspace import` makes a workspace of it.',
          one.name
        )
      );
      told(context, one);
    }
  });
}

/** Without events nobody else says that there may be other versions now. */
function told({ model }: IContext, workspace: IWorkspace): void {
  if (!model.live) {
    model.noteSaved(workspace.id);
  }
}

/** Those that were open before the page was loaded anew are open again. */
function restoredTabs({ model, restorer }: IContext): Tabs {
  const tabs: Tabs = new WidgetTracker({ namespace: 'syla-snapshots' });
  void restorer?.restore(tabs, {
    command: CommandIDs.versions,
    args: ({ content }) => ({ workspace: content.workspaceId }),
    name: ({ content }) => content.workspaceId,
    when: model.known
  });
  return tabs;
}

function show(
  { app, model, trans }: IContext,
  tabs: Tabs,
  workspace: IWorkspace
): void {
  const open = tabs.find(one => one.content.workspaceId === workspace.id);
  if (open) {
    app.shell.activateById(open.id);
    return;
  }
  const versions = new VersionsModel(model, workspace.id);
  const content = new VersionsView({ versions, commands: app.commands, trans });
  content.disposed.connect(() => versions.dispose());
  const widget = new MainAreaWidget({ content });
  widget.id = `syla-snapshots-${workspace.id}`;
  widget.title.label = trans.__('Snapshots: %1', workspace.name);
  widget.title.icon = timelineIcon;
  widget.title.closable = true;
  app.shell.add(widget, 'main');
  void tabs.add(widget);
  app.shell.activateById(widget.id);
}

function numberIn(args: ReadonlyPartialJSONObject): number | null {
  const version = args['version'];
  return typeof version === 'number' ? version : null;
}

function proposed(args: ReadonlyPartialJSONObject): string[] {
  const paths = args['paths'];
  return Array.isArray(paths)
    ? paths.filter((path): path is string => typeof path === 'string')
    : [];
}

/** Give it to the person as a download. */
function save(file: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The browser has its own hold of it once the download has begun.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Where somebody works, and the workspace of that place: status bar, notebook toolbar, launcher. */
import {
  ILabShell,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import { DocumentWidget } from '@jupyterlab/docregistry';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { NotebookPanel } from '@jupyterlab/notebook';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, TranslationBundle } from '@jupyterlab/translation';
import { DisposableSet } from '@lumino/disposable';

import { CommandIDs } from '../commandIds';
import { StateItem } from '../components/StateItem';
import { WorkspacesModel } from '../model';
import { textsOf } from '../texts';
import { IWorkspaces } from '../tokens';

const LAUNCHER_MAX = 5;

export const places: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:places',
  description: 'Shows the workspace of what somebody works on.',
  autoStart: true,
  requires: [IWorkspaces],
  optional: [
    ITranslator,
    ILabShell,
    IDefaultFileBrowser,
    IStatusBar,
    ILauncher,
    IToolbarWidgetRegistry
  ],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    translator: ITranslator | null,
    shell: ILabShell | null,
    browser: IDefaultFileBrowser | null,
    statusBar: IStatusBar | null,
    launcher: ILauncher | null,
    toolbars: IToolbarWidgetRegistry | null
  ) => {
    const trans = textsOf(translator);
    const show = (): void => void app.commands.execute(CommandIDs.show);
    const { contents } = app.serviceManager;

    const follow = (): void => {
      const widget = shell?.currentWidget;
      const path =
        widget instanceof DocumentWidget
          ? widget.context.path
          : (browser?.model.path ?? null);
      // Files of other drives are in no workspace.
      model.place =
        path === null || contents.driveName(path)
          ? null
          : contents.localPath(path);
    };
    shell?.currentChanged.connect(follow);
    browser?.model.pathChanged.connect(follow);
    void app.restored.then(follow);

    statusBar?.registerStatusItem('syla-jupyter:current', {
      item: new StateItem({
        model,
        trans,
        find: () => model.current,
        onClick: show,
        place: 'statusBar'
      }),
      align: 'left',
      rank: 100
    });
    toolbars?.addFactory<NotebookPanel>(
      'Notebook',
      'sylaWorkspace',
      panel =>
        new StateItem({
          model,
          trans,
          find: () => model.at(contents.localPath(panel.context.path)),
          onClick: show,
          place: 'toolbarButton'
        })
    );
    if (launcher) {
      offerLast(launcher, model, trans);
    }
  }
};

/** A section of the launcher: a new one, and those that were used last. */
function offerLast(
  launcher: ILauncher,
  model: WorkspacesModel,
  trans: TranslationBundle
): void {
  const category = trans.__('Syla workspaces');
  launcher.add({
    command: CommandIDs.create,
    category,
    args: { launcher: true },
    rank: 0
  });
  let shown = '';
  let cards = new DisposableSet();
  model.changed.connect(() => {
    const last = model.workspaces
      .filter(one => one.path && one.state !== 'archived')
      .sort((a, b) => b.last_activity_at.localeCompare(a.last_activity_at))
      .slice(0, LAUNCHER_MAX);
    const key = JSON.stringify(last.map(one => [one.id, one.name]));
    if (key === shown) {
      return;
    }
    shown = key;
    cards.dispose();
    cards = new DisposableSet();
    last.forEach((one, place) =>
      cards.add(
        launcher.add({
          command: CommandIDs.open,
          category,
          args: { workspace: one.id, launcher: true },
          rank: place + 1
        })
      )
    );
  });
}

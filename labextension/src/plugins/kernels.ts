/**
 * Notebooks whose kernel has ended with its workspace: each gets a new one, with its variables, when the workspace runs
 * again. JupyterLab does not do that: it restarts nothing that it knows to be dead.
 */
import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

import { WorkspacesModel } from '../model';
import { IWorkspaces } from '../tokens';

export const kernels: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:kernels',
  description:
    'Starts the kernels of open notebooks when their workspace runs again.',
  autoStart: true,
  requires: [IWorkspaces, INotebookTracker],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    notebooks: INotebookTracker
  ) => {
    const { contents } = app.serviceManager;
    /** The kernels that ended with a workspace, whether the page knows it yet or not. */
    const ended = new WeakMap<NotebookPanel, string>();
    const look = (): void =>
      notebooks.forEach(panel => {
        const kernel = panel.sessionContext.session?.kernel;
        const workspace = model.at(contents.localPath(panel.context.path));
        if (!kernel || !workspace) {
          return;
        }
        if (workspace.state !== 'active') {
          if (!workspace.execution) {
            ended.set(panel, kernel.id);
          }
        } else if (!model.may(workspace, 'execute')) {
          return;
        } else if (kernel.status === 'dead' && ended.get(panel) === kernel.id) {
          // One that died while its workspace ran may have died of itself: what then is a person's to say.
          ended.delete(panel);
          void start(panel, kernel.name);
        }
      });
    model.changed.connect(look);
    notebooks.widgetAdded.connect((_, panel) => {
      panel.sessionContext.statusChanged.connect(look);
    });
  }
};

async function start(panel: NotebookPanel, name: string): Promise<void> {
  try {
    await panel.sessionContext.changeKernel({ name });
  } catch (reason) {
    console.error('syla-jupyter: no kernel', reason); // JupyterLab has told the person
  }
}

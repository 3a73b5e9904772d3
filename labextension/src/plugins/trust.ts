/** Whether scripts of outputs run is each person's to say, and no part of the notebook. */
import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { PageConfig } from '@jupyterlab/coreutils';
import {
  INotebookModel,
  INotebookTracker,
  NotebookActions,
  NotebookModel
} from '@jupyterlab/notebook';

import { WorkspacesModel } from '../model';
import { ITrust, IWorkspaces } from '../tokens';
import { ICell, Trust } from '../trust';

type ICellModel = ReturnType<INotebookModel['cells']['get']>;

export const trust: JupyterFrontEndPlugin<Trust> = {
  id: 'syla-jupyter:trust',
  description: 'Keeps for each person whose outputs she trusts.',
  autoStart: true,
  requires: [IWorkspaces, INotebookTracker],
  provides: ITrust,
  activate: (
    _app: JupyterFrontEnd,
    workspaces: WorkspacesModel,
    notebooks: INotebookTracker
  ): Trust => {
    const made = new Trust({
      known: async digests => (await workspaces.api.trusted(digests)).digests,
      add: digests => workspaces.api.trust(digests)
    });
    made.install(modelOfCells());
    notebooks.widgetAdded.connect((_, panel) => {
      void panel.context.ready.then(() => follow(panel.model, made));
    });
    if (PageConfig.getOption('serverSideExecution') !== 'true') {
      NotebookActions.executed.connect((_, { cell }) => {
        if (cell.model.type === 'code' && !cell.isDisposed) {
          made.note(cell.model as unknown as ICell);
        }
      });
    }
    return made;
  }
};

/** The class is not shared between JupyterLab and its extensions by itself. */
function modelOfCells(): object {
  const notebook = new NotebookModel();
  notebook.sharedModel.insertCell(0, { cell_type: 'code' });
  const prototype: object = Object.getPrototypeOf(notebook.cells.get(0));
  notebook.dispose();
  return prototype;
}

function follow(model: INotebookModel | null, made: Trust): void {
  const look = (cells: Iterable<ICellModel>): void => {
    for (const cell of cells) {
      if (cell.type === 'code') {
        made.look(cell as unknown as ICell);
      }
    }
  };
  model?.cells.changed.connect((_, change) => look(change.newValues));
  look(model?.cells ?? []);
}

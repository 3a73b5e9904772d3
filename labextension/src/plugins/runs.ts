/** Where the server runs cells: has them run once their kernel and all that was typed is there, or says why not. */
import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { PageConfig } from '@jupyterlab/coreutils';
import { INotebookCellExecutor } from '@jupyterlab/notebook';
import { ITranslator } from '@jupyterlab/translation';

import { WorkspacesModel } from '../model';
import { explain, report } from '../notices';
import { runsOnServer } from '../runs';
import { textsOf } from '../texts';
import { ITrust, IWorkspaces } from '../tokens';
import { Trust } from '../trust';

const SAME_MS = 5_000;

export const runs: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:runs',
  description: 'Has the server run cells as they are on the page.',
  autoStart: true,
  requires: [IWorkspaces, INotebookCellExecutor, ITrust],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    executor: INotebookCellExecutor,
    trust: Trust,
    translator: ITranslator | null
  ): void => {
    if (PageConfig.getOption('serverSideExecution') !== 'true') {
      return; // pages run cells themselves
    }
    const trans = textsOf(translator);
    const { contents } = app.serviceManager;
    /** Of all cells of a notebook, say: once is enough. */
    let told = '';
    executor.runCell = runsOnServer(executor.runCell.bind(executor), {
      trust,
      ask: (kernel, asked) => model.api.runCell(kernel, asked),
      refused: reason => {
        const { message } = explain(reason, trans);
        if (message !== told) {
          told = message;
          setTimeout(() => (told = ''), SAME_MS);
          void report(trans.__('The cell was not run'), reason, trans);
        }
      },
      writes: path => {
        const workspace = model.at(contents.localPath(path));
        return !workspace || model.may(workspace, 'write');
      }
    });
  }
};

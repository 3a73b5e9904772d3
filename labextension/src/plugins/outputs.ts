/** Outputs of shared notebooks stay where they are when one of them changes. */
import { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

import { keepInPlace } from '../outputs';

export const outputs: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:outputs',
  description: 'Keeps outputs of shared notebooks in their order.',
  autoStart: true,
  requires: [INotebookTracker],
  activate: (_app, notebooks: INotebookTracker): void => {
    notebooks.widgetAdded.connect((_, panel) => void mend(panel));
  }
};

async function mend(panel: NotebookPanel): Promise<void> {
  await panel.context.ready;
  const notebook = panel.model?.sharedModel;
  const look = (): void => {
    const cell = notebook?.cells.find(one => one.cell_type === 'code');
    if (cell) {
      keepInPlace(cell);
      notebook?.changed.disconnect(look);
    }
  };
  notebook?.changed.connect(look);
  look();
}

/** Asks for the input of a cell that the server runs for this person: no page has it running, so none would ask. */
import { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { InputDialog } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { WorkspacesModel } from '../model';
import { IWorkspaces } from '../tokens';

export const input: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:input',
  description: 'Asks for the input of cells that the server runs.',
  autoStart: true,
  requires: [IWorkspaces],
  optional: [ITranslator],
  activate: (
    _app,
    model: WorkspacesModel,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('syla_jupyter');
    model.asked.connect(async (_, { workspace_id, execution_id }) => {
      const rows = await model.api.queue(workspace_id).catch(() => []);
      const row = rows.find(one => one.id === execution_id);
      if (!row?.input) {
        return; // somebody else's, or answered in another window
      }
      const options = {
        title: trans.__('%1 asks for input', row.path.split('/').pop()),
        label: row.input.prompt
      };
      const given = await (row.input.password
        ? InputDialog.getPassword(options)
        : InputDialog.getText(options));
      if (given.button.accept) {
        await model.api
          .answer(workspace_id, execution_id, given.value ?? '')
          .catch(() => undefined); // it has ended meanwhile
      }
    });
  }
};

/** Asks for the input of a cell that the server runs for this person: no page has it running, so none would ask. */
import { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { InputDialog } from '@jupyterlab/apputils';
import { ITranslator } from '@jupyterlab/translation';

import { WorkspacesModel } from '../model';
import { Questions } from '../questions';
import { textsOf } from '../texts';
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
    const trans = textsOf(translator);
    new Questions(model, async ({ path, prompt, password, before }) => {
      const title = trans.__('%1 asks for input', path.split('/').pop());
      const given = await (password
        ? InputDialog.getPassword({ title, label: prompt })
        : InputDialog.getText({ title, label: prompt, text: before }));
      return given.button.accept ? (given.value ?? '') : null;
    });
  }
};

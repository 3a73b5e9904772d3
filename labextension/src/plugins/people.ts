/** Who came, went, or was given another role, in a corner of the page: to whom it concerns. */
import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ITranslator } from '@jupyterlab/translation';

import { brief } from '../format';
import { WorkspacesModel } from '../model';
import { peopleWords } from '../people';
import { textsOf } from '../texts';
import { IWorkspaces } from '../tokens';

export const people: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:people',
  description: 'Tells who joined and left Syla workspaces.',
  autoStart: true,
  requires: [IWorkspaces],
  optional: [ITranslator],
  activate: (
    _: JupyterFrontEnd,
    model: WorkspacesModel,
    translator: ITranslator | null
  ) => {
    const trans = textsOf(translator);
    model.peopleChanged.connect((_, event) => {
      const workspace = model.find(event.workspace_id ?? '');
      if (workspace) {
        const name = workspace.name;
        const rules = model.may(workspace, 'share');
        const text = peopleWords(event, name, model.me, rules, trans);
        if (text) {
          Notification.info(brief(text), { autoClose: 10_000 });
        }
      }
    });
  }
};

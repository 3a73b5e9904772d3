/** The variables of the notebook in front, in the right bar. */
import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator } from '@jupyterlab/translation';

import { CommandIDs } from '../commandIds';
import { VariablesView } from '../components/VariablesView';
import { variablesIcon } from '../icons';
import { WorkspacesModel } from '../model';
import { textsOf } from '../texts';
import { IWorkspaces, VARIABLES_ID } from '../tokens';
import { VariablesModel } from '../variables';

export const variables: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:variables',
  description: 'Lists the variables of the kernel of the notebook in front.',
  autoStart: true,
  requires: [IWorkspaces, INotebookTracker],
  optional: [ITranslator, ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    notebooks: INotebookTracker,
    translator: ITranslator | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ) => {
    const trans = textsOf(translator);
    const { contents } = app.serviceManager;
    const awake = (): boolean => {
      const path = notebooks.currentWidget?.context.path ?? '';
      const state = model.at(contents.localPath(path))?.state;
      return state === undefined || state === 'active';
    };
    const list = new VariablesModel(awake);
    const follow = (): void => {
      list.kernel =
        notebooks.currentWidget?.sessionContext.session?.kernel ?? null;
    };
    notebooks.currentChanged.connect(follow);
    notebooks.widgetAdded.connect((_, panel) => {
      panel.sessionContext.kernelChanged.connect(follow);
    });
    // One that was resumed can be asked again.
    model.changed.connect(() => {
      if (list.standing === 'asleep' && awake()) {
        list.lookAgain();
      }
    });

    const panel = new VariablesView({ variables: list, trans });
    panel.id = VARIABLES_ID;
    panel.title.icon = variablesIcon;
    panel.title.caption = trans.__('Variables');
    panel.node.setAttribute('role', 'region');
    panel.node.setAttribute('aria-label', trans.__('Variables'));
    app.shell.add(panel, 'right', { rank: 700, type: 'Syla Variables' });
    restorer?.add(panel, VARIABLES_ID);
    app.commands.addCommand(CommandIDs.variables, {
      label: trans.__('Show Variables'),
      caption: trans.__('List the variables of the notebook in front'),
      icon: variablesIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(VARIABLES_ID)
    });
    palette?.addItem({
      command: CommandIDs.variables,
      category: trans.__('Syla Workspaces')
    });
  }
};

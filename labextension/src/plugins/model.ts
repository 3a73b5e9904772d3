import { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { Api } from '../api';
import { EventStream } from '../events';
import { WorkspacesModel } from '../model';
import { IWorkspaces } from '../tokens';

/** Needs nothing but the service manager, so it also works in Notebook 7. */
export const model: JupyterFrontEndPlugin<WorkspacesModel> = {
  id: 'syla-jupyter:model',
  description: 'Provides the Syla workspaces.',
  autoStart: true,
  provides: IWorkspaces,
  activate: app => {
    const settings = app.serviceManager.serverSettings;
    return new WorkspacesModel(new Api(settings), new EventStream(settings));
  }
};

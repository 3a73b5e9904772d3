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
    const { serverSettings, user } = app.serviceManager;
    const found = new WorkspacesModel(
      new Api(serverSettings),
      new EventStream(serverSettings)
    );
    user.ready.then(
      () => {
        found.me = user.identity?.username ?? '';
      },
      reason => console.error('syla-jupyter: no name', reason)
    );
    return found;
  }
};

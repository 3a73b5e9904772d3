/**
 * What code and others change beneath the folder that the file browser shows: it reads it again soon.
 *
 * Not for each save, of which there are many while several write and which adds no file that was not there: of those
 * JupyterLab hears when it looks by itself.
 */
import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';

import { WorkspacesModel } from '../model';
import { concerns } from '../rules';
import { IWorkspaces } from '../tokens';

const SOON_MS = 1_500; // of a class that runs code together, each page reads its folder so often

export const files: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:files',
  description: 'Keeps the file browser current.',
  autoStart: true,
  requires: [IWorkspaces],
  optional: [IDefaultFileBrowser],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    browser: IDefaultFileBrowser | null
  ) => {
    if (!browser) {
      return;
    }
    const { contents } = app.serviceManager;
    let waits = false;
    const refresh = (): void => {
      waits = false;
      void browser.model.refresh();
    };
    model.filesChanged.connect((_, event) => {
      const { path } = browser.model;
      if (
        !waits &&
        event.action !== 'save' &&
        browser.isVisible &&
        !contents.driveName(path) &&
        concerns(contents.localPath(path), event)
      ) {
        waits = true;
        setTimeout(refresh, SOON_MS);
      }
    });
  }
};

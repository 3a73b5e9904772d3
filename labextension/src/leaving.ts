/** Out of a workspace's folder: what stands in it asks for it again and again, and JupyterLab says each time that it is gone. */
import { JupyterFrontEnd } from '@jupyterlab/application';
import { DocumentWidget } from '@jupyterlab/docregistry';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';

import { IWorkspace } from './api';
import { WorkspacesModel } from './model';

interface IPlaces {
  app: JupyterFrontEnd;
  browsers: IFileBrowserFactory | null;
  model: WorkspacesModel;
}

/** The file browser, before its folder goes. */
export async function browserOut(
  { app, browsers, model }: IPlaces,
  workspace: IWorkspace
): Promise<void> {
  const { contents } = app.serviceManager;
  const browser = browsers?.tracker.currentWidget?.model;
  if (
    browser &&
    model.at(contents.localPath(browser.path))?.id === workspace.id
  ) {
    await app.commands.execute('filebrowser:go-to-path', {
      path: '/',
      dontShowBrowser: true
    });
  }
}

/** Its documents as well, of somebody who can have nothing unsaved in them. */
export async function goOut(
  places: IPlaces,
  workspace: IWorkspace
): Promise<void> {
  const { app, model } = places;
  const { contents } = app.serviceManager;
  for (const widget of [...app.shell.widgets('main')]) {
    if (
      widget instanceof DocumentWidget &&
      model.at(contents.localPath(widget.context.path))?.id === workspace.id
    ) {
      widget.close();
    }
  }
  await browserOut(places, workspace);
}

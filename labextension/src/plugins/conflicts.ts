/** Two versions of a document that is open here: which they are, and how to look at both. */
import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { DocumentWidget } from '@jupyterlab/docregistry';
import { ITranslator } from '@jupyterlab/translation';

import { brief } from '../format';
import { WorkspacesModel } from '../model';
import { textsOf } from '../texts';
import { IWorkspaces } from '../tokens';

export const conflicts: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:conflicts',
  description: 'Shows both versions of a document that was changed on disk.',
  autoStart: true,
  requires: [IWorkspaces],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    translator: ITranslator | null
  ) => {
    const trans = textsOf(translator);
    const { contents } = app.serviceManager;
    const openOne = (path: string): DocumentWidget | undefined =>
      [...app.shell.widgets('main')].find(
        (one): one is DocumentWidget =>
          one instanceof DocumentWidget &&
          contents.localPath(one.context.path) === path
      );
    model.conflicted.connect((_, { path, kept }) => {
      if (!openOne(path)) {
        return;
      }
      const name = (of: string): string => of.split('/').pop() ?? of;
      const open = (options?: { mode: string; ref: string }): void =>
        void app.commands.execute('docmanager:open', { path: kept, options });
      const compare = (): void => {
        const document = openOne(path);
        if (document) {
          app.shell.activateById(document.id);
        }
        open(document && { mode: 'split-right', ref: document.id });
      };
      const text = trans.__(
        '%1 was changed on disk. What was not saved yet is in %2.',
        name(path),
        name(kept)
      );
      Notification.warning(brief(text), {
        autoClose: false,
        actions: [
          {
            label: trans.__('Compare'),
            displayType: 'accent',
            callback: compare
          },
          { label: trans.__('Open the copy'), callback: () => open() }
        ]
      });
    });
  }
};

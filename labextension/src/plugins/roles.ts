/** What a person's role means on the page: documents, toolbars, menus and keys, at once and when it changes. */
import {
  ILabShell,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  DocumentRegistry,
  DocumentWidget,
  IDocumentWidget
} from '@jupyterlab/docregistry';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ITranslator, TranslationBundle } from '@jupyterlab/translation';
import { DisposableDelegate, IDisposable } from '@lumino/disposable';

import { IWorkspace } from '../api';
import { Banner } from '../components/Banner';
import { asRead, KeptDocument } from '../documents';
import { WorkspacesModel } from '../model';
import {
  ALL,
  bannerWords,
  IRights,
  isRefused,
  LOOK,
  rightsOf
} from '../rights';
import { textsOf } from '../texts';
import { IWorkspaces } from '../tokens';

type Context = DocumentRegistry.IContext<DocumentRegistry.IModel>;

/** Widget factories whose documents can be edited. */
const EDITORS = ['Notebook', 'Editor'];
const WORKSPACES = /^workspaces\//;

export const roles: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:roles',
  description: 'Keeps documents and commands to what one may do.',
  autoStart: true,
  requires: [IWorkspaces],
  optional: [ITranslator, ILabShell, IDefaultFileBrowser],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    translator: ITranslator | null,
    shell: ILabShell | null,
    browser: IDefaultFileBrowser | null
  ) => {
    const trans = textsOf(translator);
    for (const factory of EDITORS) {
      app.docRegistry.addWidgetExtension(factory, {
        createNew: (widget: IDocumentWidget, context: Context) =>
          keep(app, model, trans, widget, context)
      });
    }
    if (shell) {
      refuseCommands(app, model, shell, browser);
    }
  }
};

/** Of a path of the contents API. */
function find(
  app: JupyterFrontEnd,
  model: WorkspacesModel,
  path: string
): IWorkspace | undefined {
  const { contents } = app.serviceManager;
  return contents.driveName(path)
    ? undefined
    : model.at(contents.localPath(path));
}

function keep(
  app: JupyterFrontEnd,
  model: WorkspacesModel,
  trans: TranslationBundle,
  widget: IDocumentWidget,
  context: Context
): IDisposable {
  const rights = (): IRights => documentRights(app, model, context);
  const kept = new KeptDocument(widget, context, rights, model.known);
  const banner = new Banner({
    label: trans.__('Save a Copy…'),
    onClick: () => void app.commands.execute('docmanager:save-as')
  });
  if (widget instanceof DocumentWidget) {
    widget.contentHeader.addWidget(banner);
  }
  let shown = '';
  const look = (): void => {
    const workspace = find(app, model, context.path);
    const has = rights();
    const words = model.loaded ? bannerWords(workspace, has, trans) : '';
    const key = JSON.stringify([words, has]);
    if (key !== shown && context.isReady) {
      shown = key;
      kept.apply();
      banner.say(words, has.execute && !has.write);
    }
  };
  model.changed.connect(look);
  context.pathChanged.connect(look);
  void context.ready.then(look);
  return new DisposableDelegate(() => {
    model.changed.disconnect(look);
    kept.dispose();
    banner.dispose();
  });
}

/** Where the list names no workspace, the file itself says whether it is only to be looked at. */
function documentRights(
  app: JupyterFrontEnd,
  model: WorkspacesModel,
  context: Context
): IRights {
  const workspace = find(app, model, context.path);
  if (workspace) {
    return rightsOf(model.role(workspace));
  }
  const foreign = WORKSPACES.test(
    app.serviceManager.contents.localPath(context.path)
  );
  return foreign && asRead(context)?.writable === false ? LOOK : ALL;
}

/** Commands say that they are not enabled: so do buttons, menus and keys, for all of them ask. */
function refuseCommands(
  app: JupyterFrontEnd,
  model: WorkspacesModel,
  shell: ILabShell,
  browser: IDefaultFileBrowser | null
): void {
  let inFront = ALL;
  let folder = ALL;
  const look = (): void => {
    const widget = shell.currentWidget;
    const document =
      widget instanceof DocumentWidget
        ? documentRights(app, model, widget.context)
        : ALL;
    const place = browser && find(app, model, browser.model.path);
    const around = place ? rightsOf(model.role(place)) : ALL;
    if (!isSame(document, inFront) || !isSame(around, folder)) {
      [inFront, folder] = [document, around];
      app.commands.notifyCommandChanged();
    }
  };
  shell.currentChanged.connect(look);
  model.changed.connect(look);
  browser?.model.pathChanged.connect(look);

  const isEnabled = app.commands.isEnabled.bind(app.commands);
  app.commands.isEnabled = (id, args) =>
    !isRefused(id, inFront, folder) && isEnabled(id, args);
}

function isSame(a: IRights, b: IRights): boolean {
  return a.write === b.write && a.execute === b.execute;
}

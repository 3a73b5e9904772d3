/**
 * Workspaces' folders in the file browser: another icon, and the state after the name.
 *
 * JupyterLab has one type for all folders, so what it draws of a row is changed after it has drawn it; and again when
 * something happens to workspaces, of which it knows nothing.
 */
import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { DirListing } from '@jupyterlab/filebrowser';
import { ITranslator, TranslationBundle } from '@jupyterlab/translation';
import { folderIcon, LabIcon } from '@jupyterlab/ui-components';

import { IWorkspace } from '../api';
import { stateName } from '../format';
import { workspacesIcon } from '../icons';
import { WorkspacesModel } from '../model';
import { textsOf } from '../texts';
import { IWorkspaces } from '../tokens';

const ROW = '.jp-DirListing-item';
const ICON = 'jp-DirListing-itemIcon';
const TEXT = 'jp-DirListing-itemText';
const SAID = '\nSyla: '; // in a tooltip, before what is ours

export const folders: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:folders',
  description: 'Shows in the file browser which folders are workspaces.',
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
    const find = (path: string): IWorkspace | undefined =>
      contents.driveName(path)
        ? undefined
        : model.ofFolder(contents.localPath(path));
    const paths = new WeakMap<Element, string>();

    const proto = DirListing.Renderer.prototype;
    const plain = proto.updateItemNode;
    proto.updateItemNode = function (node, file, ...rest): void {
      plain.call(this, node, file, ...rest);
      const path = file.type === 'directory' ? file.path : '';
      paths.set(node, path);
      mark(node, path ? find(path) : undefined, trans);
    };
    model.changed.connect(() => {
      for (const node of document.querySelectorAll<HTMLElement>(ROW)) {
        const path = paths.get(node);
        if (path) {
          mark(node, find(path), trans);
        }
      }
    });
  }
};

/** `workspace`: whose folder the row is; none: it is any other file. */
function mark(
  node: HTMLElement,
  workspace: IWorkspace | undefined,
  trans: TranslationBundle
): void {
  const text = node.getElementsByClassName(TEXT)[0] as HTMLElement | undefined;
  const container = node.getElementsByClassName(ICON)[0];
  if (!text || !(container instanceof HTMLElement)) {
    return;
  }
  const was = text.dataset.sylaState !== undefined;
  if (!workspace) {
    if (was) {
      delete text.dataset.sylaState;
      delete text.dataset.sylaWords;
      node.title = node.title.split(SAID)[0];
      if (node.dataset.isdir === 'true') {
        draw(folderIcon, container);
      }
    }
    return;
  }
  text.dataset.sylaState = workspace.state;
  const words = stateName(workspace, trans);
  text.dataset.sylaWords = words; // which may be cut off there
  node.title = node.title.split(SAID)[0] + SAID + words;
  text.firstElementChild?.setAttribute('dir', 'auto'); // cut at its own end
  draw(workspacesIcon, container);
}

/** After JupyterLab's own, which waits for a frame. */
function draw(icon: LabIcon, container: HTMLElement): void {
  requestAnimationFrame(() => {
    icon.element({ container, className: ICON, stylesheet: 'listing' });
  });
}

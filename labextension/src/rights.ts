/** What a role means for JupyterLab's commands and for what a document's banner says. Pure. */
import { TranslationBundle } from '@jupyterlab/translation';

import { IWorkspace } from './api';
import { may, Role } from './people';

/** Of one person on one document. */
export interface IRights {
  write: boolean;
  execute: boolean;
}

export const ALL: IRights = { write: true, execute: true };
export const LOOK: IRights = { write: false, execute: false };

export function rightsOf(role: Role): IRights {
  return { write: may(role, 'write'), execute: may(role, 'execute') };
}

/** Commands that run code, or do something to a kernel. */
const RUNS = [
  /^(runmenu|kernelmenu|debugger):/,
  /^notebook:(run|restart|interrupt|shutdown|change-kernel|get-kernel|reconnect)/,
  /^notebook:create-(sub)?(shell-)?console/,
  /^notebook:access-(next|previous)-history/,
  /^console:(create|run|restart|interrupt|inject|change-kernel|shutdown|linebreak)/,
  /^fileeditor:(run|create-console|restart)/,
  /^terminal:create-new/
];

/** Commands that change what the document in front says. */
const EDITS = [
  /^notebook:(insert|delete|duplicate|merge|split|move-cell|change-cell|undo|redo|clear)/,
  /^notebook:(cut|paste|replace|toggle-render|copy-and-cut)/,
  /^editmenu:(undo|redo|clear|find-and-replace)/,
  /^fileeditor:(cut|paste|undo|redo|replace)/
];

/** Commands that keep it, or do something to its file. A copy elsewhere is somebody's own. */
const KEEPS = [/^docmanager:(save|save-all|rename|delete|restore-checkpoint)$/];

/** Commands of the file browser that change the folder that it shows. */
const FOLDER =
  /^filebrowser:(create-new|delete|rename|cut|paste|duplicate|upload)/;

/** Whether a command of JupyterLab is not for who has these rights on the document in front, or on the folder shown. */
export function isRefused(
  command: string,
  document: IRights,
  folder: IRights
): boolean {
  const isOf = (list: RegExp[]): boolean => list.some(one => one.test(command));
  if (!document.execute && isOf(RUNS)) {
    return true;
  }
  // Who may run and not save edits a page of her own.
  if (!document.write && !document.execute && isOf(EDITS)) {
    return true;
  }
  if (!document.write && isOf(KEEPS)) {
    return true;
  }
  return !folder.write && FOLDER.test(command);
}

/** Why somebody cannot do all with a document, and what to do; empty: nothing to say. */
export function bannerWords(
  workspace: IWorkspace | undefined,
  rights: IRights,
  trans: TranslationBundle
): string {
  if (rights.write) {
    return '';
  }
  if (!workspace) {
    return trans.__(
      'You may look at this, and neither change nor run anything. Ask who owns it to share the workspace with you.'
    );
  }
  const { name, owner } = workspace;
  return rights.execute
    ? trans.__(
        'You are a runner of %1: you may run code, and not save. What you type stays in this page until it is closed: save a copy in a workspace of your own, or ask %2 to make you an editor.',
        name,
        owner
      )
    : trans.__(
        'You are a viewer of %1: you may look, and neither change nor run anything. Ask %2 to make you a runner or an editor.',
        name,
        owner
      );
}

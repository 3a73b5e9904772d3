/** Versions of a workspace, as the server gives them: the shapes of `syla_jupyter/server/snapshot_wire.py`. */
import { IWorkspace } from './api';

export const MESSAGE_MAX = 1000; // characters

export type Reason =
  | 'manual'
  | 'timer'
  | 'suspend'
  | 'archive'
  | 'pre_restore'
  | 'clone'
  | 'import';

export interface ISnapshot {
  version: number;
  created_at: string;
  author: string;
  message: string;
  reason: Reason;
  files: number;
  bytes_total: number;
  /** What was stored for it, beside what earlier versions had. */
  bytes_new: number;
  /** While it has any, no rule lets it go. */
  tags: string[];
}

export interface ITaken {
  /** null: nothing had changed. */
  snapshot: ISnapshot | null;
  /** All of one moment. */
  consistent: boolean;
  /** What could not be saved as it was, counted by kind. */
  said: { [kind: string]: number };
}

export interface IRestored {
  /** That has the version now. */
  workspace: IWorkspace;
  /** The version that holds what was overwritten. */
  saved: number | null;
  /** What did not come back, and why. */
  notes: string[];
}

export interface IFileChange {
  /** `files/a` or `home/a`. */
  path: string;
  kind: string;
  /** Where it was, if that is another place. */
  path_before: string | null;
  /** null: it is not there any more. */
  bytes: number | null;
  /** null: it was not there. */
  bytes_before: number | null;
}

export interface IDiff {
  added: IFileChange[];
  changed: IFileChange[];
  removed: IFileChange[];
  renamed: IFileChange[];
  /** The same content with another mode, time or attribute. */
  attributes: IFileChange[];
  /** Files that are not listed because there are too many. */
  omitted: number;
  packages: string[];
  variables: string[];
}

export interface IDiffLine {
  sign: 'added' | 'removed' | 'same' | 'skipped';
  text: string;
  /** Of `skipped`: so many are the same and not shown. */
  count: number;
}

export type CellType = 'code' | 'markdown' | 'raw';

export interface ICellChange {
  change: 'added' | 'removed' | 'changed' | 'moved';
  type: CellType;
  type_before: CellType;
  /** Its number in the notebook, from 1; null: it was not there. */
  before: number | null;
  /** null: it is not there any more. */
  after: number | null;
  /** Past others that stayed, whatever else changed. */
  moved: boolean;
  /** Have changed. */
  outputs: boolean;
  /** Of its source. */
  lines: IDiffLine[];
}

export interface IFileDiff {
  kind: 'notebook' | 'text' | 'none';
  /** Why there is nothing to be shown. */
  why: '' | 'too_large' | 'too_slow' | 'no_text';
  bytes_before: number;
  bytes: number;
  cells: ICellChange[];
  lines: IDiffLine[];
  /** Lines and cells that are too many. */
  omitted: number;
}

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
  /** Content that no earlier version had. */
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

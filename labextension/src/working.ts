/**
 * What takes long on the server, in the words of a person, and as a command waits for it.
 *
 * How far it is, and its Cancel, are shown for as long as the server says that it is under way (`plugins/operations`),
 * by whichever page. Where no events arrive, nothing but that it is being done.
 */
import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { IWorkspace } from './api';
import { size } from './format';
import { WorkspacesModel } from './model';
import { withProgress } from './notices';
import { IOperation } from './operations';
import { ApiError, UNREACHABLE } from './request';

export type LongVerb =
  'snapshot' | 'restore' | 'archive' | 'recover' | 'export' | 'clone';

/** Null: it was cancelled, which is said. Rejects as `work` does otherwise. */
export async function worked<T>(
  model: WorkspacesModel,
  workspace: IWorkspace,
  verb: LongVerb,
  work: Promise<T>,
  trans: TranslationBundle
): Promise<T | null> {
  const { id, name } = workspace;
  try {
    return await (model.live
      ? work
      : withProgress(work, doing(verb, name, trans)));
  } catch (reason) {
    if (!isCancelled(reason, model.operations.isCancelled(id, verb))) {
      throw reason;
    }
    Notification.info(cancelledWords(verb, name, trans), { autoClose: 10_000 });
    return null;
  }
}

/** A file of which only a part was sent looks to a page as if nobody had answered. */
function isCancelled(reason: unknown, asked: boolean): boolean {
  return (
    reason instanceof ApiError &&
    (reason.code === 'cancelled' || (asked && reason.code === UNREACHABLE))
  );
}

/** That it is being done. */
export function doing(
  verb: string,
  name: string,
  trans: TranslationBundle
): string {
  switch (verb) {
    case 'snapshot':
      return trans.__('Taking a snapshot of %1…', name);
    case 'restore':
      return trans.__('Restoring %1…', name);
    case 'archive':
      return trans.__('Archiving %1…', name);
    case 'recover':
      return trans.__('Recovering %1…', name);
    case 'export':
      return trans.__('Exporting %1…', name);
    case 'clone':
      return trans.__('Cloning %1…', name);
    case 'suspend':
      return trans.__('Suspending %1…', name);
    case 'stop':
      return trans.__('Stopping %1…', name);
    case 'resume':
      return trans.__('Resuming %1…', name);
    case 'delete':
      return trans.__('Deleting %1…', name);
    default:
      return trans.__('%1 is being changed…', name);
  }
}

/** How far it is; empty where nobody knows. */
export function progressWords(
  operation: IOperation,
  trans: TranslationBundle
): string {
  const { bytes_done, bytes_total, files_done, files_total } = operation;
  if (bytes_done && bytes_total && bytes_done <= bytes_total) {
    return trans.__('%1 of %2', size(bytes_done), size(bytes_total));
  }
  if (files_done && files_total && files_done <= files_total) {
    const bytes = size(bytes_done ?? 0);
    return trans.__('%1 of %2 files, %3', files_done, files_total, bytes);
  }
  return bytes_done ? size(bytes_done) : '';
}

/** From 0 to 1; null where nobody knows. */
export function share(operation: IOperation): number | null {
  const { bytes_done, bytes_total, files_done, files_total } = operation;
  const [done, total] = bytes_total
    ? [bytes_done, bytes_total]
    : [files_done, files_total];
  return done !== null && total ? Math.min(1, done / total) : null;
}

/** All that a notice says of it. */
export function operationWords(
  operation: IOperation,
  trans: TranslationBundle
): string {
  const what = doing(operation.verb, operation.workspace, trans);
  if (operation.cancelled) {
    return trans.__('Cancelling: %1', what);
  }
  const far = progressWords(operation, trans);
  const text = far ? `${what} ${far}` : what;
  return CANCELLABLE.has(operation.verb) && !operation.cancellable
    ? trans.__('%1 (it cannot be cancelled any more)', text)
    : text;
}

const CANCELLABLE = new Set([
  'snapshot',
  'restore',
  'archive',
  'recover',
  'export',
  'clone'
]);

function cancelledWords(
  verb: LongVerb,
  name: string,
  trans: TranslationBundle
): string {
  switch (verb) {
    case 'snapshot':
      return trans.__('Cancelled: no snapshot of %1 was taken.', name);
    case 'restore':
      return trans.__('Cancelled: the files of %1 are as they were.', name);
    case 'archive':
      return trans.__('Cancelled: %1 is not archived.', name);
    case 'recover':
      return trans.__('Cancelled: %1 stays archived.', name);
    case 'export':
      return trans.__('Cancelled: %1 was not exported.', name);
    case 'clone':
      return trans.__('Cancelled: there is no clone of %1.', name);
  }
}

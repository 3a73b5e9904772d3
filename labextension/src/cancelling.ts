/**
 * What takes long says so and can be cancelled, where what it does can be undone.
 *
 * The server finishes what it has begun. So who cancels is done with it at once; when it is finished it is undone.
 */
import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { report } from './notices';
import { orUndone } from './undoing';

const SLOW_MS = 1_000;

/** Null: it was cancelled. Rejects as `work` does, unless it was. */
export async function cancellable<T>(
  work: Promise<T>,
  doing: string,
  undo: (done: T) => Promise<unknown>,
  trans: TranslationBundle
): Promise<T | null> {
  let note = '';
  let cancel = (): void => undefined;
  const cancelled = new Promise<void>(resolve => {
    cancel = resolve;
  });
  const timer = setTimeout(() => {
    note = Notification.emit(doing, 'in-progress', {
      autoClose: false,
      actions: [{ label: trans.__('Cancel'), callback: cancel }]
    });
  }, SLOW_MS);
  const close = (): void => {
    clearTimeout(timer);
    if (note) {
      Notification.dismiss(note);
    }
  };
  try {
    const outcome = await orUndone(work, cancelled, undo);
    if ('done' in outcome) {
      close();
      return outcome.done;
    }
    note = Notification.emit(
      trans.__('Cancelled, and undone when it is finished: %1', doing),
      'in-progress',
      { autoClose: false }
    );
    void outcome.undone
      .catch(reason => report(trans.__('Cancel'), reason, trans))
      .finally(close);
    return null;
  } catch (reason) {
    close();
    throw reason;
  }
}

/** What is told in a corner of the page: slow work, refusals, warnings. */
import { Notification, showErrorMessage } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { ApiError, SERVER_MISSING, SERVER_OLDER, UNREACHABLE } from './request';

const SLOW_MS = 1_000;
const SHORT = 140; // characters that fit into a notification

/** Says what is being done when it takes longer than a moment. */
export async function withProgress<T>(
  work: Promise<T>,
  doing: string
): Promise<T> {
  let note = '';
  const timer = setTimeout(() => {
    note = Notification.emit(doing, 'in-progress', { autoClose: false });
  }, SLOW_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
    if (note) {
      Notification.dismiss(note);
    }
  }
}

/** What went wrong, and what to do about it. */
export function explain(
  reason: unknown,
  trans: TranslationBundle
): { message: string; hint: string } {
  if (!(reason instanceof ApiError)) {
    return { message: String(reason), hint: '' };
  }
  switch (reason.code) {
    case UNREACHABLE:
      return {
        message: trans.__('The Jupyter server does not answer.'),
        hint: trans.__('It is asked again and again. Is it still running?')
      };
    case SERVER_MISSING:
      return {
        message: trans.__('This server has no Syla workspaces.'),
        hint: trans.__(
          'Run this where the server runs, then start it again: %1',
          'pip install syla-jupyter && jupyter server extension enable syla_jupyter'
        )
      };
    case SERVER_OLDER:
      return {
        message: trans.__('The server runs an older version of syla-jupyter.'),
        hint: trans.__(
          'Run this where the server runs, then start it again: %1',
          'pip install --upgrade syla-jupyter'
        )
      };
    default:
      return { message: reason.message, hint: reason.hint };
  }
}

/** A refusal: in the corner when it is short, else as a dialog. */
export async function report(
  what: string,
  reason: unknown,
  trans: TranslationBundle
): Promise<void> {
  const { message, hint } = explain(reason, trans);
  const text = [what, message, hint].filter(Boolean).join('\n');
  if (text.length <= SHORT) {
    Notification.error(text, { autoClose: false });
  } else {
    await showErrorMessage(what, [message, hint].filter(Boolean).join('\n\n'));
  }
}

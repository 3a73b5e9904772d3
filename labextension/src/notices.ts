/** What is told in a corner of the page: slow work, refusals, warnings. */
import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

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
      return { message: named(reason, trans), hint: reason.hint };
  }
}

/** With the field called as it is on the page. */
function named(reason: ApiError, trans: TranslationBundle): string {
  const { field, message } = reason;
  const labels: { [field: string]: string } = {
    name: trans.__('Name'),
    template: trans.__('Template'),
    'limits.cpus': trans.__('CPU cores'),
    'limits.memory_bytes': trans.__('Memory'),
    'limits.disk_bytes': trans.__('Disk'),
    'limits.pids': trans.__('Processes'),
    message: trans.__('Message'),
    paths: trans.__('Paths')
  };
  const label = labels[field ?? ''];
  return label && message.startsWith(`${field}: `)
    ? `${label}: ${message.slice(`${field}: `.length)}`
    : message;
}

/** As it stands by itself. */
export function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…)]$/.test(begun) ? begun : `${begun}.`;
}

/** What a person can do about it with one click. */
export interface IWayOut {
  label: string;
  go: () => void;
}

/** A refusal: in the corner when it is short, else as a dialog. */
export async function report(
  what: string,
  reason: unknown,
  trans: TranslationBundle,
  way: IWayOut | null = null
): Promise<void> {
  const { message, hint } = explain(reason, trans);
  const said = [message, hint].filter(Boolean).map(sentence);
  const text = [sentence(what), ...said].join(' ');
  if (text.length <= SHORT) {
    Notification.error(text, {
      autoClose: false,
      actions: way ? [{ label: way.label, callback: way.go }] : []
    });
    return;
  }
  const close = Dialog.cancelButton({ label: trans.__('Close') });
  const result = await showDialog({
    title: what,
    body: React.createElement(
      'div',
      null,
      ...said.map(line => React.createElement('p', { key: line }, line))
    ),
    buttons: way ? [close, Dialog.okButton({ label: way.label })] : [close]
  });
  if (way && result.button.accept) {
    way.go();
  }
}

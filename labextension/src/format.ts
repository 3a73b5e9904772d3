/** Numbers in the words of a person. */
import { TranslationBundle } from '@jupyterlab/translation';

import { IWorkspace } from './api';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MESSAGE_MAX = 140; // characters that JupyterLab shows of a notification

/** Bytes in the unit a person would choose. */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  const text = bytes >= 100 || unit === 0 ? bytes.toFixed(0) : bytes.toFixed(1);
  return `${text.replace(/\.0$/, '')} ${units[unit]}`;
}

/** The biggest unit, rounded down. */
export function duration(seconds: number, trans: TranslationBundle): string {
  if (seconds < MINUTE) {
    return trans.__('less than a minute');
  }
  if (seconds < HOUR) {
    return trans.__('%1 min', Math.floor(seconds / MINUTE));
  }
  if (seconds < 2 * DAY) {
    const hours = Math.floor(seconds / HOUR);
    const minutes = Math.floor((seconds % HOUR) / MINUTE);
    return hours < 10 && minutes
      ? trans.__('%1 h %2 min', hours, minutes)
      : trans.__('%1 h', hours);
  }
  return trans.__('%1 days', Math.floor(seconds / DAY));
}

/** A time of the server in the person's zone and language. */
export function moment(at: string): string {
  const time = new Date(at);
  return Number.isNaN(time.getTime())
    ? at
    : time.toLocaleString(undefined, {
        dateStyle: 'medium',
        timeStyle: 'short'
      });
}

/** When which end comes by itself; empty where none does. */
export function deadline(
  workspace: IWorkspace,
  nowMs: number,
  trans: TranslationBundle
): string {
  const { action, at } = workspace.next;
  if (!at) {
    return '';
  }
  const left = duration(Math.max(0, (Date.parse(at) - nowMs) / 1000), trans);
  switch (action) {
    case 'suspend':
      return trans.__('Suspends in %1', left);
    case 'stop':
      return trans.__('Its container ends in %1', left);
    case 'archive':
      return trans.__('Archived in %1', left);
    case 'delete':
      return trans.__('Deleted for good in %1', left);
    default:
      return '';
  }
}

export function stateName(
  workspace: IWorkspace,
  trans: TranslationBundle
): string {
  switch (workspace.state) {
    case 'created':
      return trans.__('not started');
    case 'active':
      return trans.__('active');
    case 'suspended':
      return workspace.frozen ? trans.__('suspended') : trans.__('stopped');
    case 'archived':
      return trans.__('archived');
    default:
      return trans.__('being deleted');
  }
}

/** As much of a text as a notification shows, cut where a sentence ends if there is such a place. */
export function brief(text: string, max = MESSAGE_MAX): string {
  if (text.length <= max) {
    return text;
  }
  const cut = text.slice(0, max);
  const end = Math.max(cut.lastIndexOf('. '), cut.lastIndexOf('; '));
  return end > 0 ? `${cut.slice(0, end)}.` : `${text.slice(0, max - 1)}…`;
}

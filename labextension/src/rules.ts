/** Decisions on workspaces, pure: which one a path belongs to, in which order, what matches, what a verb loses. */
import { TranslationBundle } from '@jupyterlab/translation';

import { IFilesEvent, IWorkspace } from './api';
import { duration, size, stateName } from './format';
import { IRestored, ITaken, Reason } from './snapshots';

export type Shown = 'all' | 'active' | 'suspended' | 'archived';

/** The registered one at or above the path, else the default one. */
export function workspaceOf(
  path: string,
  workspaces: ReadonlyArray<IWorkspace>
): IWorkspace | undefined {
  const place = path.replace(/^\/+|\/+$/g, '');
  let found: IWorkspace | undefined;
  for (const workspace of workspaces) {
    const root = workspace.path;
    if (root === null || workspace.state === 'archived') {
      continue;
    }
    if (root === '' || place === root || place.startsWith(`${root}/`)) {
      if (!found || root.length > (found.path ?? '').length) {
        found = workspace;
      }
    }
  }
  // `workspaces/` is masked in the default one: what is there and registered to nobody is in no workspace.
  return found?.path === '' && /^workspaces(\/|$)/.test(place)
    ? undefined
    : found;
}

/** Whether the list of a folder may be another one now. */
export function concerns(
  folder: string,
  changed: Pick<IFilesEvent, 'count' | 'paths'>
): boolean {
  return (
    folder === '' ||
    changed.count > changed.paths.length ||
    changed.paths.some(path => path === folder || path.startsWith(`${folder}/`))
  );
}

const names = new Intl.Collator(); // `localeCompare` finds its own anew for each pair

export function byName(a: IWorkspace, b: IWorkspace): number {
  return a.is_default !== b.is_default
    ? Number(b.is_default) - Number(a.is_default)
    : names.compare(a.name, b.name);
}

/** `words`: each must occur in name, type, template, owner or state. */
export function matching(
  workspaces: ReadonlyArray<IWorkspace>,
  words: string,
  shown: Shown
): IWorkspace[] {
  const wanted = words.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  return workspaces.filter(one => {
    if (shown === 'active' && one.state !== 'active') {
      return false;
    }
    if (
      shown === 'suspended' &&
      !['suspended', 'created'].includes(one.state)
    ) {
      return false;
    }
    if (shown === 'archived' && one.state !== 'archived') {
      return false;
    }
    const text = [one.name, one.type, one.template, one.owner, one.state]
      .join('\n')
      .toLocaleLowerCase();
    return wanted.every(word => text.includes(word));
  });
}

/** A free name to begin with. */
export function freeName(
  workspaces: ReadonlyArray<IWorkspace>,
  base: string
): string {
  const taken = new Set(workspaces.map(one => one.name.toLocaleLowerCase()));
  let number = 1;
  while (taken.has(`${base}-${number}`.toLocaleLowerCase())) {
    number += 1;
  }
  return `${base}-${number}`;
}

/** What `touch` is asked for, so that the deadline comes so much later than it would. */
export function extension(
  workspace: IWorkspace,
  moreSeconds: number,
  now: number
): number {
  const at = workspace.next.at ? Date.parse(workspace.next.at) : now;
  return Math.max(0, (at - now) / 1000) + moreSeconds;
}

/** Of versions such as `0.1.0`; what is no version is not older. */
export function isOlder(version: string, than: string): boolean {
  const numbers = (text: string): number[] => text.split('.').map(Number);
  const [a, b] = [numbers(version), numbers(than)];
  for (let place = 0; place < 2; place += 1) {
    if (a[place] !== b[place]) {
      return a[place] < b[place];
    }
  }
  return false;
}

const SAID_MAX = 3;

/** What has become of workspaces since, a sentence each; empty: nothing, or more than somebody would listen to. */
export function changedWords(
  before: ReadonlyArray<IWorkspace>,
  now: ReadonlyArray<IWorkspace>,
  trans: TranslationBundle
): string {
  if (before === now) {
    return '';
  }
  const state = (one: IWorkspace): string =>
    trans.__('%1: %2.', one.name, stateName(one, trans));
  const was = new Map(before.map(one => [one.id, one]));
  const left = new Map(was);
  const words: string[] = [];
  for (const one of now) {
    const then = was.get(one.id);
    left.delete(one.id);
    if (then?.state !== one.state || then.frozen !== one.frozen) {
      words.push(state(one));
    }
  }
  for (const one of left.values()) {
    words.push(trans.__('%1 is not in the list any more.', one.name));
  }
  return words.length <= SAID_MAX ? words.join(' ') : '';
}

/** What is lost, and what stays: lines for the confirmation. */
export function losses(
  workspace: IWorkspace,
  verb: 'stop' | 'archive' | 'delete',
  trans: TranslationBundle
): string[] {
  const lines: string[] = [];
  if (workspace.execution) {
    lines.push(trans.__('Ends: its kernels, and what runs in terminals.'));
  }
  if (verb === 'delete') {
    lines.push(
      workspace.disk_bytes // none: not measured yet
        ? trans.__(
            'Lost for good: its files, installed packages and variables (%1), and all snapshots of it.',
            size(workspace.disk_bytes)
          )
        : trans.__(
            'Lost for good: its files, installed packages and variables, and all snapshots of it.'
          )
    );
    return lines;
  }
  lines.push(trans.__('Kept: its files and installed packages.'));
  if (workspace.execution) {
    lines.push(
      trans.__(
        'Kept as far as they can be saved: its variables. Connections and open files cannot.'
      )
    );
  }
  if (verb === 'archive') {
    lines.push(
      trans.__(
        'Nothing of it stays on this machine: it is in the object store, from where Recover brings it back.'
      )
    );
    const kept = workspace.policy.retention_seconds;
    lines.push(
      kept === null
        ? trans.__('An archived workspace stays until somebody deletes it.')
        : trans.__(
            'An archived workspace is deleted for good after %1.',
            duration(kept, trans)
          )
    );
  }
  return lines;
}

/** How a version is called, here as on the command line. */
export function versionName(version: number): string {
  return `v${version}`;
}

/** Why there is a version. */
export function reasonWords(reason: Reason, trans: TranslationBundle): string {
  switch (reason) {
    case 'manual':
      return trans.__('taken by a person');
    case 'timer':
      return trans.__('taken automatically');
    case 'suspend':
      return trans.__('when its container ended');
    case 'archive':
      return trans.__('when it was archived');
    case 'pre_restore':
      return trans.__('before a restore');
    case 'clone':
      return trans.__('for a clone');
    case 'import':
      return trans.__('when it was imported');
    default:
      return String(reason);
  }
}

/** The paths in a text with one a line, each once; none means everything. */
export function pathsIn(text: string): string[] {
  const lines = text.split('\n').map(line => line.trim());
  return [...new Set(lines.filter(Boolean))];
}

/** What restoring does, before it is done. */
export function restoreLines(
  workspace: IWorkspace,
  trans: TranslationBundle
): string[] {
  const lines = [
    trans.__('What is there now is saved first, as a snapshot of its own.')
  ];
  if (workspace.is_default) {
    lines.push(
      trans.__(
        'Of the default workspace only paths go back: its files are the server’s own directory.'
      )
    );
  } else if (workspace.execution) {
    lines.push(
      trans.__(
        'All of it: its container ends, and the next kernels have the variables of that version. Paths alone: kernels run on.'
      )
    );
  }
  return lines;
}

/** What to say of a snapshot that was just taken: not all can be saved of a workspace that runs on. */
export function takenWords(
  workspace: IWorkspace,
  taken: ITaken,
  trans: TranslationBundle
): string {
  const { snapshot, consistent, said } = taken;
  if (!snapshot) {
    return trans.__('Nothing has changed in %1.', workspace.name);
  }
  const kinds = Object.entries(said).map(([kind, count]) => `${count} ${kind}`);
  return [
    trans.__(
      '%1 of %2: %3, %4, %5 added to the store.',
      versionName(snapshot.version),
      workspace.name,
      trans._n('one file', '%1 files', snapshot.files),
      size(snapshot.bytes_total),
      size(snapshot.bytes_new)
    ),
    consistent
      ? ''
      : trans.__('Something in it changed while it was being saved.'),
    kinds.length
      ? trans.__('Left out, or not whole: %1.', kinds.join(', '))
      : ''
  ]
    .filter(Boolean)
    .join(' ');
}

/** What came back, where to find what was there before, and what to do next. */
export function restoredWords(
  before: IWorkspace,
  version: number,
  paths: ReadonlyArray<string>,
  restored: IRestored,
  trans: TranslationBundle
): string {
  const name = versionName(version);
  const what = paths.length
    ? trans._n(
        '%2 of %3 is as in %4 again.',
        '%1 paths of %3 are as in %4 again.',
        paths.length,
        paths[0],
        before.name,
        name
      )
    : trans.__('%1 is as in %2 again.', before.name, name);
  const saved =
    restored.saved === null
      ? trans.__('What was there is in the newest snapshot.')
      : trans.__('What was there is %1.', versionName(restored.saved));
  const next =
    before.execution && !paths.length
      ? trans.__('Resume it to go on with its notebooks.')
      : '';
  return [what, saved, next].filter(Boolean).join(' ');
}

import { nullTranslator } from '@jupyterlab/translation/lib/base';
import { expect, test } from 'vitest';

import { inSight, nextOf } from '../src/components/VirtualList';
import { IWorkspace } from '../src/api';
import { brief, deadline, duration, moment, size } from '../src/format';
import { Reason } from '../src/snapshots';
import {
  byName,
  changedWords,
  concerns,
  extension,
  freeName,
  isOlder,
  losses,
  matching,
  pathsIn,
  reasonWords,
  restoredWords,
  restoreLines,
  takenWords,
  workspaceOf
} from '../src/rules';
import { sample, snapshot } from './samples';

const trans = nullTranslator.load('test');
const root = sample({ id: 'd', name: 'default', path: '', is_default: true });
const alpha = sample();
const beta = sample({ id: 'b', name: 'beta', path: 'workspaces/alphabet' });

test('a folder is read again when something beneath it has changed', () => {
  const made = (...paths: string[]): { count: number; paths: string[] } => ({
    count: paths.length,
    paths
  });
  const file = made('workspaces/alpha/deep/x.csv');
  for (const folder of ['', 'workspaces/alpha', 'workspaces/alpha/deep']) {
    expect(concerns(folder, file)).toBe(true);
  }
  for (const folder of ['workspaces/alphabet', 'workspaces/alpha/other']) {
    expect(concerns(folder, file)).toBe(false);
  }
  expect(concerns('workspaces/alpha', made('workspaces/alpha'))).toBe(true);
  expect(concerns('elsewhere', { ...file, count: 2 })).toBe(true); // which is not told
});

test('a path belongs to the workspace at or above it, else to the default one', () => {
  const all = [root, alpha, beta];
  expect(workspaceOf('workspaces/alpha', all)).toBe(alpha);
  expect(workspaceOf('/workspaces/alpha/deep/x.ipynb', all)).toBe(alpha);
  expect(workspaceOf('workspaces/alphabet/x', all)).toBe(beta);
  expect(workspaceOf('data/x.ipynb', all)).toBe(root);
  expect(workspaceOf('', all)).toBe(root);
  expect(workspaceOf('workspaces/nobody/x', all)).toBeUndefined();
  expect(workspaceOf('data', [alpha])).toBeUndefined();
  expect(workspaceOf('a', [sample({ path: null })])).toBeUndefined();
  const away = sample({ state: 'archived' });
  expect(workspaceOf('workspaces/alpha', [away])).toBeUndefined();
});

test('the default one is first, then names', () => {
  expect([beta, alpha, root].sort(byName)).toEqual([root, alpha, beta]);
});

test('the filter looks at every word, and at the state', () => {
  const all = [root, alpha, beta, sample({ name: 'old', state: 'archived' })];
  expect(matching(all, '', 'all')).toHaveLength(4);
  expect(matching(all, 'AL persist', 'all')).toEqual([alpha]);
  expect(matching(all, '', 'archived')).toEqual([all[3]]);
  expect(matching(all, 'archived', 'active')).toEqual([]);
  expect(
    matching([sample({ state: 'created' })], '', 'suspended')
  ).toHaveLength(1);
});

test('a new name is free', () => {
  expect(freeName([], 'w')).toBe('w-1');
  expect(freeName([sample({ name: 'W-1' })], 'w')).toBe('w-2');
});

test('extending puts a deadline off from where it is', () => {
  const now = Date.parse('2026-11-22T10:00:00Z');
  const next = { action: 'suspend', at: '2026-11-22T10:05:00Z', reason: '' };
  expect(extension(sample({ next }), 3600, now)).toBe(3900);
  expect(extension(sample({ next }), 3600, now + 600_000)).toBe(3600);
});

test('deadlines in words', () => {
  const now = Date.parse('2026-11-22T10:00:00Z');
  const at = '2026-11-22T10:42:30Z';
  const words = (action: string) =>
    deadline(sample({ next: { action, at, reason: '' } }), now, trans);
  expect(words('suspend')).toBe('Suspends in 42 min');
  expect(words('delete')).toBe('Deleted for good in 42 min');
  expect(deadline(sample(), now, trans)).toBe('');
});

test('numbers in words', () => {
  expect([0, 1023, 1536, 2 ** 32, 117 * 2 ** 20].map(size)).toEqual([
    '0 B',
    '1023 B',
    '1.5 KiB',
    '4 GiB',
    '117 MiB'
  ]);
  const words = [5, 60, 3599, 3700, 40_000, 30 * 86400].map(seconds =>
    duration(seconds, trans)
  );
  expect(words).toEqual([
    'less than a minute',
    '1 min',
    '59 min',
    '1 h 1 min',
    '11 h',
    '30 days'
  ]);
});

test('a long message ends where a sentence does', () => {
  expect(brief('Short.')).toBe('Short.');
  expect(brief(`It was stopped. ${'x'.repeat(200)}`)).toBe('It was stopped.');
  expect(brief('x'.repeat(200))).toHaveLength(140);
});

test('a confirmation names what is lost', () => {
  const full = sample({ disk_bytes: 3 * 2 ** 20 });
  expect(losses(full, 'delete', trans).join('\n')).toContain('3 MiB');
  expect(losses(full, 'delete', trans).join('\n')).toContain('all snapshots');
  expect(losses(full, 'stop', trans).join('\n')).toContain('its variables');
  expect(losses(full, 'archive', trans).join('\n')).toContain('object store');
  expect(losses(full, 'archive', trans).join('\n')).toContain('after 30 days');
  const stopped = sample({ execution: '' });
  expect(losses(stopped, 'archive', trans).join('\n')).not.toContain(
    'variables'
  );
  const kept = sample({ policy: { retention_seconds: null } });
  expect(losses(kept, 'archive', trans).join('\n')).toContain('until somebody');
});

test('versions', () => {
  expect(isOlder('0.1.0', '0.2.0')).toBe(true);
  expect(isOlder('0.2.0', '0.1.9')).toBe(false);
  expect(isOlder('0.1.0', '0.1.5')).toBe(false);
  expect(isOlder('1.0', '0.9')).toBe(false);
  expect(isOlder('unknown', '0.1.0')).toBe(false);
});

test('of a long list only what is in sight is drawn', () => {
  expect(inSight(500, 100, 0, 800)).toEqual([0, 10]);
  expect(inSight(500, 100, 20_000, 800)).toEqual([198, 210]);
  expect(inSight(3, 100, 0, 800)).toEqual([0, 3]);
  expect(inSight(2, 100, 40_000, 800)).toEqual([2, 2]);
});

test('what a snapshot says when it was taken', () => {
  const all = { snapshot: snapshot(7), consistent: true, said: {} };
  const words = (over: object): string =>
    takenWords(alpha, { ...all, ...over }, trans);
  expect(words({})).toBe(
    'v7 of alpha: 3 files, 1 MiB, 0 B added to the store.'
  );
  expect(words({ snapshot: snapshot(7, { files: 1 }) })).toContain(
    ': one file,'
  );
  expect(words({ snapshot: null })).toContain('Nothing has changed');
  expect(words({ consistent: false })).toContain('changed while');
  expect(words({ said: { torn: 2, socket: 1 } })).toContain('2 torn, 1 socket');
});

test('what a restore does is said before', () => {
  const words = (over: Partial<IWorkspace>): string =>
    restoreLines(sample(over), trans).join('\n');
  expect(words({})).toContain('its container ends');
  expect(words({ execution: '' })).not.toContain('container');
  expect(words({ is_default: true })).toContain('only paths');
  expect(words({ is_default: true })).not.toContain('its container ends');
});

test('what a restore did is said after', () => {
  const words = (paths: string[], saved: number | null = 4): string =>
    restoredWords(
      alpha,
      1,
      paths,
      { workspace: alpha, saved, notes: [] },
      trans
    );
  expect(words([])).toBe(
    'alpha is as in v1 again. What was there is v4. Resume it to go on with its notebooks.'
  );
  expect(words(['files/x'])).toBe(
    'files/x of alpha is as in v1 again. What was there is v4.'
  );
  expect(words(['a', 'b'], null)).toBe(
    '2 paths of alpha are as in v1 again. What was there is in the newest snapshot.'
  );
});

test('paths are lines, each once; a space in one is of it', () => {
  expect(pathsIn('')).toEqual([]);
  expect(pathsIn(' files/a b\n\nhome/c\r\nfiles/a b')).toEqual([
    'files/a b',
    'home/c'
  ]);
});

test('a reason that is not known is shown as it is', () => {
  expect(reasonWords('timer', trans)).toBe('taken automatically');
  expect(reasonWords('new' as Reason, trans)).toBe('new');
});

test('keys go from row to row, and stay in the list', () => {
  expect(nextOf('ArrowDown', 1, 9)).toBe(2);
  expect(nextOf('ArrowDown', 8, 9)).toBeNull();
  expect(nextOf('ArrowUp', 0, 9)).toBeNull();
  expect(nextOf('Home', 7, 9)).toBe(0);
  expect(nextOf('End', 0, 9)).toBe(8);
  expect(nextOf('x', 0, 9)).toBeNull();
});

test('what has become of workspaces is said, if it is not too much', () => {
  const words = (now: IWorkspace[]): string =>
    changedWords([root, alpha], now, trans);
  expect(words([root, alpha])).toBe('');
  expect(words([root, sample({ disk_bytes: 9, version: 2 })])).toBe('');
  expect(words([root, sample({ state: 'suspended', frozen: true })])).toBe(
    'alpha: suspended.'
  );
  expect(words([root, alpha, beta])).toBe('beta: active.');
  expect(words([root])).toBe('alpha is not in the list any more.');
  const many = [1, 2, 3, 4].map(one => sample({ id: `${one}` }));
  expect(words([root, alpha, ...many])).toBe('');
});

test('a time that is none is shown as it is', () => {
  expect(moment('soon')).toBe('soon');
  expect(moment('2026-11-22T10:00:00Z')).toMatch(/2026/);
});

import { expect, test } from 'vitest';
import * as Y from 'yjs';

import { IParticipant } from '../src/api';
import { cursorOf } from '../src/cursors';
import { gather, initials } from '../src/presence';

function row(over: Partial<IParticipant>): IParticipant {
  return {
    workspace_id: 'w',
    user: 'ann',
    display_name: 'Ann',
    role: 'editor',
    color: null,
    path: 'workspaces/w/a.txt',
    front: false,
    cursors: [],
    joined_at: '',
    last_activity_at: '',
    idle_seconds: 0,
    ...over
  };
}

test('a person is there once, in the document before her', () => {
  const rows = [
    row({ path: 'a', idle_seconds: 5 }),
    row({ path: 'b', front: true, idle_seconds: 900 }),
    row({ user: 'ben', display_name: 'Ben', path: 'a', idle_seconds: 90 }),
    row({ user: 'ben', display_name: 'Ben', path: 'c', idle_seconds: 30 }),
    row({ user: 'me', display_name: 'Aaron', workspace_id: 'w' }),
    row({ workspace_id: 'v', path: 'v' })
  ];
  const told = (elapsed: number): string[] =>
    (gather(rows, 'me', elapsed).get('w') ?? []).map(
      one => `${one.name} ${one.path} ${one.idle ? 'idle' : 'active'}`
    );
  expect(told(0)).toEqual([
    'Ann b active',
    'Ben c active',
    'Aaron workspaces/w/a.txt active'
  ]);
  expect(told(100)[1]).toBe('Ben c idle');
  expect([...gather(rows, 'me', 0).keys()]).toEqual(['w', 'v']);
});

test('initials of any name', () => {
  const given = ['Ana Maria Lopez', 'ben', ' ', 'דנה כהן', '😀 x'];
  expect(given.map(initials)).toEqual(['AL', 'B', '', 'דכ', '😀X']);
});

test('a cursor is found by who it is of, and nonsense is none', () => {
  const ydoc = new Y.Doc();
  const text = ydoc.getText('source');
  text.insert(0, 'one two');
  const head = JSON.parse(
    JSON.stringify(Y.createRelativePositionFromTypeIndex(text, 4))
  );
  const states = new Map<number, { [key: string]: unknown }>([
    [1, { user: { username: 'ann' }, cursors: [{ head }] }],
    [2, { user: { username: 'ben' }, cursors: [{ head: { item: 'x' } }] }],
    [3, { user: { username: 'eve' }, cursors: 7 }],
    [4, {}]
  ]);
  const awareness = {
    getStates: () => states,
    on: () => undefined,
    off: () => undefined
  };
  text.insert(0, '> ');
  expect(cursorOf({ ydoc, awareness }, 'ann')).toEqual({
    type: text,
    index: 6
  });
  for (const nobody of ['ben', 'eve', 'zoe']) {
    expect(cursorOf({ ydoc, awareness }, nobody)).toBeNull();
  }
});

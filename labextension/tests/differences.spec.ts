import { nullTranslator } from '@jupyterlab/translation';
import { expect, test } from 'vitest';

import { besides, cellWords, lineSign, whyNothing } from '../src/differences';
import { ICellChange, IFileDiff } from '../src/snapshots';

const trans = nullTranslator.load('');

function cell(over: Partial<ICellChange>): ICellChange {
  return {
    change: 'changed',
    type: 'code',
    type_before: 'code',
    before: 2,
    after: 3,
    moved: false,
    outputs: false,
    lines: [],
    ...over
  };
}

function diff(over: Partial<IFileDiff>): IFileDiff {
  return {
    kind: 'none',
    why: '',
    bytes_before: 12 * 2 ** 20,
    bytes: 10,
    cells: [],
    lines: [],
    omitted: 0,
    ...over
  };
}

test('a cell is told by what became of it, and where', () => {
  const words: [Partial<ICellChange>, string][] = [
    [{ change: 'added', before: null }, 'Cell 3 added (code)'],
    [{ change: 'removed', after: null }, 'Cell 2 removed (code)'],
    [{ change: 'moved', moved: true }, 'Cell 3 moved, was 2'],
    [{}, 'Cell 3 changed'],
    [{ moved: true }, 'Cell 3 changed and moved, was 2']
  ];
  for (const [over, expected] of words) {
    expect(cellWords(cell(over), trans)).toBe(expected);
  }
  expect(besides(cell({}), trans)).toEqual([]);
  expect(besides(cell({ outputs: true, type: 'raw' }), trans)).toEqual([
    'It is raw now, was code.',
    'Its outputs changed.'
  ]);
});

test('a line says by a sign and by a word what it is', () => {
  const line = { text: 'x', count: 1 };
  const signs = (['added', 'removed', 'same'] as const).map(sign =>
    lineSign({ ...line, sign }, trans)
  );
  expect(signs.map(({ sign, word }) => [sign, word])).toEqual([
    ['+', 'added:'],
    ['−', 'removed:'],
    [' ', '']
  ]);
});

test('where nothing can be seen it is said why', () => {
  expect(whyNothing(diff({ kind: 'text' }), trans)).toBe('');
  expect(whyNothing(diff({ kind: 'notebook', cells: [cell({})] }), trans)).toBe(
    ''
  );
  expect(whyNothing(diff({ kind: 'notebook' }), trans)).toContain('metadata');
  expect(whyNothing(diff({ why: 'too_large' }), trans)).toBe(
    'Too large to compare: 12 MiB'
  );
  expect(whyNothing(diff({ why: 'too_slow' }), trans)).toContain('in time');
  expect(whyNothing(diff({ why: 'no_text' }), trans)).toContain('no text');
});

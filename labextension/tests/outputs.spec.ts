import { expect, test } from 'vitest';
import * as Y from 'yjs';

import { Delta, followed, keepInPlace } from '../src/outputs';

const text = (value: string): [string, string][] => [
  ['output_type', 'stream'],
  ['name', 'stdout'],
  ['text', value]
];
const shown = (value: string): [string, string][] => [
  ['output_type', 'display_data'],
  ['text', value]
];

/** A cell as jupyter_ydoc has it, and what JupyterLab's model makes of the changes that it is told. */
class Cell {
  ymodel = new Y.Doc().getMap('cell');
  model: string[] = [];
  /** Of the text that came last, whatever has become of it. */
  private _last = '';

  constructor() {
    this.ymodel.set('outputs', new Y.Array());
    this.ymodel.observeDeep(events => {
      this.follow(this.getChanges(events).outputsChange ?? []);
    });
  }

  get outputs(): Y.Array<Y.Map<string>> {
    return this.ymodel.get('outputs') as Y.Array<Y.Map<string>>;
  }

  get rows(): string[] {
    return this.outputs.map(one => one.get('text')!);
  }

  getChanges(events: unknown[]): { outputsChange?: Delta } {
    const found = (events as Y.YEvent<Y.Array<unknown>>[]).find(
      event => event.target === this.outputs
    );
    return { outputsChange: found?.changes.delta as Delta };
  }

  follow(delta: Delta): void {
    let at = 0;
    for (const part of delta) {
      at += part.retain ?? 0;
      this.model.splice(at, part.delete ?? 0);
      for (const one of (part.insert ?? []) as Y.Map<string>[]) {
        const isText = one.get('output_type') === 'stream';
        if (isText && this._last && this.model.length) {
          throw new Error(`${one.get('text')} joined to ${this.model.at(-1)}`);
        }
        this._last = isText ? 'stdout' : '';
        this.model.push(one.get('text')!);
      }
    }
  }
}

test('whatever is replaced, removed or inserted, the model has what is there', () => {
  const cell = new Cell();
  keepInPlace(cell);
  const kinds = [shown, text];
  let seed = 1;
  const pick = (below: number): number =>
    (seed = (seed * 48271) % 0x7fffffff) % below;
  for (let step = 0; step < 500; step++) {
    const { outputs } = cell;
    cell.ymodel.doc!.transact(() => {
      for (let n = pick(3); n >= 0; n--) {
        const at = pick(outputs.length + 1);
        // Two texts of one name are never neighbours: who writes them joins them.
        const isBeside = [at - 1, at].some(
          near => outputs.get(near)?.get('output_type') === 'stream'
        );
        const kind = isBeside ? shown : kinds[pick(2)];
        if (outputs.length > 6 || (outputs.length && pick(2))) {
          const gone = Math.min(at, outputs.length - 1);
          outputs.delete(gone, 1);
          outputs.insert(gone, [new Y.Map(shown(`${step}.${n}`))]);
          if (pick(2)) {
            outputs.delete(gone, 1);
          }
        } else {
          outputs.insert(at, [new Y.Map(kind(`${step}.${n}`))]);
        }
      }
      for (let at = outputs.length - 1; at > 0; at--) {
        const [one, other] = [outputs.get(at - 1), outputs.get(at)];
        if ([one, other].every(row => row.get('output_type') === 'stream')) {
          outputs.delete(at, 1);
        }
      }
    });
    expect(cell.model).toEqual(cell.rows);
  }
});

test('a text that is put in the place of another is not joined to it', () => {
  const cell = new Cell();
  keepInPlace(cell);
  cell.outputs.insert(0, [new Y.Map(shown('a')), new Y.Map(text('b'))]);
  cell.ymodel.doc!.transact(() => {
    cell.outputs.delete(1, 1);
    cell.outputs.insert(1, [new Y.Map(text('c'))]);
  });
  expect(cell.model).toEqual(['a', 'c']);
  cell.outputs.delete(1, 1);
  cell.outputs.insert(1, [new Y.Map(text('d'))]);
  expect(cell.model).toEqual(['a', 'd']);
});

test('what comes at the end is told as it is', () => {
  const delta = [{ retain: 2 }, { insert: ['c'] }];
  expect(followed(delta, ['a', 'b', 'c'])).toBe(delta);
  const all = [{ delete: 2 }];
  expect(followed(all, [])).toBe(all);
});

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { IOutput } from '../src/digests';
import { ICell, Trust } from '../src/trust';

const text: IOutput = { output_type: 'stream' };
const script = (source = 'a'): IOutput => ({
  output_type: 'display_data',
  data: { 'text/html': `<script>${source}</script>` },
  metadata: {}
});

/** What JupyterLab's model of a code cell does, as far as trust goes. */
class Cell implements ICell {
  isDisposed = false;
  standaloneModel = false;
  executionState = 'idle';
  stateChanged = { emit: (args: object): unknown => this.told.push(args) };
  told: object[] = [];
  written: unknown[] = [];
  drawn: string[] = [];
  shared: IOutput[];
  sharedModel = { getOutputs: (): IOutput[] => this.shared };
  private _trusted = false;
  _outputs?: { trusted: boolean };

  constructor(...outputs: IOutput[]) {
    this.shared = outputs;
    this.trusted = !!this.getMetadata('trusted');
    this._draw(); // as the outputs are made
  }

  get trusted(): boolean {
    return this._trusted;
  }

  set trusted(newValue: boolean) {
    const oldValue = this._trusted;
    if (oldValue !== newValue) {
      this._trusted = newValue;
      this.onTrustedChanged(this, { oldValue, newValue });
    }
  }

  getMetadata(key?: string): unknown {
    return key;
  }

  onTrustedChanged(_: unknown, change: object): void {
    this.written.push(change);
  }

  onOutputsChange(_: unknown, event: object): void {
    this.written.push(event);
  }

  _connectStreamListener(_: unknown, index: number): void {
    this.drawn.push(`listens to ${index}`);
  }

  _onSharedModelChanged(_: unknown, __: object): void {
    this._draw();
  }

  /** Somebody else, or the server, changes the document. */
  change(outputs: IOutput[], state = this.executionState): void {
    this.shared = outputs;
    const change: Record<string, unknown> = { outputsChange: [] };
    if (state !== this.executionState) {
      this.executionState = state;
      change.executionStateChange = { newValue: state };
    }
    this._onSharedModelChanged(null, change);
  }

  _draw(): void {
    const cell = this; // eslint-disable-line @typescript-eslint/no-this-alias
    this._outputs = {
      set trusted(value: boolean) {
        cell.drawn.push(String(value));
        const newValues = [{ type: 'stream' }];
        cell.onOutputsChange(null, { type: 'set', newIndex: 1, newValues });
      }
    } as { trusted: boolean };
    if (this.shared.some(one => one.data)) {
      this.drawn.push(this.trusted ? 'with scripts' : 'without');
    }
  }
}

const original = Object.getOwnPropertyDescriptors(Cell.prototype);
let known: Set<string>;
let asked: string[][];
let trust: Trust;

beforeEach(() => {
  vi.useFakeTimers();
  known = new Set();
  asked = [];
  trust = new Trust({
    known: async digests => {
      asked.push(digests);
      return digests.filter(one => known.has(one));
    },
    add: async digests => digests.forEach(one => known.add(one))
  });
  trust.install(Cell.prototype);
});

afterEach(() => {
  Object.defineProperties(Cell.prototype, original);
  vi.useRealTimers();
});

test('a cell says nothing of itself', () => {
  const cell = new Cell(script());
  expect([cell.trusted, cell.drawn]).toEqual([false, ['without']]);
  expect(new Cell(text).trusted).toBe(true);
  expect(new Cell().getMetadata('name')).toBe('name');
});

test('a cell of a console is as without us', () => {
  const cell = new Cell(text);
  cell.standaloneModel = true;
  expect(cell.getMetadata('trusted')).toBe('trusted');
});

test('whom its person trusts is noted, and in no document', async () => {
  const cell = new Cell(script(), text);
  cell.trusted = true;
  await vi.runAllTimersAsync();
  expect(known.size).toBe(1);
  expect(cell.written).toEqual([]);
  expect(cell.drawn).toEqual(['without', 'true', 'listens to 1']);
  expect(cell.told).toEqual([
    { name: 'trusted', oldValue: false, newValue: true }
  ]);

  const [again, other] = [new Cell(script()), new Cell(script('b'))];
  [again, other].forEach(one => trust.look(one));
  await vi.runAllTimersAsync();
  expect([again.trusted, other.trusted]).toEqual([true, false]);
  expect(asked[0]).toHaveLength(2); // one request for both
  expect(known.size).toBe(1);
});

test('what comes from elsewhere is doubted before it is drawn', async () => {
  const cell = new Cell(text);
  cell.change([text, script()]);
  expect([cell.trusted, cell.drawn]).toEqual([
    false,
    ['false', 'listens to 1', 'without']
  ]);
  await vi.runAllTimersAsync();
  expect(cell.trusted).toBe(false);
  cell.change([]);
  expect(cell.trusted).toBe(true); // nothing is there
});

test('what she trusts stays so while it is the same', async () => {
  const cell = new Cell(script());
  cell.trusted = true;
  cell.change([text, script()]);
  expect(cell.trusted).toBe(true);
  cell.change([text, script('b')]);
  expect(cell.trusted).toBe(false);
  cell.change([script()]);
  await vi.runAllTimersAsync();
  expect(cell.trusted).toBe(true); // it is known
});

test('what nobody can know is doubted, drawn and not asked about', async () => {
  let deep: unknown = 0;
  for (let depth = 0; depth < 100_000; depth++) {
    deep = [deep];
  }
  const cell = new Cell(text);
  cell.change([{ output_type: 'display_data', data: { 'text/html': deep } }]);
  await vi.runAllTimersAsync();
  expect([cell.trusted, cell.drawn.at(-1)]).toEqual([false, 'without']);
  expect(asked).toEqual([]);
});

test('a run of hers is trusted, until it is over', async () => {
  const cell = new Cell();
  trust.began(cell);
  cell.change([], 'running');
  cell.change([script()]);
  cell.change([script('b')]);
  expect(cell.trusted).toBe(true);
  cell.change([script('c')], 'idle');
  expect([cell.trusted, cell.drawn.at(-1)]).toEqual([true, 'with scripts']);
  cell.change([script('d')]);
  expect([cell.trusted, cell.drawn.at(-1)]).toEqual([false, 'without']);
  expect(asked).toEqual([]);
});

test('a run of hers that comes to nothing trusts nobody', () => {
  const cell = new Cell();
  trust.began(cell);
  trust.ended(cell);
  cell.change([script()]);
  expect(cell.trusted).toBe(false);
});

test('the server may hear of a late output after this page', async () => {
  const cell = new Cell(script());
  trust.look(cell);
  await vi.advanceTimersByTimeAsync(60);
  expect([cell.trusted, asked.length]).toEqual([false, 1]);
  known = new Set(asked[0]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(cell.trusted).toBe(true);
});

test('what changes while it is asked about is not what was asked', async () => {
  const cell = new Cell(script());
  let answer: (known: string[]) => void = () => undefined;
  trust = new Trust({
    known: digests => new Promise(resolve => (answer = () => resolve(digests))),
    add: async () => undefined
  });
  trust.look(cell);
  await vi.advanceTimersByTimeAsync(60);
  cell.shared = [script('other')];
  answer([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(cell.trusted).toBe(false);
});

test('what has changed is asked about anew', async () => {
  const cell = new Cell(script());
  trust.look(cell);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(asked).toHaveLength(2);
  cell.change([script('other')]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked).toHaveLength(5);
  expect(new Set(asked.slice(2).flat()).size).toBe(1);
});

test('while somebody runs it nothing is asked', async () => {
  const cell = new Cell();
  cell.change([], 'running');
  cell.change([script()]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked).toEqual([]);
  cell.change([script()], 'idle');
  await vi.advanceTimersByTimeAsync(60);
  expect(asked).toHaveLength(1);
});

test('a server that does not answer is no reason to trust', async () => {
  const warn = vi.spyOn(console, 'warn').mockReturnValue(undefined);
  trust = new Trust({
    known: () => Promise.reject(new Error('gone')),
    add: () => Promise.reject(new Error('gone'))
  });
  const [cell, mine] = [new Cell(script()), new Cell(script('b'))];
  trust.look(cell);
  mine.trusted = true;
  trust.note(mine);
  await vi.runAllTimersAsync();
  expect([cell.trusted, mine.trusted]).toEqual([false, true]);
  expect(warn).toHaveBeenCalledTimes(4);
  warn.mockRestore();
});

test('another JupyterLab is refused', () => {
  expect(() => trust.install({})).toThrow('have no getMetadata');
});

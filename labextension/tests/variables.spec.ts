import { Kernel } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import { afterEach, expect, test, vi } from 'vitest';

import { said, SHOWN_MAX, VariablesModel } from '../src/variables';

const reply = (given: unknown): object => ({
  syla: { status: 'ok', data: { 'text/plain': JSON.stringify(given) } }
});

/** A kernel that answers silent questions. */
class FakeKernel {
  status: Kernel.Status = 'idle';
  language = 'python';
  asked = 0;
  rows: unknown[] = [['x', 'int', 28, '42']];
  failure = false;
  /** What an answer waits for. */
  gate: Promise<void> = Promise.resolve();
  statusChanged = new Signal<object, Kernel.Status>({});
  iopubMessage = new Signal<object, object>({});

  get info(): Promise<object> {
    return Promise.resolve({ language_info: { name: this.language } });
  }

  get connection(): Kernel.IKernelConnection {
    return this as unknown as Kernel.IKernelConnection;
  }

  requestExecute(content: { silent: boolean; code: string }): object {
    expect(content).toMatchObject({ silent: true, code: '' });
    this.asked += 1;
    const user_expressions = reply({ variables: this.rows, total: 9 });
    return {
      done: this.gate.then(() => ({
        content: this.failure
          ? { status: 'error' }
          : { status: 'ok', user_expressions }
      })),
      dispose: () => undefined
    };
  }

  set(status: Kernel.Status): void {
    this.status = status;
    this.statusChanged.emit(status);
  }

  /** What the page hears when a person runs a cell. */
  run(): void {
    this.set('busy');
    this.iopubMessage.emit({ header: { msg_type: 'execute_input' } });
    this.set('idle');
  }
}

let awake = true;
let model: VariablesModel;
afterEach(() => {
  model.dispose();
  vi.useRealTimers();
  awake = true;
});

async function shown(kernel: FakeKernel): Promise<VariablesModel> {
  model = new VariablesModel(() => awake);
  model.watched = true;
  model.kernel = kernel.connection;
  await vi.waitFor(() =>
    expect(['none', 'asking']).not.toContain(model.standing)
  );
  return model;
}

test('they are asked for when somebody looks', async () => {
  const kernel = new FakeKernel();
  model = new VariablesModel(() => awake);
  model.kernel = kernel.connection;
  await Promise.resolve();
  expect(kernel.asked).toBe(0);
  model.watched = true;
  await vi.waitFor(() => expect(model.standing).toBe('known'));
  expect(model.variables).toEqual([
    { name: 'x', type: 'int', bytes: 28, text: '42' }
  ]);
  expect(model.total).toBe(9);
});

test('they are asked for after each execution, and our own question is none', async () => {
  const kernel = new FakeKernel();
  await shown(kernel);
  kernel.set('busy');
  kernel.set('idle');
  expect(kernel.asked).toBe(1);
  kernel.run();
  await vi.waitFor(() => expect(kernel.asked).toBe(2));
  model.watched = false;
  kernel.run();
  expect(kernel.asked).toBe(2);
  model.watched = true;
  await vi.waitFor(() => expect(kernel.asked).toBe(3));
});

test('a busy kernel is asked when it is idle', async () => {
  const kernel = new FakeKernel();
  kernel.status = 'busy';
  await shown(kernel);
  expect([model.standing, kernel.asked]).toEqual(['busy', 0]);
  kernel.set('idle');
  await vi.waitFor(() => expect(model.standing).toBe('known'));
});

test('a workspace that sleeps is not woken', async () => {
  awake = false;
  const kernel = new FakeKernel();
  await shown(kernel);
  expect([model.standing, kernel.asked]).toEqual(['asleep', 0]);
  awake = true;
  model.lookAgain();
  await vi.waitFor(() => expect(model.standing).toBe('known'));
});

test('of another kernel nothing is left, and its late answer is not shown', async () => {
  const [first, second] = [new FakeKernel(), new FakeKernel()];
  await shown(first);
  let release = (): void => undefined;
  first.gate = new Promise(resolve => {
    release = resolve;
  });
  first.rows = [['late', 'int', 1, '']];
  first.run();
  await vi.waitFor(() => expect(first.asked).toBe(2));
  second.rows = [['y', 'str', 50, "'a'"]];
  model.kernel = second.connection;
  expect(model.variables).toEqual([]);
  await vi.waitFor(() => expect(model.variables[0]?.name).toBe('y'));
  release();
  await new Promise(resolve => setTimeout(resolve));
  expect(model.variables[0].name).toBe('y');
  model.kernel = null;
  expect(model.standing).toBe('none');
});

test('a restart empties the list, and it is asked for again', async () => {
  const kernel = new FakeKernel();
  await shown(kernel);
  kernel.set('restarting');
  expect(model.variables).toEqual([]);
  kernel.rows = [];
  kernel.set('idle');
  await vi.waitFor(() => expect(kernel.asked).toBe(2));
  await vi.waitFor(() => expect(model.standing).toBe('known'));
});

test('kernels of other languages, and those that answer nonsense or nothing', async () => {
  const foreign = new FakeKernel();
  foreign.language = 'R';
  await shown(foreign);
  expect([model.standing, foreign.asked]).toEqual(['foreign', 0]);
  const failing = new FakeKernel();
  failing.failure = true;
  model.kernel = failing.connection;
  await vi.waitFor(() => expect(model.standing).toBe('failed'));
  vi.useFakeTimers();
  const silent = new FakeKernel();
  silent.gate = new Promise(() => undefined);
  model.kernel = silent.connection;
  await vi.advanceTimersByTimeAsync(11_000);
  expect(model.standing).toBe('failed');
});

test('what a kernel says is checked', () => {
  const long = 'x'.repeat(1000);
  const [rows, total] = said(
    reply({ variables: [[long, 7, -1, {}], 'no row', null], total: 'many' })
  );
  expect(rows).toEqual([
    { name: 'x'.repeat(200), type: '', bytes: null, text: '' }
  ]);
  expect(total).toBe(1);
  const many = Array.from({ length: 2 * SHOWN_MAX }, () => ['a', 'b', 1, '']);
  expect(said(reply({ variables: many, total: 3 }))[0]).toHaveLength(SHOWN_MAX);
  for (const nonsense of [undefined, {}, { syla: {} }, reply({}), reply(1)]) {
    expect(() => said(nonsense)).toThrow();
  }
});

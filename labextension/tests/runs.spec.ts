import { Signal } from '@lumino/signaling';
import { expect, test } from 'vitest';
import * as Y from 'yjs';

import { IRan, Options, runsOnServer } from '../src/runs';

/** A notebook's kernel, as its page knows it. */
class Context {
  path = 'own';
  isDisposed = false;
  isTerminating = false;
  pendingInput = false;
  hasNoKernel = false;
  session: { kernel: { id: string } } | null = null;
  kernelChanged = new Signal<this, unknown>(this);
  disposed = new Signal<this, unknown>(this);

  get(id: string): void {
    this.session = { kernel: { id } };
    this.kernelChanged.emit(null);
  }
}

class Outputs {
  length = 0;
  changed = new Signal<this, unknown>(this);

  set(length: number): void {
    this.length = length;
    this.changed.emit(null);
  }
}

function parts(context: Context | null = new Context()): {
  context: Context;
  cell: {
    isDisposed: boolean;
    outputHidden: boolean;
    model: { type: string; trusted: boolean; outputs: Outputs };
  };
  prompts: string[];
  said: string[];
  ran: IRan;
  type: (text: string) => void;
  refuse: (reason: Error | null) => void;
  run: () => Promise<boolean>;
} {
  const prompts: string[] = [];
  const said: string[] = [];
  const ydoc = new Y.Doc();
  let refusal: Error | null = null;
  const ran: IRan = { status: 'ok' };
  const run = runsOnServer(
    async () => {
      said.push('other');
      return true;
    },
    {
      ask: async (kernel, { cell, document, edits }) => {
        said.push(`ask ${kernel} ${cell} ${document} ${edits?.clock}`);
        expect(edits?.client ?? ydoc.clientID).toBe(ydoc.clientID);
        if (refusal) {
          throw refusal;
        }
        return ran;
      },
      refused: reason => said.push(String(reason)),
      trust: {
        began: one => (one.trusted = true),
        ended: () => said.push('no run')
      },
      writes: path => path !== 'of others'
    }
  );
  const cell = {
    isDisposed: false,
    outputHidden: true,
    model: {
      type: 'code',
      trusted: false,
      outputs: new Outputs(),
      sharedModel: {
        getId: () => 'c1',
        setSource: (text: string) => said.push(`source ${text}`)
      }
    },
    setPrompt: (text: string) => prompts.push(text)
  };
  const options = {
    cell,
    notebook: {
      sharedModel: {
        getState: () => 'json:notebook:1',
        ydoc,
        cells: ['c0', 'c1', 'c2'].map(id => ({ getId: () => id })),
        insertCell: (at: number, made: { source: string }) =>
          said.push(`cell ${at} ${made.source}`)
      }
    },
    sessionContext: context,
    onCellExecutionScheduled: () => said.push('scheduled'),
    onCellExecuted: (ended: { success: boolean }) =>
      said.push(ended.success ? 'ran' : 'did not')
  };
  return {
    context: context as Context,
    cell,
    prompts,
    said,
    ran,
    type: text => ydoc.getText('source').insert(0, text),
    refuse: reason => (refusal = reason),
    run: () => run(options as unknown as Options)
  };
}

const RAN = ['scheduled', 'ask k1 c1 json:notebook:1 0', 'ran'];

test('a run goes to the kernel at once, and what comes of it is shown', async () => {
  const { context, cell, run, said, prompts } = parts();
  context.get('k1');
  expect(await run()).toBe(true);
  expect([cell.model.trusted, cell.outputHidden]).toEqual([true, false]);
  expect(said).toEqual(RAN);
  expect(prompts).toEqual([]);
});

test('outputs of before are not trusted, those that follow are', async () => {
  const { context, cell, run, refuse } = parts();
  context.get('k1');
  const { outputs } = cell.model;
  outputs.set(2);
  refuse(new Error('not now'));
  await run();
  outputs.set(0);
  expect(cell.model.trusted).toBe(false);
  outputs.set(2);
  refuse(null);
  await run(); // what says so may come before what clears them
  outputs.set(1);
  expect(cell.model.trusted).toBe(false);
  outputs.set(0);
  expect(cell.model.trusted).toBe(true);
});

test('runs wait for a kernel that is on its way, and keep their order', async () => {
  const { context, run, said, prompts } = parts();
  const both = Promise.all([run(), run()]);
  context.kernelChanged.emit(null); // it begins to start
  expect(said).toEqual([]);
  expect(prompts).toEqual(['*', '*']);
  context.get('k1');
  expect(await both).toEqual([true, true]);
  expect(said.filter(line => line !== 'scheduled')).toEqual([
    RAN[1],
    RAN[1],
    'ran',
    'ran'
  ]);
  expect(prompts).toEqual(['*', '*', '', '']);
});

test('where no kernel is to come any more, it is as without us', async () => {
  const { context, run, said } = parts();
  const one = run();
  context.hasNoKernel = true;
  context.kernelChanged.emit(null);
  await one;
  expect(said).toEqual(['other']);
});

test('nobody waits in a notebook that was closed', async () => {
  const { context, cell, run, said } = parts();
  const one = run();
  context.isDisposed = cell.isDisposed = true;
  context.disposed.emit(null);
  expect(await one).toBe(false);
  expect(said).toEqual([]);
});

test('what was typed is to be there before, if it ever is', async () => {
  const { context, run, said, type } = parts();
  context.get('k1');
  type('1 + 1');
  await run();
  context.path = 'of others';
  await run();
  expect(said.filter(line => line.startsWith('ask'))).toEqual([
    'ask k1 c1 json:notebook:1 5',
    'ask k1 c1 json:notebook:1 undefined'
  ]);
});

test('what a cell has for itself or for the next is put there', async () => {
  const { context, cell, run, ran, said } = parts();
  context.get('k1');
  ran.next_input = { text: 'x = 1', replace: true };
  await run();
  ran.next_input = { text: 'x = 2', replace: false };
  ran.status = 'error';
  await run();
  cell.isDisposed = true; // it was deleted meanwhile
  await run();
  expect(said.filter(line => /^(source|cell|ran|did)/.test(line))).toEqual([
    'source x = 1',
    'ran',
    'cell 2 x = 2',
    'did not',
    'did not'
  ]);
});

test('a refusal is told', async () => {
  const { context, refuse, run, said } = parts();
  context.get('k1');
  refuse(new Error('the kernel is dead'));
  expect(await run()).toBe(true);
  expect(said.slice(2)).toEqual([
    'no run',
    'Error: the kernel is dead',
    'did not'
  ]);
});

test('what is no code cell, or must not run now, is as without us', async () => {
  const { context, cell, run, said } = parts();
  context.get('k1');
  context.pendingInput = true;
  await run();
  cell.model.type = 'markdown';
  await run();
  const without = parts(null);
  await without.run();
  expect([...said, ...without.said]).toEqual(['other', 'other', 'other']);
});

import { Signal } from '@lumino/signaling';
import { expect, test, vi } from 'vitest';

import { IRun } from '../src/api';
import { WorkspacesModel } from '../src/model';
import { IQuestion, Questions } from '../src/questions';
import { ApiError, UNREACHABLE } from '../src/request';
import { sample } from './samples';

/** A server with a queue, and a screen on which each question waits to be answered. */
function parts(): {
  hello: () => void;
  queue: IRun[];
  shown: IQuestion[];
  screen: ((value: string | null) => void)[];
  answers: string[];
  looked: string[];
  fails: (Error | null)[];
} {
  const host = {};
  const saved = new Signal<object, string>(host);
  const queue: IRun[] = [];
  const answers: string[] = [];
  const looked: string[] = [];
  const fails: (Error | null)[] = [];
  const model = {
    asked: new Signal<object, object>(host),
    saved,
    known: Promise.resolve(),
    workspaces: [sample(), sample({ id: 'b', state: 'suspended' })],
    may: () => true,
    api: {
      queue: async (id: string) => {
        looked.push(id);
        return [...queue];
      },
      answer: async (_: string, id: string, value: string) => {
        const failure = fails.shift();
        if (failure) {
          throw failure;
        }
        answers.push(`${id} ${value}`);
      }
    }
  } as unknown as WorkspacesModel;
  const shown: IQuestion[] = [];
  const screen: ((value: string | null) => void)[] = [];
  new Questions(model, question => {
    shown.push(question);
    return new Promise(resolve => screen.push(resolve));
  });
  return {
    hello: () => saved.emit(''),
    queue,
    shown,
    screen,
    answers,
    looked,
    fails
  };
}

function run(prompt: string, password = false): IRun {
  return { id: 'run', path: 'a.ipynb', input: { prompt, password } };
}

test('who comes back is asked what waits, once while it is on the screen', async () => {
  const { hello, queue, shown, screen, answers, looked } = parts();
  queue.push(run('Name? '), { id: 'other', path: 'b.ipynb', input: null });
  hello();
  await vi.waitFor(() => expect(shown.length).toBe(1));
  hello();
  await vi.waitFor(() => expect(looked).toEqual(['a', 'a']));
  screen[0]('Ann');
  await vi.waitFor(() => expect(answers).toEqual(['run Ann']));
  expect(shown.map(one => one.prompt)).toEqual(['Name? ']);
});

test('an answer that did not arrive is asked for again, with it there unless it is a password', async () => {
  const { hello, queue, shown, screen, answers, fails } = parts();
  for (const [password, before] of [
    [false, 'Ann'],
    [true, '']
  ] as const) {
    queue.splice(0, 1, run('? ', password));
    fails.push(new ApiError(UNREACHABLE, 'no server'));
    hello();
    await vi.waitFor(() => expect(screen.length).toBe(1));
    screen.shift()?.('Ann');
    await vi.waitFor(() => expect(fails).toEqual([]));
    hello();
    await vi.waitFor(() => expect(screen.length).toBe(1));
    expect(shown[shown.length - 1].before).toBe(before);
    screen.shift()?.('Ben');
    await vi.waitFor(() => expect(answers.splice(0)).toEqual(['run Ben']));
  }
});

test('an answer that was refused is not asked for again with it there', async () => {
  const { hello, queue, shown, screen, fails } = parts();
  queue.push(run('? '));
  fails.push(new ApiError('conflict', 'it asks nothing', '', 409));
  hello();
  await vi.waitFor(() => expect(screen.length).toBe(1));
  screen.shift()?.('Ann');
  await vi.waitFor(() => expect(fails).toEqual([]));
  hello();
  await vi.waitFor(() => expect(screen.length).toBe(1));
  expect(shown[1].before).toBe('');
});

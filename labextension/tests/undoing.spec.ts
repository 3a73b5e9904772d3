import { expect, test, vi } from 'vitest';

import { orUndone } from '../src/undoing';

const never = new Promise<void>(() => undefined);

test('what is cancelled is undone when it is finished, and what failed is not', async () => {
  const undo = vi.fn(async () => undefined);
  expect(await orUndone(Promise.resolve(7), never, undo)).toEqual({ done: 7 });
  await expect(
    orUndone(Promise.reject(new Error('no')), never, undo)
  ).rejects.toThrow('no');
  expect(undo).not.toHaveBeenCalled();

  let finish = (_: number): void => undefined;
  let fail = (): void => undefined;
  const work = new Promise<number>((resolve, reject) => {
    finish = resolve;
    fail = () => reject(new Error('no'));
  });
  const outcome = await orUndone(work, Promise.resolve(), undo);
  expect(undo).not.toHaveBeenCalled();
  finish(8);
  await (outcome as { undone: Promise<unknown> }).undone;
  expect(undo).toHaveBeenCalledWith(8);

  const failing = new Promise<number>((_, reject) => {
    fail = () => reject(new Error('no'));
  });
  const other = await orUndone(failing, Promise.resolve(), undo);
  fail();
  await (other as { undone: Promise<unknown> }).undone;
  expect(undo).toHaveBeenCalledTimes(1);
});

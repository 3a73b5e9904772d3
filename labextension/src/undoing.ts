/** Which comes first: that something is done, or that nobody wants it any more. */

/** What `work` came to; where it was cancelled before, the promise of its being undone after it has come to something. */
export async function orUndone<T>(
  work: Promise<T>,
  cancelled: Promise<void>,
  undo: (done: T) => Promise<unknown>
): Promise<{ done: T } | { undone: Promise<unknown> }> {
  const first = await Promise.race([
    work.then(done => ({ done })),
    cancelled.then(() => null)
  ]);
  // What fails after it was cancelled has done nothing that could be undone.
  return first ?? { undone: work.then(undo, () => undefined) };
}

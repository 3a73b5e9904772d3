/**
 * Outputs of a cell that others change, as they are and where they are; no DOM.
 *
 * JupyterLab's model of a cell puts whatever is inserted at the end, removes what goes only after that, joins a text that
 * comes to the one that is to go, and writes what it has joined to everybody's document. So one output that is replaced
 * moves, and when somebody trusts a notebook its texts are lost on one page and doubled in the file. Here it is told
 * of such a change in a form that it can follow: all from there on goes, and comes again.
 */
import * as Y from 'yjs';

export type Delta = Array<{
  retain?: number;
  delete?: number;
  insert?: unknown[];
}>;

/** What is used of jupyter_ydoc's code cell. */
interface IChanging {
  getChanges?: (events: unknown[]) => { outputsChange?: Delta };
  ymodel?: Y.Map<unknown>;
}

const mended = new WeakSet<object>();

/** Of all cells of its class; another version that has no such function stays as it is. */
export function keepInPlace(cell: object): void {
  const prototype = Object.getPrototypeOf(cell) as IChanging;
  const { getChanges } = prototype;
  if (mended.has(prototype) || !getChanges) {
    return;
  }
  mended.add(prototype);
  prototype.getChanges = function (this: IChanging, events) {
    const changes = getChanges.call(this, events);
    const outputs = this.ymodel?.get('outputs');
    if (changes.outputsChange && outputs instanceof Y.Array) {
      changes.outputsChange = followed(
        changes.outputsChange,
        outputs.toArray()
      );
    }
    return changes;
  };
}

/** The same change, to what is there `now`, as one that puts all that it inserts to the end. */
export function followed(delta: Delta, now: unknown[]): Delta {
  const sum = (count: (part: Delta[number]) => number): number =>
    delta.reduce((all, part) => all + count(part), 0);
  const inserted = sum(part => part.insert?.length ?? 0);
  const deleted = sum(part => part.delete ?? 0);
  const before = now.length - inserted + deleted;
  const kept = delta[0]?.retain ?? 0;
  if (!now.length || (!deleted && kept === before)) {
    return delta; // all goes, or something comes after all there was
  }
  // What a text is joined to is what the model took last, so it begins with one that is none.
  let first = Math.min(kept, now.length - 1);
  while (first > 0 && isText(now[first])) {
    first--;
  }
  const rest: Delta = [
    { delete: before - first },
    { insert: now.slice(first) }
  ];
  return first ? [{ retain: first }, ...rest] : rest;
}

function isText(output: unknown): boolean {
  return output instanceof Y.Map && output.get('output_type') === 'stream';
}

/** Cursors of all who are in a shared document, as its awareness has them: what other pages say, checked. */
import * as Y from 'yjs';

/** What of a shared document is needed here. */
export interface IShared {
  ydoc?: Y.Doc;
  ysource?: Y.Text;
  awareness?: {
    getStates(): Map<number, { [key: string]: unknown }>;
    on(name: 'change', heard: () => void): void;
    off(name: 'change', heard: () => void): void;
  };
}

/** Where somebody's cursor is in a document: which text of it, and how far in. */
export function cursorOf(
  shared: IShared,
  user: string
): { type: unknown; index: number } | null {
  for (const state of shared.awareness?.getStates().values() ?? []) {
    const who = state['user'] as { username?: unknown } | undefined;
    const cursors = state['cursors'] as { head?: unknown }[] | undefined;
    const head = Array.isArray(cursors) ? cursors[0]?.head : undefined;
    if (who?.username === user && head && shared.ydoc) {
      try {
        const place = Y.createRelativePositionFromJSON(head);
        const found = Y.createAbsolutePositionFromRelativePosition(
          place,
          shared.ydoc
        );
        if (found) {
          return { type: found.type, index: found.index };
        }
      } catch {
        // what another page says need make no sense
      }
    }
  }
  return null;
}

/**
 * An invitation whose link was opened in this tab before its person had logged in.
 *
 * The page that the link leads to (`syla_jupyter/server/join_page.py`) has put it into the tab's storage; here it is taken
 * out. One that has lain there long is nobody's any more: somebody else may have logged in meanwhile.
 */
import { secretIn } from './people';

const KEY = 'syla-join';
const KEPT_MS = 3_600_000;

/** Where links lead, below the server's base. */
export const JOIN_PAGE = 'syla/join';

/** Its secret; empty: there is none. */
export function takeInvited(
  storage: Pick<Storage, 'getItem' | 'removeItem'>,
  nowMs: number
): string {
  try {
    const kept = JSON.parse(storage.getItem(KEY) ?? 'null');
    storage.removeItem(KEY);
    const age = nowMs - Number(kept?.at);
    return age >= 0 && age < KEPT_MS ? secretIn(String(kept.link ?? '')) : '';
  } catch {
    return ''; // what is there is not ours, or there is no storage
  }
}

import { expect, test } from 'vitest';

import { takeInvited } from '../src/invited';

function storage(
  kept: string | null
): Pick<Storage, 'getItem' | 'removeItem'> & { kept: string | null } {
  return {
    kept,
    getItem(): string | null {
      return this.kept;
    },
    removeItem(): void {
      this.kept = null;
    }
  };
}

test('an invitation is taken out of the storage, once, and not when it is old', () => {
  const link = JSON.stringify({ link: '#syla-join=a%2Db', at: 1000 });
  const fresh = storage(link);
  expect(takeInvited(fresh, 2000)).toBe('a-b');
  expect(fresh.kept).toBe(null);
  expect(takeInvited(fresh, 2000)).toBe('');
  for (const nowMs of [999, 1000 + 3_600_000]) {
    const old = storage(link);
    expect(takeInvited(old, nowMs)).toBe('');
    expect(old.kept).toBe(null);
  }
  for (const odd of [null, '', '{', 'null', '{}', '{"at": 1000}', '[]']) {
    expect(takeInvited(storage(odd), 1000)).toBe('');
  }
});

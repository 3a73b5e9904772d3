import { nullTranslator } from '@jupyterlab/translation';
import { expect, test } from 'vitest';

import { isolated, textsOf } from '../src/texts';

test('a name that is read from right to left keeps its order to itself', () => {
  const trans = textsOf(nullTranslator);
  expect(trans.__('v1 of %1: %2 files', 'مشروع', 3)).toBe(
    'v1 of \u2068مشروع\u2069: 3 files'
  );
  expect(trans._n('%2: one', '%2: %1', 2, 'מרחב')).toBe('\u2068מרחב\u2069: 2');
  expect(trans.__('Stop %1?', 'alpha')).toBe('Stop alpha?');
  expect(isolated('a\u202eb')).toBe('\u2068a\u202eb\u2069');
  expect(isolated(3)).toBe(3);
});

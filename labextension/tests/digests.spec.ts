import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { digestOf, IOutput, needsTrust } from '../src/digests';

interface IExample {
  name: string;
  outputs: IOutput[];
  canonical?: string;
}

const examples = JSON.parse(
  readFileSync('tests/unit/digests.json', 'utf8')
) as IExample[];

test.each(examples)('$name', ({ outputs, canonical }) => {
  const expected =
    canonical === undefined
      ? ''
      : createHash('sha256').update(canonical, 'utf8').digest('hex');
  expect(digestOf(outputs)).toBe(expected);
  expect(needsTrust(outputs)).toBe(canonical !== undefined);
});

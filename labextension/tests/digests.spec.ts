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

test('what is too deep has no digest, and needs trust', () => {
  let deep: unknown = 0;
  for (let depth = 0; depth < 100_000; depth++) {
    deep = [deep];
  }
  const outputs = [
    { output_type: 'display_data', data: { 'text/html': deep } }
  ];
  expect([digestOf(outputs), needsTrust(outputs)]).toEqual([null, true]);
});

import { nullTranslator } from '@jupyterlab/translation';
import { expect, test } from 'vitest';

import { runsIn, templateOf, wouldRunIn } from '../src/kernelNames';
import { sample } from './samples';

const trans = nullTranslator.load('x');
const spec = (config: unknown): unknown => ({
  kernel_provisioner: { provisioner_name: 'syla-provisioner', config }
});

test('the template of a kernelspec is the one that it names, else the built-in one', () => {
  expect(templateOf(spec({ template: 'r' }))).toBe('r');
  for (const other of [
    undefined,
    null,
    {},
    spec({}),
    spec({ template: 1 }),
    spec(undefined)
  ]) {
    expect(templateOf(other)).toBe('python');
  }
});

test('a kernel is said to run in its workspace; one of another template is not', () => {
  const alpha = sample();
  expect(runsIn(alpha, trans)).toBe('in alpha, template python');
  expect(runsIn(undefined, trans)).toBe('');
  expect(wouldRunIn(alpha, 'python', trans)).toBe('in alpha, template python');
  expect(wouldRunIn(alpha, 'r', trans)).toBe(
    'not in alpha, which has template python'
  );
  const home = sample({ name: 'default', is_default: true, path: '' });
  expect(wouldRunIn(home, 'r', trans)).toBe(
    'in the default workspace of template r'
  );
  expect(wouldRunIn(undefined, 'r', trans)).toBe('');
});

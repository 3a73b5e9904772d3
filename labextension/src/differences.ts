/** What changed in a file, in words; pure. */
import { TranslationBundle } from '@jupyterlab/translation';

import { size } from './format';
import { ICellChange, IDiffLine, IFileDiff } from './snapshots';

/** Which cell, and what became of it. */
export function cellWords(cell: ICellChange, trans: TranslationBundle): string {
  const number = cell.after ?? cell.before ?? 0;
  switch (cell.change) {
    case 'added':
      return trans.__('Cell %1 added (%2)', number, cell.type);
    case 'removed':
      return trans.__('Cell %1 removed (%2)', number, cell.type);
    case 'moved':
      return trans.__('Cell %1 moved, was %2', number, cell.before ?? 0);
    default:
      return cell.moved
        ? trans.__(
            'Cell %1 changed and moved, was %2',
            number,
            cell.before ?? 0
          )
        : trans.__('Cell %1 changed', number);
  }
}

/** What changed of it besides its source. */
export function besides(cell: ICellChange, trans: TranslationBundle): string[] {
  const type =
    cell.type === cell.type_before
      ? ''
      : trans.__('It is %1 now, was %2.', cell.type, cell.type_before);
  const outputs = cell.outputs ? trans.__('Its outputs changed.') : '';
  return [type, outputs].filter(Boolean);
}

/** What a line of the comparison is: as a sign, and read aloud. */
export function lineSign(
  line: IDiffLine,
  trans: TranslationBundle
): { sign: string; word: string } {
  switch (line.sign) {
    case 'added':
      return { sign: '+', word: trans.__('added:') };
    case 'removed':
      return { sign: '−', word: trans.__('removed:') };
    default:
      return { sign: ' ', word: '' };
  }
}

/** Why there is nothing to be seen; empty: there is. */
export function whyNothing(diff: IFileDiff, trans: TranslationBundle): string {
  if (diff.kind === 'text') {
    return '';
  }
  if (diff.kind === 'notebook') {
    return diff.cells.length
      ? ''
      : trans.__(
          'Its cells are the same. Only metadata or numbers of executions changed.'
        );
  }
  switch (diff.why) {
    case 'too_large':
      return trans.__(
        'Too large to compare: %1',
        size(Math.max(diff.bytes, diff.bytes_before))
      );
    case 'too_slow':
      return trans.__('It could not be compared in time.');
    default:
      return trans.__('It is no text that could be compared.');
  }
}

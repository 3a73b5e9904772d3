/** What changed in one file from one version to another, behind a disclosure: cells of a notebook, lines of a text. */
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { besides, cellWords, lineSign, whyNothing } from '../differences';
import { explain } from '../notices';
import { ICellChange, IDiffLine, IFileDiff } from '../snapshots';
import { VersionsModel } from '../versions';
import { Problem } from './Problem';

interface IProps {
  versions: VersionsModel;
  /** As the comparison has it. */
  path: string;
  trans: TranslationBundle;
}

export function FileChanges({ versions, path, trans }: IProps): JSX.Element {
  const { diff, error } = versions.inFile(path);
  return (
    <details
      className="syla-FileChanges"
      onToggle={event => {
        if (event.currentTarget.open) {
          void versions.look(path);
        }
      }}
    >
      <summary aria-label={trans.__('What changed in %1', path)}>
        {trans.__('What changed')}
      </summary>
      <Problem problem={error ? explain(error, trans) : null} />
      {!diff && !error && <p role="status">{trans.__('Comparing…')}</p>}
      {diff && <Changes diff={diff} trans={trans} />}
    </details>
  );
}

function Changes(props: {
  diff: IFileDiff;
  trans: TranslationBundle;
}): JSX.Element {
  const { diff, trans } = props;
  const nothing = whyNothing(diff, trans);
  return (
    <>
      {nothing && <p>{nothing}</p>}
      {diff.kind === 'notebook' && (
        <ul className="syla-Cells">
          {diff.cells.map(cell => (
            <Cell
              key={`${cell.before} ${cell.after}`}
              cell={cell}
              trans={trans}
            />
          ))}
        </ul>
      )}
      <Lines lines={diff.lines} code={false} trans={trans} />
      {diff.omitted > 0 && <p>{trans.__('… and %1 more.', diff.omitted)}</p>}
    </>
  );
}

function Cell(props: {
  cell: ICellChange;
  trans: TranslationBundle;
}): JSX.Element {
  const { cell, trans } = props;
  return (
    <li>
      <h5>{cellWords(cell, trans)}</h5>
      {besides(cell, trans).map(words => (
        <p key={words}>{words}</p>
      ))}
      <Lines lines={cell.lines} code={cell.type === 'code'} trans={trans} />
    </li>
  );
}

function Lines(props: {
  lines: IDiffLine[];
  /** Runs from left to right whatever its letters are. */
  code: boolean;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { lines, code, trans } = props;
  if (!lines.length) {
    return null;
  }
  return (
    <ol className="syla-Lines" dir={code ? 'ltr' : undefined}>
      {lines.map((line, place) => (
        <li key={place} className={`syla-mod-${line.sign}`}>
          {line.sign === 'skipped' ? (
            trans._n('… one line the same', '… %1 lines the same', line.count)
          ) : (
            <Line line={line} code={code} trans={trans} />
          )}
        </li>
      ))}
    </ol>
  );
}

function Line(props: {
  line: IDiffLine;
  code: boolean;
  trans: TranslationBundle;
}): JSX.Element {
  const { line, code, trans } = props;
  const { sign, word } = lineSign(line, trans);
  return (
    <>
      <span className="syla-Sign" aria-hidden="true">
        {sign}
      </span>
      {word && <span className="syla-Spoken">{word}</span>}
      <code dir={code ? 'ltr' : 'auto'}>{line.text}</code>
    </>
  );
}

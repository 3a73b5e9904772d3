/** What changed from one version to another: files, packages, variables; a file goes back by one click. */
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { CommandIDs } from '../commandIds';
import { size } from '../format';
import { explain } from '../notices';
import { versionName } from '../rules';
import { IDiff, IFileChange } from '../snapshots';
import { VersionsModel } from '../versions';
import { FileChanges } from './FileChanges';
import { Problem } from './Problem';

/** Of each kind; the rest is counted. */
const SHOWN_MAX = 200;

interface IProps {
  versions: VersionsModel;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

export function Comparison(props: IProps): JSX.Element {
  const { versions, trans } = props;
  const { diff, diffError } = versions;
  const [before, after] = versions.chosen.map(versionName);
  const title = trans.__('From %1 to %2', before, after);
  return (
    <section className="syla-Comparison" aria-label={title}>
      <h3>{title}</h3>
      <Problem problem={diffError ? explain(diffError, trans) : null} />
      {!diff && !diffError && <p role="status">{trans.__('Comparing…')}</p>}
      {diff && <Differences {...props} diff={diff} />}
    </section>
  );
}

function Differences(props: IProps & { diff: IDiff }): JSX.Element {
  const { diff, trans } = props;
  const kinds: [string, IFileChange[]][] = [
    [trans.__('Added'), diff.added],
    [trans.__('Changed'), diff.changed],
    [trans.__('Removed'), diff.removed],
    [trans.__('Moved'), diff.renamed],
    [trans.__('Other mode or time'), diff.attributes]
  ];
  const lines: [string, string[]][] = [
    [trans.__('Packages'), diff.packages],
    [trans.__('Variables'), diff.variables]
  ];
  const rows = kinds.filter(([, changes]) => changes.length);
  const texts = lines.filter(([, words]) => words.length);
  if (!rows.length && !texts.length) {
    return <p>{trans.__('Nothing changed.')}</p>;
  }
  return (
    <>
      {rows.map(([label, changes]) => (
        <React.Fragment key={label}>
          <h4>
            {label} ({changes.length})
          </h4>
          <ul>
            {changes.slice(0, SHOWN_MAX).map(change => (
              <FileLine
                key={change.path}
                {...props}
                change={change}
                open={changes === diff.changed && change.kind === 'file'}
              />
            ))}
          </ul>
          <More count={changes.length - SHOWN_MAX} trans={trans} />
        </React.Fragment>
      ))}
      <More count={diff.omitted} trans={trans} />
      {texts.map(([label, words]) => (
        <React.Fragment key={label}>
          <h4>
            {label} ({words.length})
          </h4>
          <ul>
            {words.slice(0, SHOWN_MAX).map(word => (
              <li key={word}>
                <bdi>{word}</bdi>
              </li>
            ))}
          </ul>
          <More count={words.length - SHOWN_MAX} trans={trans} />
        </React.Fragment>
      ))}
    </>
  );
}

interface ILineProps extends IProps {
  change: IFileChange;
  /** Both versions have it, with another content: one can look into it. */
  open: boolean;
}

function FileLine(props: ILineProps): JSX.Element {
  const { versions, commands, trans, change, open } = props;
  const [before] = versions.chosen;
  const bytes = [change.bytes_before, change.bytes]
    .filter((count): count is number => count !== null)
    .map(size);
  // What was not there before cannot go back to it.
  const path = change.path_before ?? change.path;
  const args = { workspace: versions.id, version: before, paths: [path] };
  const possible =
    change.bytes_before !== null &&
    commands.isEnabled(CommandIDs.restore, args);
  return (
    <li>
      <bdi>
        {change.path_before
          ? trans.__('%1 → %2', change.path_before, change.path)
          : change.path}
      </bdi>
      {change.kind === 'file' && (
        <span className="syla-Bytes">{[...new Set(bytes)].join(' → ')}</span>
      )}
      {possible && (
        <button
          className="syla-Link"
          aria-label={trans.__('Restore %1 of %2', path, versionName(before))}
          onClick={() => void commands.execute(CommandIDs.restore, args)}
        >
          {trans.__('Restore %1', versionName(before))}
        </button>
      )}
      {open && (
        <FileChanges
          key={versions.chosen.join()}
          versions={versions}
          path={change.path}
          trans={trans}
        />
      )}
    </li>
  );
}

function More(props: {
  count: number;
  trans: TranslationBundle;
}): JSX.Element | null {
  return props.count > 0 ? (
    <p>{props.trans.__('… and %1 more.', props.count)}</p>
  ) : null;
}

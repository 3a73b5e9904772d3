/** A workspace's versions, newest first, and what changed between two of them. State is the model's. */
import { TranslationBundle } from '@jupyterlab/translation';
import {
  CommandToolbarButtonComponent,
  ReactWidget,
  UseSignal
} from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { CommandIDs } from '../commandIds';
import { moment, size, stateName } from '../format';
import { explain } from '../notices';
import { reasonWords, versionName } from '../rules';
import { ISnapshot, MESSAGE_MAX } from '../snapshots';
import { VersionsModel } from '../versions';
import { Comparison } from './Comparison';
import { ErrorBoundary } from './ErrorBoundary';
import { Problem } from './Problem';

interface IProps {
  versions: VersionsModel;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** On a version: what is possible with it, in this order. */
const VERSION_COMMANDS = [
  CommandIDs.restore,
  CommandIDs.clone,
  CommandIDs.exportFile
];

export class VersionsView extends ReactWidget {
  constructor(private _props: IProps) {
    super();
    this.addClass('syla-Versions');
  }

  get workspaceId(): string {
    return this._props.versions.id;
  }

  protected render(): JSX.Element {
    const { versions, trans } = this._props;
    return (
      <ErrorBoundary title={trans.__('The snapshots could not be shown')}>
        <UseSignal signal={versions.changed}>
          {() => <View {...this._props} />}
        </UseSignal>
      </ErrorBoundary>
    );
  }
}

function View(props: IProps): JSX.Element {
  const { versions, trans } = props;
  const { workspace, snapshots, chosen } = versions;
  return (
    <>
      <div className="syla-Versions-head">
        <h2>
          <bdi>{workspace?.name}</bdi>
        </h2>
        {workspace && (
          <span className={`syla-Badge syla-mod-${workspace.state}`}>
            {stateName(workspace, trans)}
          </span>
        )}
        <button
          className="jp-mod-styled"
          onClick={() => void versions.refresh()}
        >
          {trans.__('Refresh')}
        </button>
      </div>
      <Take {...props} />
      <Problem
        problem={versions.error ? explain(versions.error, trans) : null}
      />
      {!versions.loaded && !versions.error && (
        <p className="syla-Empty" role="status">
          {trans.__('Loading…')}
        </p>
      )}
      {versions.loaded && !snapshots.length && (
        <p className="syla-Empty">
          {trans.__(
            'There are no snapshots yet. One is taken when its container ends, or now by you.'
          )}
        </p>
      )}
      {snapshots.length > 1 && chosen.length < 2 && (
        <p className="syla-Empty">
          {trans.__('Choose two to see what changed between them.')}
        </p>
      )}
      {chosen.length === 2 && <Comparison {...props} />}
      <ul className="syla-Timeline" aria-label={trans.__('Snapshots')}>
        {snapshots.map(one => (
          <Version key={one.version} {...props} snapshot={one} />
        ))}
      </ul>
    </>
  );
}

/** A new one, with what it is. */
function Take({ versions, commands, trans }: IProps): JSX.Element | null {
  const [message, setMessage] = React.useState('');
  const [busy, setBusy] = React.useState(false);
  const args = { workspace: versions.id, message: message.trim() };
  if (!commands.isEnabled(CommandIDs.take, args)) {
    return null;
  }
  const take = async (event: React.FormEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    await commands.execute(CommandIDs.take, args); // says itself what went wrong
    setMessage('');
    setBusy(false);
  };
  return (
    <form className="syla-Take" onSubmit={event => void take(event)}>
      <input
        className="jp-mod-styled"
        value={message}
        onChange={event => setMessage(event.target.value)}
        placeholder={trans.__('What it is (may be left empty)')}
        aria-label={trans.__('What the snapshot is')}
        maxLength={MESSAGE_MAX}
        dir="auto"
      />
      <button className="jp-mod-styled jp-mod-accept" disabled={busy}>
        {busy ? trans.__('Taking…') : trans.__('Take snapshot')}
      </button>
    </form>
  );
}

function Version(props: IProps & { snapshot: ISnapshot }): JSX.Element {
  const { versions, commands, trans, snapshot } = props;
  const { version } = snapshot;
  const name = versionName(version);
  const title = `syla-version-${versions.id}-${version}`;
  const args = { workspace: versions.id, version, toolbar: true };
  const facts = [
    moment(snapshot.created_at),
    snapshot.author,
    trans._n('%1 file', '%1 files', snapshot.files),
    size(snapshot.bytes_total),
    trans.__('%1 added to the store', size(snapshot.bytes_new))
  ];
  return (
    <li className="syla-Version" aria-labelledby={title}>
      <label>
        <input
          type="checkbox"
          checked={versions.chosen.includes(version)}
          onChange={() => versions.toggle(version)}
          aria-label={trans.__('Compare %1', name)}
        />
        <span className="syla-Version-name">{name}</span>
      </label>
      <div className="syla-Version-text">
        <h3 id={title} title={snapshot.message}>
          <bdi>{snapshot.message || reasonWords(snapshot.reason, trans)}</bdi>
          {snapshot.tags.map(tag => (
            <span key={tag} className="syla-Tag">
              <bdi>{tag}</bdi>
            </span>
          ))}
        </h3>
        <div className="syla-Version-facts">
          {snapshot.message && (
            <span>{reasonWords(snapshot.reason, trans)}</span>
          )}
          {facts.map((fact, place) => (
            <bdi key={place}>{fact}</bdi>
          ))}
        </div>
      </div>
      <div
        className="syla-Actions"
        role="group"
        aria-label={trans.__('Actions on %1', name)}
      >
        {VERSION_COMMANDS.filter(id => commands.isEnabled(id, args)).map(id => (
          <CommandToolbarButtonComponent
            key={id}
            commands={commands}
            id={id}
            args={args}
          />
        ))}
      </div>
    </li>
  );
}

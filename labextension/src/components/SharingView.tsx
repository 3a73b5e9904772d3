/** Who may use a workspace, by what role, and how others come in. State is the model's; only what is typed is here. */
import { TranslationBundle } from '@jupyterlab/translation';
import { UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';

import { explain } from '../notices';
import {
  AccessMode,
  GivenRole,
  IMember,
  Kind,
  modeName,
  MODES,
  roleName
} from '../people';
import { SharingModel } from '../sharing';
import { AccessRequests } from './AccessRequests';
import { Asked } from './Asked';
import { DialogBody } from './DialogBody';
import { ErrorBoundary } from './ErrorBoundary';
import { Invitations } from './Invitations';
import { NameInput } from './NameInput';
import { Problem } from './Problem';
import { RoleSelect } from './RoleSelect';

export interface ISharingProps {
  /** Disposed of with the view. */
  sharing: SharingModel;
  /** Of a page of JupyterLab, for links. */
  labUrl: string;
  trans: TranslationBundle;
}

export class SharingView extends DialogBody {
  constructor(private _props: ISharingProps) {
    super();
    this.addClass('syla-Sharing');
  }

  dispose(): void {
    this._props.sharing.dispose();
    super.dispose();
  }

  protected render(): JSX.Element {
    const { sharing, trans } = this._props;
    return (
      <ErrorBoundary title={trans.__('The people could not be shown')}>
        <UseSignal signal={sharing.changed}>
          {() => <View {...this._props} onRest={() => this.regainFocus()} />}
        </UseSignal>
      </ErrorBoundary>
    );
  }
}

function View(props: ISharingProps & { onRest: () => void }): JSX.Element {
  const { sharing, trans } = props;
  const { members } = sharing;
  React.useEffect(() => {
    if (!sharing.busy) {
      props.onRest();
    }
  }, [sharing.busy]);
  const problem = sharing.error ? explain(sharing.error, trans) : null;
  return (
    <div className="syla-Form" aria-busy={sharing.busy}>
      <Problem problem={problem} />
      {!members && !sharing.error && (
        <p role="status">{trans.__('Loading…')}</p>
      )}
      {members && (
        <>
          <ul className="syla-People" aria-label={trans.__('People')}>
            <li>
              <Name {...props} name={members.owner} />
              <span>{roleName('owner', trans)}</span>
            </li>
            {members.members.map(one => (
              <Member key={`${one.kind} ${one.subject}`} {...props} one={one} />
            ))}
          </ul>
          <AccessRequests {...props} />
          {sharing.may('share') && <Add {...props} />}
          <Mode {...props} mode={members.mode} />
          {sharing.may('share') && <Invitations {...props} />}
          {members.role === 'owner' && <Transfer {...props} />}
        </>
      )}
    </div>
  );
}

function Name(props: ISharingProps & { name: string }): JSX.Element {
  const { sharing, name, trans } = props;
  return (
    <span className="syla-People-name">
      <bdi>{name}</bdi>
      {name === sharing.me && ` ${trans.__('(you)')}`}
    </span>
  );
}

function Member(props: ISharingProps & { one: IMember }): JSX.Element {
  const { sharing, one, trans } = props;
  const mine = one.kind === 'user' && one.subject === sharing.me;
  const rules = sharing.may('share');
  return (
    <li>
      {one.kind === 'team' ? (
        <span className="syla-People-name">
          <bdi>{one.subject}</bdi>
          <span className="syla-Tag">{trans.__('team')}</span>
        </span>
      ) : (
        <Name {...props} name={one.subject} />
      )}
      {rules ? (
        <RoleSelect
          label={trans.__('Role of %1', one.subject)}
          value={one.role}
          disabled={sharing.busy}
          onChange={role => void sharing.give(one.kind, one.subject, role)}
          trans={trans}
        />
      ) : (
        <span>{roleName(one.role, trans)}</span>
      )}
      {(rules || mine) && (
        <button
          className="jp-mod-styled jp-mod-minimal"
          disabled={sharing.busy}
          aria-label={
            mine
              ? trans.__('Leave the workspace')
              : trans.__('Remove %1', one.subject)
          }
          onClick={() => void sharing.take(one.kind, one.subject)}
        >
          {mine ? trans.__('Leave') : trans.__('Remove')}
        </button>
      )}
    </li>
  );
}

/** Somebody more, by name. */
function Add({ sharing, trans }: ISharingProps): JSX.Element {
  const [name, setName] = React.useState('');
  const [kind, setKind] = React.useState<Kind>('user');
  const [role, setRole] = React.useState<GivenRole>('viewer');
  const add = async (event: React.FormEvent): Promise<void> => {
    event.preventDefault();
    if (name.trim() && (await sharing.give(kind, name.trim(), role))) {
      setName('');
    }
  };
  return (
    <form className="syla-People-add" onSubmit={event => void add(event)}>
      <NameInput
        label={trans.__('Name of whom to share it with')}
        value={name}
        onChange={setName}
        trans={trans}
      />
      <select
        className="jp-mod-styled"
        aria-label={trans.__('Person or team')}
        value={kind}
        onChange={event => setKind(event.target.value as Kind)}
      >
        <option value="user">{trans.__('person')}</option>
        <option value="team">{trans.__('team')}</option>
      </select>
      <RoleSelect
        label={trans.__('Role to give')}
        value={role}
        onChange={setRole}
        trans={trans}
      />
      <button
        className="jp-mod-styled jp-mod-accept"
        disabled={sharing.busy || !name.trim()}
      >
        {trans.__('Share')}
      </button>
    </form>
  );
}

function Mode(props: ISharingProps & { mode: AccessMode }): JSX.Element {
  const { sharing, mode, trans } = props;
  return (
    <label>
      {trans.__('Who can reach it')}
      <select
        className="jp-mod-styled"
        value={mode}
        disabled={sharing.busy || !sharing.may('admin')}
        onChange={event =>
          void sharing.setMode(event.target.value as AccessMode)
        }
      >
        {MODES.map(one => (
          <option key={one} value={one}>
            {modeName(one, trans)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Transfer({ sharing, trans }: ISharingProps): JSX.Element {
  const [to, setTo] = React.useState('');
  const name = to.trim();
  return (
    <details>
      <summary>{trans.__('Give it to another owner')}</summary>
      <div className="syla-People-add">
        <NameInput
          label={trans.__('Name of the new owner')}
          value={to}
          onChange={setTo}
          trans={trans}
        />
        <Asked
          label={trans.__('Transfer')}
          question={trans.__('%1 owns it then, and you are an admin.', name)}
          disabled={sharing.busy || !name}
          onYes={() => void sharing.transfer(name)}
          trans={trans}
        />
      </div>
    </details>
  );
}

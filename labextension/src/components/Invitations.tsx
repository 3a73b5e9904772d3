/** Links that make whoever opens one a member, so many times and so long. */
import { Clipboard } from '@jupyterlab/apputils';
import * as React from 'react';

import { moment } from '../format';
import { GivenRole, invitationLink, roleName } from '../people';
import { RoleSelect } from './RoleSelect';
import { ISharingProps } from './SharingView';

const DAY = 86400;
const DAYS = [1, 7, 30];
const USES_MAX = 1000;

export function Invitations(props: ISharingProps): JSX.Element {
  const { sharing, labUrl, trans } = props;
  const { made } = sharing;
  return (
    <fieldset>
      <legend>{trans.__('Invitation links')}</legend>
      <Invite {...props} />
      {made && (
        <Link
          {...props}
          key={made.id}
          link={invitationLink(labUrl, made.secret)}
        />
      )}
      <ul className="syla-People" aria-label={trans.__('Invitations')}>
        {sharing.invitations.map(one => (
          <li key={one.id}>
            <span className="syla-People-name">
              {roleName(one.role, trans)}
            </span>
            <span>
              {one.uses_left
                ? trans._n('one use left', '%1 uses left', one.uses_left)
                : trans.__('used up')}
              {', '}
              {trans.__('until %1', moment(one.expires_at))}
            </span>
            <button
              className="jp-mod-styled jp-mod-minimal"
              type="button"
              disabled={sharing.busy}
              onClick={() => void sharing.uninvite(one.id)}
            >
              {trans.__('Revoke')}
            </button>
          </li>
        ))}
      </ul>
    </fieldset>
  );
}

function Invite({ sharing, trans }: ISharingProps): JSX.Element {
  const [role, setRole] = React.useState<GivenRole>('viewer');
  const [uses, setUses] = React.useState('1');
  const [days, setDays] = React.useState(7);
  const invite = (event: React.FormEvent): void => {
    event.preventDefault();
    void sharing.invite(role, Number(uses), days * DAY);
  };
  return (
    <form className="syla-People-add" onSubmit={invite}>
      <RoleSelect
        label={trans.__('Role of who comes by the link')}
        value={role}
        onChange={setRole}
        trans={trans}
      />
      <span className="syla-People-count">
        <input
          className="jp-mod-styled"
          type="number"
          min="1"
          max={USES_MAX}
          required
          value={uses}
          aria-label={trans.__('For how many people')}
          title={trans.__('For how many people')}
          onChange={event => setUses(event.target.value)}
        />
        {trans._n('person', 'people', Number(uses))}
      </span>
      <select
        className="jp-mod-styled"
        aria-label={trans.__('For how long')}
        value={days}
        onChange={event => setDays(Number(event.target.value))}
      >
        {DAYS.map(one => (
          <option key={one} value={one}>
            {trans._n('for a day', 'for %1 days', one)}
          </option>
        ))}
      </select>
      <button className="jp-mod-styled" disabled={sharing.busy}>
        {trans.__('Make a link')}
      </button>
    </form>
  );
}

function Link({ link, trans }: ISharingProps & { link: string }): JSX.Element {
  const [copied, setCopied] = React.useState(false);
  return (
    <>
      <div className="syla-People-add">
        <input
          className="jp-mod-styled"
          readOnly
          value={link}
          aria-label={trans.__('The link')}
          onFocus={event => event.target.select()}
        />
        <button
          className="jp-mod-styled jp-mod-accept"
          type="button"
          onClick={() => {
            Clipboard.copyToSystem(link);
            setCopied(true);
          }}
        >
          {copied ? trans.__('Copied') : trans.__('Copy')}
        </button>
      </div>
      <p role="status">
        {trans.__(
          'It is shown this once. Who opens it has to be logged in to this server.'
        )}
      </p>
    </>
  );
}

/** Who asks for a role, and the answer: the role that is given, which may be another one, or none. */
import * as React from 'react';

import { moment } from '../format';
import { GivenRole } from '../people';
import { IAccessRequest } from '../peopleApi';
import { RoleSelect } from './RoleSelect';
import { ISharingProps } from './SharingView';

export function AccessRequests(props: ISharingProps): JSX.Element | null {
  const { sharing, trans } = props;
  if (!sharing.requests.length) {
    return null;
  }
  return (
    <fieldset>
      <legend>{trans.__('Asking for access')}</legend>
      <ul className="syla-People" aria-label={trans.__('Asking for access')}>
        {sharing.requests.map(one => (
          <Request key={`${one.user} ${one.role}`} {...props} one={one} />
        ))}
      </ul>
    </fieldset>
  );
}

function Request(props: ISharingProps & { one: IAccessRequest }): JSX.Element {
  const { sharing, one, trans } = props;
  const [role, setRole] = React.useState<GivenRole>(one.role);
  return (
    <li>
      <span className="syla-People-name">
        <bdi>{one.user}</bdi>
        <small>
          {trans.__('asked for %1, %2', one.role, moment(one.asked_at))}
        </small>
      </span>
      <RoleSelect
        label={trans.__('Role to give to %1', one.user)}
        value={role}
        disabled={sharing.busy}
        onChange={setRole}
        trans={trans}
      />
      <button
        className="jp-mod-styled jp-mod-accept"
        type="button"
        disabled={sharing.busy}
        aria-label={trans.__('Grant %1 a role', one.user)}
        onClick={() => void sharing.grant(one, role)}
      >
        {trans.__('Grant')}
      </button>
      <button
        className="jp-mod-styled"
        type="button"
        disabled={sharing.busy}
        aria-label={trans.__('Refuse %1', one.user)}
        onClick={() => void sharing.refuse(one)}
      >
        {trans.__('Refuse')}
      </button>
    </li>
  );
}

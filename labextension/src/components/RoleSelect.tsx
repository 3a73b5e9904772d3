import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { GIVEN, GivenRole, Role, roleName } from '../people';

/** One of the roles that can be given. */
export function RoleSelect(props: {
  label: string;
  value: Role;
  disabled?: boolean;
  onChange: (role: GivenRole) => void;
  trans: TranslationBundle;
}): JSX.Element {
  return (
    <select
      className="jp-mod-styled"
      aria-label={props.label}
      value={props.value}
      disabled={props.disabled}
      onChange={event => props.onChange(event.target.value as GivenRole)}
    >
      {GIVEN.map(role => (
        <option key={role} value={role}>
          {roleName(role, props.trans)}
        </option>
      ))}
    </select>
  );
}

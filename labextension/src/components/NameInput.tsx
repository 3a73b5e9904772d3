import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

/** Name of a user or team, typed. */
export function NameInput(props: {
  label: string;
  value: string;
  onChange: (name: string) => void;
  trans: TranslationBundle;
}): JSX.Element {
  return (
    <input
      className="jp-mod-styled"
      value={props.value}
      onChange={event => props.onChange(event.target.value)}
      placeholder={props.trans.__('Name')}
      aria-label={props.label}
      autoComplete="off"
      dir="auto"
    />
  );
}

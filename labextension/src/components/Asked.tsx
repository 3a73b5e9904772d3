import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

/** A button that asks in its place before it does anything: one dialog does not open another. */
export function Asked(props: {
  label: string;
  question: string;
  disabled: boolean;
  onYes: () => void;
  trans: TranslationBundle;
}): JSX.Element {
  const [asking, setAsking] = React.useState(false);
  if (!asking) {
    return (
      <button
        className="jp-mod-styled"
        type="button"
        disabled={props.disabled}
        onClick={() => setAsking(true)}
      >
        {props.label}
      </button>
    );
  }
  return (
    <span className="syla-Asked" role="group">
      {props.question}
      <button
        className="jp-mod-styled"
        type="button"
        autoFocus
        onClick={() => setAsking(false)}
      >
        {props.trans.__('Cancel')}
      </button>
      <button
        className="jp-mod-styled jp-mod-warn"
        type="button"
        onClick={() => {
          setAsking(false);
          props.onYes();
        }}
      >
        {props.label}
      </button>
    </span>
  );
}

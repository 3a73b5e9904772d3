import * as React from 'react';

/** A labelled bar, for eyes and for screen readers; `value` null: not known now. */
export function Meter(props: {
  label: string;
  value: number | null;
  max: number;
  text: string;
}): JSX.Element {
  const { label, value, max, text } = props;
  const share = value !== null && max > 0 ? Math.min(1, value / max) : 0;
  const level = share > 0.9 ? 'error' : share > 0.8 ? 'warn' : 'ok';
  const percent = value === null ? '–' : `${Math.round(share * 100)}%`;
  return (
    <div className="syla-Meter" title={`${label}: ${text}`}>
      <span aria-hidden>
        <span className="syla-Meter-label">{label}</span>
        <span>{percent}</span>
      </span>
      <div
        className="syla-Meter-track"
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(share * 100)}
        aria-valuetext={text}
      >
        <div
          className={`syla-Meter-fill syla-mod-${level}`}
          style={{ width: `${share * 100}%` }}
        />
      </div>
    </div>
  );
}

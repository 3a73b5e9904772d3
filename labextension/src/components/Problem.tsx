import * as React from 'react';

export interface IProblem {
  message: string;
  hint: string;
}

/** What went wrong and what to do; nothing where nothing did. */
export function Problem(props: {
  problem: IProblem | null;
}): JSX.Element | null {
  return props.problem ? (
    <p className="syla-Error" role="alert">
      {props.problem.message}
      {props.problem.hint && (
        <span className="syla-Hint">{props.problem.hint}</span>
      )}
    </p>
  ) : null;
}

/** What is asked and told about versions. */
import { Dialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import { DialogBody } from './DialogBody';
import { IProblem, Problem } from './Problem';

interface IRestoreOptions {
  lines: string[];
  /** Proposed: only these. */
  paths: string[];
  /** There have to be some. */
  required: boolean;
  trans: TranslationBundle;
}

/** All of it or some paths; its value is the text of the paths, one a line. */
export class RestoreBody
  extends DialogBody
  implements Dialog.IBodyWidget<string>
{
  constructor(private _options: IRestoreOptions) {
    super();
  }

  getValue(): string {
    return this.node.querySelector('textarea')?.value ?? '';
  }

  protected render(): JSX.Element {
    const { lines, paths, required, trans } = this._options;
    return (
      <>
        <Lines lines={lines} />
        <label>
          {required
            ? trans.__('Paths, one a line')
            : trans.__('Only these paths, one a line; empty: all of it')}
          <textarea
            className="jp-mod-styled"
            rows={Math.min(8, Math.max(3, paths.length + 1))}
            defaultValue={paths.join('\n')}
            placeholder={trans.__('files/a.ipynb, files/folder, home/.bashrc')}
            spellCheck={false}
            dir="auto"
            required={required}
          />
        </label>
      </>
    );
  }
}

interface ICloneOptions {
  name: string;
  problem: IProblem | null;
  trans: TranslationBundle;
}

/** Its value is the name of the clone. */
export class CloneBody
  extends DialogBody
  implements Dialog.IBodyWidget<string>
{
  constructor(private _options: ICloneOptions) {
    super();
  }

  getValue(): string {
    return this.node.querySelector('input')?.value.trim() ?? '';
  }

  protected render(): JSX.Element {
    const { name, problem, trans } = this._options;
    return (
      <div className="syla-Form">
        <Problem problem={problem} />
        <label>
          {trans.__('Name')}
          <input
            className="jp-mod-styled"
            defaultValue={name}
            autoComplete="off"
            dir="auto"
            required
          />
        </label>
        <p>
          {trans.__(
            'It has the same files, packages, variables and limits, and goes its own way from there.'
          )}
        </p>
      </div>
    );
  }
}

/** What was done, and lines about it that are as many as they are. */
export class ReportBody extends ReactWidget {
  constructor(private _options: { text: string; lines: string[] }) {
    super();
    this.addClass('syla-Dialog');
  }

  protected render(): JSX.Element {
    return (
      <>
        <p>{this._options.text}</p>
        <div className="syla-Report" tabIndex={0}>
          <Lines lines={this._options.lines} />
        </div>
      </>
    );
  }
}

function Lines({ lines }: { lines: string[] }): JSX.Element {
  return (
    <ul>
      {lines.map((line, place) => (
        <li key={place}>
          <bdi>{line}</bdi>
        </li>
      ))}
    </ul>
  );
}

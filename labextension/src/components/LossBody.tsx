import { Dialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { DialogBody } from './DialogBody';

interface IOptions {
  lines: string[];
  /** To be typed before anything happens; null: nothing is. */
  name: string | null;
  trans: TranslationBundle;
}

/** What a confirmation says; its value is what was typed. */
export class LossBody extends DialogBody implements Dialog.IBodyWidget<string> {
  constructor(private _options: IOptions) {
    super();
  }

  getValue(): string {
    return this.node.querySelector('input')?.value.trim() ?? '';
  }

  protected render(): JSX.Element {
    const { lines, name, trans } = this._options;
    return (
      <>
        <ul>
          {lines.map(line => (
            <li key={line}>{line}</li>
          ))}
        </ul>
        {name !== null && (
          <label>
            {trans.__('Type its name to go on: %1', name)}
            <input className="jp-mod-styled" autoComplete="off" dir="auto" />
          </label>
        )}
      </>
    );
  }
}

import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';

import { WorkspacesModel } from '../model';

/** One line above a launcher: where what is started there runs. */
export class Where extends ReactWidget {
  constructor(
    private _model: WorkspacesModel,
    private _words: () => string
  ) {
    super();
    this.addClass('syla-Where');
  }

  protected render(): JSX.Element {
    return (
      <UseSignal signal={this._model.changed}>
        {() => <div title={this._words()}>{this._words()}</div>}
      </UseSignal>
    );
  }
}

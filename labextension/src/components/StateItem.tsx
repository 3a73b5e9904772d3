/** Name and state of a workspace as a button: in the status bar, and in a notebook's toolbar. */
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';

import { IWorkspace } from '../api';
import { deadline, stateName } from '../format';
import { workspacesIcon } from '../icons';
import { WorkspacesModel } from '../model';

interface IOptions {
  model: WorkspacesModel;
  trans: TranslationBundle;
  /** Which one; none is shown as nothing. */
  find: () => IWorkspace | undefined;
  onClick: () => void;
  place: 'statusBar' | 'toolbarButton';
}

export class StateItem extends ReactWidget {
  constructor(private _options: IOptions) {
    super();
    this.addClass('syla-StateItem');
    this.addClass(`syla-mod-${_options.place}`);
  }

  protected render(): JSX.Element {
    return (
      <UseSignal signal={this._options.model.changed}>
        {() => this._draw()}
      </UseSignal>
    );
  }

  private _draw(): JSX.Element | null {
    const { find, trans, onClick, place } = this._options;
    const workspace = find();
    if (!workspace) {
      return null;
    }
    const state = stateName(workspace, trans);
    const title = [
      trans.__(
        'Syla workspace %1: %2, template %3',
        workspace.name,
        state,
        workspace.template
      ),
      deadline(workspace, Date.now(), trans)
    ]
      .filter(Boolean)
      .join('\n');
    return (
      <button title={title} aria-label={title} onClick={onClick}>
        <workspacesIcon.react tag="span" stylesheet={place} aria-hidden />
        <bdi>{workspace.name}</bdi>
        <span className={`syla-Badge syla-mod-${workspace.state}`}>
          {state}
        </span>
      </button>
    );
  }
}

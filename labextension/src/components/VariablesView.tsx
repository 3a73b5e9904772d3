/** The variables of the kernel somebody works with, as a table. State is the model's. */
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import { Message } from '@lumino/messaging';
import * as React from 'react';

import { size } from '../format';
import { Standing, VariablesModel } from '../variables';
import { ErrorBoundary } from './ErrorBoundary';

interface IProps {
  variables: VariablesModel;
  trans: TranslationBundle;
}

export class VariablesView extends ReactWidget {
  constructor(private _props: IProps) {
    super();
    this.addClass('syla-Variables');
  }

  protected render(): JSX.Element {
    const { variables, trans } = this._props;
    return (
      <ErrorBoundary title={trans.__('The variables could not be shown')}>
        <UseSignal signal={variables.changed}>
          {() => <View {...this._props} />}
        </UseSignal>
      </ErrorBoundary>
    );
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._props.variables.watched = true;
  }

  protected onAfterHide(message: Message): void {
    this._props.variables.watched = false;
    super.onAfterHide(message);
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._props.variables.watched = this.isVisible;
  }
}

function View({ variables, trans }: IProps): JSX.Element {
  const rows = variables.variables;
  const note = explained(variables.standing, rows.length, trans);
  const more = variables.total - rows.length;
  return (
    <>
      <div className="syla-Variables-head">
        <button
          className="jp-mod-styled"
          onClick={() => void variables.refresh()}
        >
          {trans.__('Refresh')}
        </button>
      </div>
      {note && (
        <p className="syla-Empty" role="status">
          {note}
        </p>
      )}
      {rows.length > 0 && (
        <table aria-label={trans.__('Variables')}>
          <thead>
            <tr>
              <th scope="col">{trans.__('Name')}</th>
              <th scope="col">{trans.__('Type')}</th>
              <th scope="col">{trans.__('Size')}</th>
              <th scope="col">{trans.__('Value')}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(row => (
              <tr key={row.name}>
                <th scope="row" title={row.name}>
                  <bdi>{row.name}</bdi>
                </th>
                <td title={row.type}>
                  <bdi>{row.type}</bdi>
                </td>
                <td>{row.bytes === null ? '' : size(row.bytes)}</td>
                <td title={row.text}>
                  <bdi>{row.text}</bdi>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {more > 0 && (
        <p className="syla-Empty">{trans.__('… and %1 more.', more)}</p>
      )}
    </>
  );
}

function explained(
  standing: Standing,
  count: number,
  trans: TranslationBundle
): string {
  switch (standing) {
    case 'none':
      return trans.__('No notebook with a kernel is in front.');
    case 'asking':
      return trans.__('Loading…');
    case 'busy':
      return trans.__('The kernel is busy: it is asked when it is idle.');
    case 'asleep':
      return trans.__(
        'The workspace is not running. Its variables are listed when it is resumed.'
      );
    case 'foreign':
      return trans.__('Variables of Python kernels only are listed.');
    case 'failed':
      return trans.__('The kernel did not list its variables.');
    default:
      return count ? '' : trans.__('There are no variables.');
  }
}

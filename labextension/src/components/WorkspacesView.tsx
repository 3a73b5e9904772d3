/** What the panel shows: the filter, notices, the list. State is the model's; only the filter is kept here. */
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { Message } from '@lumino/messaging';
import * as React from 'react';

import { IWorkspace } from '../api';
import { AskingModel } from '../asking';
import { CommandIDs } from '../commandIds';
import { WorkspacesModel } from '../model';
import { explain } from '../notices';
import { PresenceModel } from '../presence';
import { changedWords, matching, Shown } from '../rules';
import { ErrorBoundary } from './ErrorBoundary';
import { VirtualList } from './VirtualList';
import { WorkspaceRow } from './WorkspaceRow';

/** How exactly deadlines are told: rows that say the same as before are not drawn again. */
const CLOCK_MS = 10_000;

interface IProps {
  model: WorkspacesModel;
  presence: PresenceModel;
  asking: AskingModel;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

export class WorkspacesView extends ReactWidget {
  constructor(private _props: IProps) {
    super();
    this.addClass('syla-Workspaces');
  }

  protected render(): JSX.Element {
    const { model, presence, asking, trans } = this._props;
    return (
      <ErrorBoundary title={trans.__('The panel could not be shown')}>
        <UseSignal signal={model.changed}>
          {() => (
            <UseSignal signal={presence.changed}>
              {() => (
                <UseSignal signal={asking.changed}>
                  {() => <View {...this._props} />}
                </UseSignal>
              )}
            </UseSignal>
          )}
        </UseSignal>
      </ErrorBoundary>
    );
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._props.model.watched = true;
  }

  protected onAfterHide(message: Message): void {
    this._props.model.watched = false;
    super.onAfterHide(message);
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._props.model.watched = this.isVisible;
  }
}

function View({
  model,
  presence,
  asking,
  commands,
  trans
}: IProps): JSX.Element {
  const [words, setWords] = React.useState('');
  const [shown, setShown] = React.useState<Shown>('all');
  if (!model.loaded) {
    return (
      <p className="syla-Empty" role="status">
        {trans.__('Loading…')}
      </p>
    );
  }
  if (model.error && !model.workspaces.length) {
    return <Problem reason={model.error} commands={commands} trans={trans} />;
  }
  const rows = matching(model.workspaces, words, shown);
  const current = model.current?.id;
  const nowMs = Math.floor(Date.now() / CLOCK_MS) * CLOCK_MS;
  return (
    <>
      <Filter {...{ words, setWords, shown, setShown, trans }} />
      {!model.live && (
        <p className="syla-Notice" role="status">
          {model.error
            ? explain(model.error, trans).message
            : trans.__('No live updates: the list is read every few seconds.')}
        </p>
      )}
      <Spoken workspaces={model.workspaces} trans={trans} />
      {rows.length === 0 ? (
        model.workspaces.length ? (
          <Empty
            words={trans.__('No workspace matches.')}
            action={trans.__('Show all')}
            onClick={() => {
              setWords('');
              setShown('all');
            }}
          />
        ) : (
          <Empty
            words={trans.__(
              'There are no workspaces yet. One has files, packages and limits of its own; its notebooks run in it.'
            )}
            action={trans.__('New workspace…')}
            onClick={() => void commands.execute(CommandIDs.create)}
          />
        )
      ) : (
        <VirtualList
          items={rows}
          label={trans.__('Syla workspaces')}
          draw={(workspace, index, stop) => (
            <WorkspaceRow
              key={workspace.id}
              workspace={workspace}
              usage={model.usage(workspace.id)}
              current={workspace.id === current}
              role={model.role(workspace)}
              byLink={model.byLink(workspace)}
              asking={asking.waitingFor(workspace.id).length}
              people={presence.here(workspace.id)}
              position={index + 1}
              count={rows.length}
              stop={stop}
              nowMs={nowMs}
              commands={commands}
              trans={trans}
            />
          )}
        />
      )}
    </>
  );
}

function Empty(props: {
  words: string;
  action: string;
  onClick: () => void;
}): JSX.Element {
  return (
    <div className="syla-Empty">
      <p role="status">{props.words}</p>
      <button className="jp-mod-styled" onClick={props.onClick}>
        {props.action}
      </button>
    </div>
  );
}

/** For who does not see the list: what has just become of a workspace in it. */
function Spoken(props: {
  workspaces: ReadonlyArray<IWorkspace>;
  trans: TranslationBundle;
}): JSX.Element {
  const { workspaces, trans } = props;
  const before = React.useRef(workspaces);
  const [words, setWords] = React.useState('');
  React.useEffect(() => {
    const news = changedWords(before.current, workspaces, trans);
    before.current = workspaces;
    if (news) {
      setWords(news);
    }
  }, [workspaces]);
  return (
    <p className="syla-Spoken" role="status">
      {words}
    </p>
  );
}

function Filter(props: {
  words: string;
  setWords: (words: string) => void;
  shown: Shown;
  setShown: (shown: Shown) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { trans } = props;
  const states: [Shown, string][] = [
    ['all', trans.__('All')],
    ['active', trans.__('Active')],
    ['suspended', trans.__('Not running')],
    ['archived', trans.__('Archived')]
  ];
  return (
    <div className="syla-Filter" role="search">
      <input
        className="jp-mod-styled"
        type="search"
        placeholder={trans.__('Filter')}
        aria-label={trans.__('Filter workspaces')}
        value={props.words}
        onChange={event => props.setWords(event.target.value)}
      />
      <select
        className="jp-mod-styled"
        aria-label={trans.__('State of the workspaces shown')}
        value={props.shown}
        onChange={event => props.setShown(event.target.value as Shown)}
      >
        {states.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </div>
  );
}

function Problem(props: {
  reason: Error;
  commands: CommandRegistry;
  trans: TranslationBundle;
}): JSX.Element {
  const { message, hint } = explain(props.reason, props.trans);
  return (
    <div className="syla-Error" role="alert">
      <p>{message}</p>
      {hint && <p className="syla-Hint">{hint}</p>}
      <button
        className="jp-mod-styled jp-mod-accept"
        onClick={() => void props.commands.execute(CommandIDs.refresh)}
      >
        {props.trans.__('Try again')}
      </button>
    </div>
  );
}

/** Who is where, by workspace: file, role, whether he does something; a way to his file, and to follow him. */
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { IWorkspace } from '../api';
import { CommandIDs } from '../commandIds';
import { Following } from '../following';
import { WorkspacesModel } from '../model';
import { initials, IPerson, PresenceModel } from '../presence';
import { ErrorBoundary } from './ErrorBoundary';

interface IProps {
  model: WorkspacesModel;
  presence: PresenceModel;
  following: Following;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

export class PeopleView extends ReactWidget {
  constructor(private _props: IProps) {
    super();
    this.addClass('syla-Here');
  }

  protected render(): JSX.Element {
    const { model, presence, following, trans } = this._props;
    return (
      <ErrorBoundary title={trans.__('The people could not be shown')}>
        <UseSignal signal={presence.changed}>
          {() => (
            <UseSignal signal={model.changed}>
              {() => (
                <UseSignal signal={following.changed}>
                  {() => <View {...this._props} />}
                </UseSignal>
              )}
            </UseSignal>
          )}
        </UseSignal>
      </ErrorBoundary>
    );
  }
}

function View(props: IProps): JSX.Element {
  const { model, presence, trans } = props;
  const found = model.workspaces.filter(one => presence.here(one.id).length);
  if (!found.length) {
    return (
      <p className="syla-Empty" role="status">
        {presence.asks
          ? trans.__('Nobody has a document open now.')
          : trans.__(
              'Documents are not shared on this server. They are where jupyter-collaboration is installed and there are several users.'
            )}
      </p>
    );
  }
  return (
    <>
      {found.map(one => (
        <section key={one.id} aria-labelledby={`syla-here-${one.id}`}>
          <h3 id={`syla-here-${one.id}`}>
            <bdi>{one.name}</bdi>
          </h3>
          <ul>
            {presence.here(one.id).map(person => (
              <Person
                key={person.user}
                {...props}
                person={person}
                workspace={one}
              />
            ))}
          </ul>
        </section>
      ))}
    </>
  );
}

function Person(
  props: IProps & { person: IPerson; workspace: IWorkspace }
): JSX.Element {
  const { person, workspace, commands, following, trans } = props;
  const file = person.path.split('/').pop() ?? '';
  const place = person.path.startsWith(`${workspace.path}/`)
    ? person.path.slice((workspace.path ?? '').length + 1)
    : person.path;
  const followed = following.user === person.user;
  return (
    <li className={person.idle ? 'syla-mod-idle' : ''} data-user={person.user}>
      <Mark person={person} />
      <span className="syla-Here-name" title={person.name}>
        <bdi>{person.name}</bdi>
        {person.me && ` ${trans.__('(you)')}`}
      </span>
      <span className="syla-Here-role">
        {[person.role, person.idle ? trans.__('idle') : trans.__('active')]
          .filter(Boolean)
          .join(' · ')}
      </span>
      <button
        className="syla-Here-file"
        title={place}
        aria-label={trans.__('Open %1, where %2 is', file, person.name)}
        onClick={() =>
          void commands.execute('docmanager:open', { path: person.path })
        }
      >
        <bdi>{place}</bdi>
      </button>
      {!person.me && (
        <button
          className="jp-mod-styled jp-mod-minimal"
          aria-pressed={followed}
          aria-label={trans.__('Follow %1', person.name)}
          onClick={() =>
            void commands.execute(
              followed ? CommandIDs.unfollow : CommandIDs.follow,
              { user: person.user }
            )
          }
        >
          {followed ? trans.__('Stop') : trans.__('Follow')}
        </button>
      )}
    </li>
  );
}

/** Somebody's initials in his colour. */
export function Mark({ person }: { person: IPerson }): JSX.Element {
  return (
    <span
      className="syla-Mark"
      style={{ borderColor: person.color || undefined }}
      aria-hidden
    >
      {initials(person.name)}
    </span>
  );
}

const MARKS_MAX = 3;

/** In a workspace's row: who is there, as few letters as that takes. */
export function Here(props: {
  workspace: IWorkspace;
  people: ReadonlyArray<IPerson>;
  tabIndex: number;
  commands: CommandRegistry;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { people, trans } = props;
  if (!people.length) {
    return null;
  }
  const names = people.map(one => one.name).join(', ');
  const title = trans._n(
    'One person is there: %2',
    '%1 people are there: %2',
    people.length,
    names
  );
  const shown = people.slice(0, MARKS_MAX);
  return (
    <button
      className="syla-Row-here"
      title={title}
      aria-label={title}
      tabIndex={props.tabIndex}
      onClick={() => void props.commands.execute(CommandIDs.people)}
    >
      {shown.map(one => (
        <Mark key={one.user} person={one} />
      ))}
      {people.length > shown.length && `+${people.length - shown.length}`}
    </button>
  );
}

/** Over everything, as long as somebody is followed. */
export class FollowingNote extends ReactWidget {
  constructor(
    private _props: Pick<
      IProps,
      'presence' | 'following' | 'commands' | 'trans'
    >
  ) {
    super();
    this.addClass('syla-Following');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', _props.trans.__('Following'));
    _props.following.changed.connect(this._show, this);
    this._show();
  }

  protected render(): JSX.Element | null {
    const { presence, following, commands, trans } = this._props;
    const name = presence.of(following.user)?.display_name ?? following.user;
    return !following.user ? null : (
      <>
        <span role="status">
          {trans.__('Following')} <bdi>{name}</bdi>
        </span>
        <button
          className="jp-mod-styled"
          aria-label={trans.__('Stop following %1', name)}
          onClick={() => void commands.execute(CommandIDs.unfollow)}
        >
          {trans.__('Stop')}
        </button>
      </>
    );
  }

  private _show(): void {
    this.setHidden(!this._props.following.user);
    this.update();
  }
}

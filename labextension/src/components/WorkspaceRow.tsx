/**
 * One workspace in the list. All rows are equally high, whatever they say: the list counts on it.
 *
 * While a list scrolls, rows are made by the dozen: so their buttons are plain elements (JupyterLab's are custom elements
 * with a shadow tree each, and take longer than all the rest of a row), and a row of which nothing has changed is not
 * drawn again.
 */
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { IWorkspace } from '../api';
import { CommandIDs, ROW_COMMANDS } from '../commandIds';
import { deadline, size, stateName } from '../format';
import { IUsage } from '../usage';
import { may, Role } from '../people';
import { CommandButton } from './CommandButton';
import { IPerson } from '../presence';
import { Meter } from './Meter';
import { Here } from './PeopleView';

export interface IRowProps {
  workspace: IWorkspace;
  usage: IUsage | undefined;
  current: boolean;
  /** This person's there. */
  role: Role;
  /** As every user may. */
  byLink: boolean;
  /** So many people ask for a role there, and wait for this person's answer. */
  asking: number;
  /** Who is there now. */
  people: ReadonlyArray<IPerson>;
  /** From 1, in a list of `count`. */
  position: number;
  count: number;
  /** Tab goes into it; else the list's keys lead here. */
  stop: boolean;
  nowMs: number;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

export const WorkspaceRow = React.memo(Row);

function Row(props: IRowProps): JSX.Element {
  const { workspace, trans } = props;
  const title = `syla-title-${workspace.id}`;
  const tabIndex = props.stop ? 0 : -1;
  const whose =
    props.role === 'owner'
      ? []
      : [
          props.byLink
            ? trans.__('%1 of %2 by link', props.role, workspace.owner)
            : trans.__('%1 of %2', props.role, workspace.owner)
        ];
  const kind = [
    ...whose,
    workspace.is_default ? trans.__('default') : workspace.type,
    workspace.template,
    ...(whose.length ? [] : [workspace.owner])
  ].join(' · ');
  return (
    <li
      className={`syla-Row${props.current ? ' syla-mod-current' : ''}`}
      data-workspace={workspace.id}
      tabIndex={tabIndex}
      aria-labelledby={title}
      aria-current={props.current || undefined}
      aria-setsize={props.count}
      aria-posinset={props.position}
    >
      <div className="syla-Row-head">
        <h3 id={title} title={workspace.name}>
          <bdi>{workspace.name}</bdi>
        </h3>
        <Here {...props} tabIndex={tabIndex} />
        <span
          className={`syla-Badge syla-mod-${workspace.state}`}
          title={workspace.reason}
        >
          {stateName(workspace, trans)}
        </span>
      </div>
      <div className="syla-Row-line" title={kind}>
        <bdi>{kind}</bdi>
      </div>
      <Meters {...props} />
      <Deadline {...props} />
      <Actions {...props} />
    </li>
  );
}

function Meters({ workspace, usage, trans }: IRowProps): JSX.Element {
  const { limits } = workspace;
  const cpus = usage?.cpus ?? null;
  const memory = usage?.memoryBytes ?? null;
  const cores = trans._n('%1 core', '%1 cores', limits.cpus);
  const used =
    cpus !== null
      ? trans.__('%1 of %2', cpus.toFixed(2), cores)
      : usage
        ? trans.__('being measured; limit %1', cores)
        : trans.__('not running; limit %1', cores);
  return (
    <div className="syla-Meters">
      <Meter
        label={trans.__('CPU')}
        value={cpus}
        max={limits.cpus}
        text={used}
      />
      <Meter
        label={trans.__('Memory')}
        value={memory}
        max={limits.memory_bytes}
        text={trans.__(
          '%1 of %2',
          memory === null ? '–' : size(memory),
          size(limits.memory_bytes)
        )}
      />
      <Meter
        label={trans.__('Disk')}
        value={workspace.disk_bytes}
        max={limits.disk_bytes}
        text={trans.__(
          '%1 of %2',
          size(workspace.disk_bytes),
          size(limits.disk_bytes)
        )}
      />
    </div>
  );
}

/** When something comes by itself and why, with the way to put it off. */
function Deadline(props: IRowProps): JSX.Element {
  const { workspace, trans } = props;
  const when = deadline(workspace, props.nowMs, trans);
  const text = when
    ? trans.__('%1: %2', when, workspace.next.reason)
    : workspace.reason;
  return (
    <div className="syla-Row-line syla-Deadline">
      <span title={text}>
        <bdi>{text}</bdi>
      </span>
      {when && may(props.role, 'execute') && (
        <button
          type="button"
          className="syla-Extend"
          tabIndex={props.stop ? 0 : -1}
          title={props.commands.caption(CommandIDs.extend)}
          aria-label={trans.__('Extend %1', workspace.name)}
          onClick={() =>
            void props.commands.execute(CommandIDs.extend, {
              workspace: workspace.id
            })
          }
        >
          {trans.__('Extend')}
        </button>
      )}
    </div>
  );
}

function Actions(props: IRowProps): JSX.Element {
  const { workspace, commands, trans } = props;
  const args = { workspace: workspace.id, toolbar: true };
  return (
    <div
      className="syla-Actions"
      role="group"
      aria-label={trans.__('Actions on %1', workspace.name)}
    >
      {ROW_COMMANDS.filter(id => commands.isEnabled(id, args)).map(id => (
        <CommandButton
          key={id}
          commands={commands}
          id={id}
          args={args}
          tabIndex={props.stop ? 0 : -1}
          {...(id === CommandIDs.share ? counted(props) : {})}
        />
      ))}
    </div>
  );
}

function counted(props: IRowProps): { count?: number; counted?: string } {
  const { asking, trans } = props;
  const words = trans._n(
    'one person asks for access',
    '%1 people ask for access',
    asking
  );
  return asking ? { count: asking, counted: words } : {};
}

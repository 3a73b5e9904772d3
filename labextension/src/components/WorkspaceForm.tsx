/** What is asked about a workspace: fields that the browser draws, read when the dialog is accepted. */
import { Dialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ILimits, INewWorkspace, ITemplate, WorkspaceType } from '../api';
import { DialogBody } from './DialogBody';
import { IProblem, Problem } from './Problem';

const GIB = 2 ** 30;

/** The number fields of limits: where each is kept, and its unit in bytes or cores. */
const FIELDS: { name: keyof ILimits; unit: number; step: number }[] = [
  { name: 'cpus', unit: 1, step: 0.05 },
  { name: 'memory_bytes', unit: GIB, step: 0.001 },
  { name: 'disk_bytes', unit: GIB, step: 0.001 },
  { name: 'pids', unit: 1, step: 1 }
];

function shown(limits: Partial<ILimits>, name: keyof ILimits): string {
  const value = limits[name];
  const unit = FIELDS.find(field => field.name === name)?.unit ?? 1;
  return value === undefined
    ? ''
    : String(Math.round((value / unit) * 1000) / 1000);
}

function Limits(props: {
  limits: Partial<ILimits>;
  placeholder: string;
  trans: TranslationBundle;
}): JSX.Element {
  const { limits, placeholder, trans } = props;
  const labels = {
    cpus: trans.__('CPU cores'),
    memory_bytes: trans.__('Memory (GiB)'),
    disk_bytes: trans.__('Disk (GiB)'),
    pids: trans.__('Processes')
  };
  return (
    <div className="syla-Form-row">
      {FIELDS.map(({ name, step }) => (
        <label key={name}>
          {labels[name]}
          <input
            className="jp-mod-styled"
            type="number"
            min="0"
            step={step}
            name={name}
            defaultValue={shown(limits, name)}
            placeholder={placeholder}
          />
        </label>
      ))}
    </div>
  );
}

/** What stands in the fields, without what is empty or as it was. */
function limitsIn(
  node: HTMLElement,
  before: Partial<ILimits>
): Partial<ILimits> {
  const found: Partial<ILimits> = {};
  for (const { name, unit } of FIELDS) {
    const input = node.querySelector<HTMLInputElement>(`[name=${name}]`);
    if (input?.value && input.value !== shown(before, name)) {
      const value = Number(input.value) * unit;
      found[name] = name === 'cpus' ? value : Math.round(value);
    }
  }
  return found;
}

interface INewOptions {
  asked: INewWorkspace;
  templates: ITemplate[];
  problem: IProblem | null;
  trans: TranslationBundle;
}

/** All that a new workspace needs: only its name is asked for, and one is there already. */
export class NewBody
  extends DialogBody
  implements Dialog.IBodyWidget<INewWorkspace>
{
  constructor(private _options: INewOptions) {
    super();
  }

  getValue(): INewWorkspace {
    const value = (name: string): string =>
      this.node.querySelector<HTMLInputElement | HTMLSelectElement>(
        `[name=${name}]`
      )?.value ?? '';
    const limits = limitsIn(this.node, {});
    return {
      name: value('name').trim(),
      type: value('type') as WorkspaceType,
      ...(value('template') ? { template: value('template') } : {}),
      ...(Object.keys(limits).length ? { limits } : {})
    };
  }

  protected render(): JSX.Element {
    const { asked, templates, problem, trans } = this._options;
    const types: [WorkspaceType, string][] = [
      ['persistent', trans.__('persistent: kept, suspended when idle')],
      ['session', trans.__('session: for a day, then deleted')],
      ['ephemeral', trans.__('ephemeral: for minutes, without network')],
      ['collaborative', trans.__('collaborative: bigger, kept until deleted')]
    ];
    return (
      <div className="syla-Form">
        <Problem problem={problem} />
        <label>
          {trans.__('Name')}
          <input
            className="jp-mod-styled"
            name="name"
            defaultValue={asked.name}
            autoComplete="off"
            dir="auto"
            required
          />
        </label>
        <label>
          {trans.__('Type')}
          <select
            className="jp-mod-styled"
            name="type"
            defaultValue={asked.type ?? 'persistent'}
          >
            {types.map(([type, words]) => (
              <option key={type} value={type}>
                {words}
              </option>
            ))}
          </select>
        </label>
        {templates.length > 0 && (
          <label>
            {trans.__('Template')}
            <select
              className="jp-mod-styled"
              name="template"
              defaultValue={
                asked.template ?? templates.find(one => one.is_default)?.name
              }
            >
              {templates.map(one => (
                <option key={one.name} value={one.name}>
                  {one.display_name}
                </option>
              ))}
            </select>
          </label>
        )}
        <Limits
          limits={asked.limits ?? {}}
          placeholder={trans.__('default')}
          trans={trans}
        />
      </div>
    );
  }
}

interface ILimitsOptions {
  /** As they are. */
  before: ILimits;
  /** As they were asked for the last time. */
  asked: Partial<ILimits>;
  problem: IProblem | null;
  trans: TranslationBundle;
}

/** Other limits; its value has those that were changed. */
export class LimitsBody
  extends DialogBody
  implements Dialog.IBodyWidget<Partial<ILimits>>
{
  constructor(private _options: ILimitsOptions) {
    super();
  }

  getValue(): Partial<ILimits> {
    return limitsIn(this.node, this._options.before);
  }

  protected render(): JSX.Element {
    const { before, asked, problem, trans } = this._options;
    return (
      <div className="syla-Form">
        <Problem problem={problem} />
        <Limits limits={{ ...before, ...asked }} placeholder="" trans={trans} />
        <p>{trans.__('They hold at once, for what runs as well.')}</p>
      </div>
    );
  }
}

/**
 * The variables of one Python kernel: asked of the kernel itself, silently, so no cell, history or variable comes of it.
 *
 * Asked after each execution while somebody looks. What the kernel says is a stranger's word: it is checked, and shown
 * as text.
 */
import { Kernel, KernelMessage } from '@jupyterlab/services';
import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

export const SHOWN_MAX = 500;
const ANSWER_MS = 10_000;
const TEXT_MAX = 200;

/** Runs in a namespace of its own. Values it does not know are asked for no text, only for shape and size of data. */
const PROGRAM = `
import json, sys, time, types

def told(value):
    kind = type(value)
    if kind in (bool, int, float, complex, type(None)):
        return repr(value)[:80]
    if kind in (str, bytes):
        return repr(value[:80])
    if kind in (list, tuple, dict, set, frozenset):
        return f"length {len(value)}"
    shape = getattr(value, "shape", None) if hasattr(kind, "shape") else None
    if isinstance(shape, tuple):
        return f"{' × '.join(map(str, shape))} {getattr(value, 'dtype', '')}".strip()
    return ""

def size(value):
    data = getattr(value, "nbytes", None) if hasattr(type(value), "nbytes") else None
    return data if type(data) is int else sys.getsizeof(value)

def safe(ask, value, otherwise):
    try:
        return ask(value)
    except Exception:
        return otherwise

hidden = shell.user_ns_hidden
names = sorted(
    name
    for name, value in list(shell.user_ns.items())
    if isinstance(name, str)
    and not name.startswith("_")
    and not issubclass(type(value), types.ModuleType)
    and not (name in hidden and hidden[name] is value)
)
until = time.monotonic() + 1
rows = []
for name in names[:${SHOWN_MAX}]:
    if time.monotonic() > until:
        break
    value = shell.user_ns.get(name)
    rows.append([name[:200], type(value).__name__[:100], safe(size, value, None), safe(told, value, "?")])

class Said:
    def __repr__(self):
        return json.dumps({"variables": rows, "total": len(names)})

said = Said()
`;

/** An expression: its text is JSON. */
export const EXPRESSION = `(lambda names: (exec(${JSON.stringify(PROGRAM)}, names), names['said'])[1])({'__name__': '_syla', 'shell': get_ipython()})`;

export interface IVariable {
  name: string;
  type: string;
  /** Of its data where it says so, else of the object alone; null: it did not say. */
  bytes: number | null;
  /** Its value, shape or length; may be empty. */
  text: string;
}

/** `asleep`: its workspace is not running, and is not woken for this. `foreign`: not Python. */
export type Standing =
  'none' | 'asking' | 'known' | 'busy' | 'asleep' | 'foreign' | 'failed';

export class VariablesModel implements IDisposable {
  /** `awake`: whether asking the kernel would resume nothing. */
  constructor(private _awake: () => boolean) {}

  get variables(): ReadonlyArray<IVariable> {
    return this._variables;
  }

  /** More than are listed, where there are too many. */
  get total(): number {
    return this._total;
  }

  get standing(): Standing {
    return this._standing;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  set kernel(kernel: Kernel.IKernelConnection | null) {
    if (kernel === this._kernel) {
      return;
    }
    this._kernel?.statusChanged.disconnect(this._onStatus, this);
    this._kernel?.iopubMessage.disconnect(this._onOutput, this);
    this._kernel = kernel;
    kernel?.statusChanged.connect(this._onStatus, this);
    kernel?.iopubMessage.connect(this._onOutput, this);
    this._set('none', [], 0);
    this._look();
  }

  /** Somebody sees them. */
  set watched(watched: boolean) {
    this._watched = watched;
    this._look();
  }

  /** What kept it from being asked may be over. */
  lookAgain(): void {
    this._look();
  }

  /** Rejects never. */
  async refresh(): Promise<void> {
    const kernel = this._kernel;
    const mine = ++this._asking;
    if (!kernel || ['dead', 'terminating'].includes(kernel.status)) {
      this._set('none', [], 0);
      return;
    }
    this._due = true;
    if (!this._awake()) {
      this._set('asleep', [], 0);
      return;
    }
    if (kernel.status !== 'idle') {
      this._set('busy', this._variables, this._total); // asked when it is idle
      return;
    }
    this._due = false;
    if (this._standing !== 'known') {
      this._set('asking', [], 0);
    }
    let found: [Standing, IVariable[], number];
    try {
      const info = await kernel.info;
      found =
        info.language_info.name === 'python'
          ? ['known', ...said(await answer(kernel))]
          : ['foreign', [], 0];
    } catch {
      found = ['failed', [], 0];
    }
    if (mine === this._asking && !this._disposed) {
      this._set(...found);
    }
  }

  dispose(): void {
    if (this._disposed) {
      return;
    }
    this._watched = false;
    this.kernel = null;
    this._disposed = true;
    Signal.clearData(this);
  }

  private _look(): void {
    if (this._watched && (this._due || this._standing === 'none')) {
      void this.refresh();
    }
  }

  /** Our own questions are silent: only what a person runs is echoed as input. */
  private _onOutput(_: unknown, message: KernelMessage.IIOPubMessage): void {
    if (message.header.msg_type === 'execute_input') {
      this._due = true;
    }
  }

  private _onStatus(_: unknown, status: Kernel.Status): void {
    if (['restarting', 'autorestarting', 'dead'].includes(status)) {
      this._asking += 1;
      this._due = true;
      this._set('none', [], 0);
    } else if (status === 'idle' && this._due && this._watched) {
      void this.refresh();
    }
  }

  private _set(standing: Standing, rows: readonly IVariable[], total: number) {
    this._standing = standing;
    this._variables = rows;
    this._total = total;
    this._changed.emit();
  }

  private _kernel: Kernel.IKernelConnection | null = null;
  private _watched = false;
  /** Something ran since they were asked for. */
  private _due = false;
  private _asking = 0;
  private _standing: Standing = 'none';
  private _variables: ReadonlyArray<IVariable> = [];
  private _total = 0;
  private _disposed = false;
  private _changed = new Signal<this, void>(this);
}

async function answer(kernel: Kernel.IKernelConnection): Promise<unknown> {
  const future = kernel.requestExecute({
    code: '',
    silent: true,
    store_history: false,
    stop_on_error: false,
    allow_stdin: false,
    user_expressions: { syla: EXPRESSION }
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), ANSWER_MS);
  });
  try {
    const reply = await Promise.race([future.done, late]);
    const { content } = reply as KernelMessage.IExecuteReplyMsg;
    return content.status === 'ok' ? content.user_expressions : undefined;
  } finally {
    clearTimeout(timer);
    future.dispose();
  }
}

/** What the reply says, as far as it makes sense. Throws where it makes none. */
export function said(expressions: unknown): [IVariable[], number] {
  const ours = (expressions as { [name: string]: unknown } | undefined)?.[
    'syla'
  ] as { data?: { 'text/plain'?: unknown } } | undefined;
  const given = JSON.parse(String(ours?.data?.['text/plain'])) as {
    variables?: unknown;
    total?: unknown;
  };
  if (!Array.isArray(given.variables)) {
    throw new Error('no list');
  }
  const rows = given.variables
    .slice(0, SHOWN_MAX)
    .filter((row): row is unknown[] => Array.isArray(row))
    .map(([name, type, bytes, text]) => ({
      name: words(name),
      type: words(type),
      bytes: typeof bytes === 'number' && bytes >= 0 ? bytes : null,
      text: words(text)
    }));
  const total = typeof given.total === 'number' ? given.total : rows.length;
  return [rows, Math.max(total, rows.length)];
}

function words(given: unknown): string {
  return typeof given === 'string' ? given.slice(0, TEXT_MAX) : '';
}

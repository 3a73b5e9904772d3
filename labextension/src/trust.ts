/**
 * Whether scripts of a cell's outputs run on this page; no DOM.
 *
 * JupyterLab keeps that in the shared cell, where whoever may write can claim it, and whom one person trusts is trusted
 * by everybody. Here it is a page's own. A cell is trusted where none of its outputs can run anything; where its person
 * ran it, or said "Trust Notebook", on this page; and where the server knows outputs just like these as hers
 * (`server/trust.py`). What changes from elsewhere is trusted no more, before it is drawn, but for the time of a run of
 * her own: what a kernel says is then what she asked for.
 *
 *     from elsewhere, other displays  -> not trusted, and asked about
 *     a run of hers has begun         -> trusted until it ends; then as it is
 *     she says so                     -> trusted, and noted
 *
 * JupyterLab's model of a code cell is changed for that, in three places: it takes no trust from the document, writes
 * none there, and does not write outputs again because they are drawn anew.
 */
import { PromiseDelegate } from '@lumino/coreutils';

import { digestOf, IOutput, needsTrust } from './digests';

/** Which outputs this person knows. */
export interface ILedger {
  known: (digests: string[]) => Promise<string[]>;
  add: (digests: string[]) => Promise<unknown>;
}

/** A model of a code cell. */
export interface ICell {
  trusted: boolean;
  readonly isDisposed: boolean;
  readonly executionState?: string | null;
  readonly sharedModel: { getOutputs: () => IOutput[] };
}

/** What is used of it that is not in JupyterLab's interface. */
interface IInner extends ICell {
  standaloneModel: boolean;
  stateChanged: { emit: (args: object) => void };
  _outputs?: { trusted: boolean };
  getMetadata: (key?: string) => unknown;
  onTrustedChanged: (sender: unknown, change: ITrustChange) => void;
  onOutputsChange: (sender: unknown, event: IListEvent) => void;
  _connectStreamListener?: (output: unknown, index: number) => void;
  _onSharedModelChanged: (sender: unknown, change: IChange) => void;
}

interface ITrustChange {
  oldValue: boolean;
  newValue: boolean;
}

interface IListEvent {
  type: string;
  newIndex: number;
  newValues: Array<{ type: string }>;
}

interface IChange {
  outputsChange?: unknown;
  executionStateChange?: { newValue?: unknown };
}

/** A run's last outputs are known to the server a moment after they are here. */
const ASK_MS = [50, 1_000, 4_000];
const ASKED_MAX = 1_000;

export class Trust {
  constructor(private _ledger: ILedger) {}

  /** `prototype`: of all models of code cells. Throws where it is not as it is known here. */
  install(prototype: object): void {
    const inner = prototype as IInner;
    const before = replaced(inner);
    const trust = this; // eslint-disable-line @typescript-eslint/no-this-alias
    inner.getMetadata = function (this: IInner, key?: string) {
      // One that is in no document is a console's, with outputs of whomever.
      return key === 'trusted' && !this.standaloneModel
        ? !needsTrust(this.sharedModel.getOutputs())
        : before.getMetadata.call(this, key);
    };
    inner.onTrustedChanged = function (this: IInner, _, change) {
      trust._drawing.add(this);
      try {
        if (this._outputs) {
          this._outputs.trusted = change.newValue;
        }
      } finally {
        trust._drawing.delete(this);
      }
      this.stateChanged.emit({ name: 'trusted', ...change });
      if (change.newValue && !trust._quiet) {
        trust.note(this); // its person has said so
      }
    };
    inner.onOutputsChange = function (this: IInner, sender, event) {
      if (!trust._drawing.has(this) || !this._connectStreamListener) {
        return before.onOutputsChange.call(this, sender, event);
      }
      event.newValues.forEach((output, index) => {
        if (output.type === 'stream') {
          this._connectStreamListener!(output, event.newIndex + index);
        }
      });
    };
    // What this model itself has put into the document does not come by here.
    inner._onSharedModelChanged = function (this: IInner, sender, change) {
      if (change.outputsChange) {
        trust._doubt(this);
      }
      before._onSharedModelChanged.call(this, sender, change);
      const isOver = change.executionStateChange?.newValue === 'idle';
      if (isOver) {
        trust.ended(this);
      }
      if (change.outputsChange || isOver) {
        trust.look(this);
      }
    };
  }

  /** Find out about a cell that has come, or is another one than before. */
  look(cell: ICell): void {
    if (cell.trusted) {
      return;
    }
    if (!needsTrust(cell.sharedModel.getOutputs())) {
      this._set(cell, true);
    } else if (cell.executionState !== 'running') {
      void this._ask(cell);
    }
  }

  /** Its person's run of it is on its way, and what it showed before is gone. */
  began(cell: ICell): void {
    this._running.add(cell);
    this._set(cell, true);
  }

  /** That run is over: what is shown now is hers. */
  ended(cell: ICell): void {
    if (this._running.delete(cell) && cell.trusted) {
      this._hers.set(cell, digestOf(cell.sharedModel.getOutputs()) ?? '');
    }
  }

  /** For her other pages, and later: what a cell shows that is trusted here. */
  note(cell: ICell): void {
    const digest = digestOf(cell.sharedModel.getOutputs());
    if (cell.trusted && digest) {
      this._hers.set(cell, digest);
      this._add(digest);
    }
  }

  /** Before a change is drawn. */
  private _doubt(cell: ICell): void {
    if (cell.trusted && !this._running.has(cell)) {
      const digest = digestOf(cell.sharedModel.getOutputs());
      if (digest === null || (digest && digest !== this._hers.get(cell))) {
        this._set(cell, false);
      }
    }
  }

  private _set(cell: ICell, trusted: boolean): void {
    const before = this._quiet;
    this._quiet = true;
    try {
      cell.trusted = trusted;
    } finally {
      this._quiet = before;
    }
  }

  /** From the beginning where what it shows has changed meanwhile. */
  private async _ask(cell: ICell): Promise<void> {
    const turn = {};
    this._asking.set(cell, turn);
    const isOver = (): boolean =>
      cell.isDisposed || cell.trusted || this._asking.get(cell) !== turn;
    for (const wait of ASK_MS) {
      await new Promise(resolve => setTimeout(resolve, wait));
      if (isOver()) {
        return;
      }
      const digest = digestOf(cell.sharedModel.getOutputs());
      if (digest === null) {
        return;
      }
      const isHers = !digest || (await this._known(digest));
      if (isOver()) {
        return;
      }
      if (isHers && digestOf(cell.sharedModel.getOutputs()) === digest) {
        this._hers.set(cell, digest);
        this._set(cell, true);
      }
    }
  }

  /** Many cells ask at once when a notebook is opened: one request. */
  private _known(digest: string): Promise<boolean> {
    if (!this._questions.size) {
      setTimeout(() => void this._send(), 0);
    }
    const asked = this._questions.get(digest) ?? new PromiseDelegate<boolean>();
    this._questions.set(digest, asked);
    return asked.promise;
  }

  private async _send(): Promise<void> {
    const asked = this._questions;
    this._questions = new Map();
    const known = new Set<string>();
    try {
      for (const some of parts([...asked.keys()])) {
        (await this._ledger.known(some)).forEach(one => known.add(one));
      }
    } catch (reason) {
      console.warn('Which outputs are trusted is not known', reason);
    }
    asked.forEach((one, digest) => one.resolve(known.has(digest)));
  }

  private _add(digest: string): void {
    if (!this._said.size) {
      queueMicrotask(() => void this._tell());
    }
    this._said.add(digest);
  }

  private async _tell(): Promise<void> {
    const said = [...this._said];
    this._said.clear();
    try {
      for (const some of parts(said)) {
        await this._ledger.add(some);
      }
    } catch (reason) {
      console.warn('What is trusted here is not kept', reason);
    }
  }

  private _quiet = false;
  private _drawing = new WeakSet<ICell>();
  private _running = new WeakSet<ICell>();
  private _asking = new WeakMap<ICell, object>();
  /** What its outputs are while it is trusted, as a digest. */
  private _hers = new WeakMap<ICell, string>();
  private _questions = new Map<string, PromiseDelegate<boolean>>();
  private _said = new Set<string>();
}

/** The functions that are replaced. */
function replaced(inner: IInner): IInner {
  const { getMetadata, onTrustedChanged } = inner;
  const { onOutputsChange, _onSharedModelChanged } = inner;
  const all = {
    getMetadata,
    onTrustedChanged,
    onOutputsChange,
    _onSharedModelChanged
  };
  for (const [name, one] of Object.entries(all)) {
    if (typeof one !== 'function') {
      throw new Error(`JupyterLab's cells have no ${name}`);
    }
  }
  return all as unknown as IInner;
}

function* parts(all: string[]): Iterable<string[]> {
  for (let at = 0; at < all.length; at += ASKED_MAX) {
    yield all.slice(at, at + ASKED_MAX);
  }
}

/**
 * The versions of one workspace, and the comparison of two of them; no DOM.
 *
 * Read once, and again whenever there may be others: events say when. Of answers that overtake each other the last one
 * asked for counts.
 */
import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { IWorkspace } from './api';
import { WorkspacesModel } from './model';
import { IDiff, IFileDiff, ISnapshot } from './snapshots';

interface IInFile {
  diff: IFileDiff | null;
  error: unknown;
}

export class VersionsModel implements IDisposable {
  constructor(
    readonly workspaces: WorkspacesModel,
    readonly id: string
  ) {
    this._workspace = workspaces.find(id);
    workspaces.saved.connect(this._onSaved, this);
    workspaces.changed.connect(this._onWorkspaces, this);
    void this.refresh();
  }

  /** As it is now; as it was, once it is deleted. */
  get workspace(): IWorkspace | undefined {
    return this._workspace;
  }

  /** Newest first. */
  get snapshots(): ReadonlyArray<ISnapshot> {
    return this._snapshots;
  }

  get loaded(): boolean {
    return this._loaded;
  }

  get error(): unknown {
    return this._error;
  }

  /** At most two numbers, the older one first. */
  get chosen(): ReadonlyArray<number> {
    return this._chosen;
  }

  /** Of the two that are chosen; null while there is none. */
  get diff(): IDiff | null {
    return this._diff;
  }

  get diffError(): unknown {
    return this._diffError;
  }

  /** What changed in a file from one of the two to the other; as much as `look` has found out. */
  inFile(path: string): IInFile {
    return this._files.get(path) ?? { diff: null, error: null };
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  /** Rejects never: what went wrong is `error`. */
  async refresh(): Promise<void> {
    const mine = ++this._reading;
    let error: unknown = null;
    let rows: ISnapshot[] = [];
    try {
      rows = await this.workspaces.api.snapshots(this.id);
    } catch (reason) {
      error = reason;
    }
    if (this._disposed || mine !== this._reading) {
      return;
    }
    this._error = error;
    if (!error) {
      this._snapshots = rows.reverse();
      this._loaded = true;
      const there = new Set(rows.map(row => row.version));
      this._choose(this._order.filter(number => there.has(number)));
    }
    this._changed.emit();
  }

  /** Choose for the comparison, or not any more; of three the one chosen first is let go. */
  toggle(version: number): void {
    const others = this._order.filter(number => number !== version);
    this._choose(
      others.length < this._order.length
        ? others
        : [...others, version].slice(-2)
    );
    this._changed.emit();
  }

  /** Find out what changed in a file; once, unless it went wrong. Rejects never. */
  async look(path: string): Promise<void> {
    const known = this._files.get(path);
    if (this._chosen.length < 2 || (known && !known.error)) {
      return;
    }
    const mine = this._comparing;
    const [before, after] = this._chosen;
    const found: IInFile = { diff: null, error: null };
    this._files.set(path, found);
    this._changed.emit();
    try {
      found.diff = await this.workspaces.api.fileDiff(
        this.id,
        before,
        after,
        path
      );
    } catch (reason) {
      found.error = reason;
    }
    if (!this._disposed && mine === this._comparing) {
      this._changed.emit();
    }
  }

  dispose(): void {
    if (this._disposed) {
      return;
    }
    this._disposed = true;
    Signal.clearData(this);
  }

  private _choose(order: number[]): void {
    const before = String(this._chosen);
    this._order = order;
    this._chosen = [...order].sort((a, b) => a - b);
    if (String(this._chosen) !== before) {
      void this._compare();
    }
  }

  private async _compare(): Promise<void> {
    const mine = ++this._comparing;
    this._files.clear();
    this._diff = null;
    this._diffError = null;
    if (this._chosen.length < 2) {
      return;
    }
    let diff: IDiff | null = null;
    let error: unknown = null;
    try {
      const [before, after] = this._chosen;
      diff = await this.workspaces.api.diff(this.id, before, after);
    } catch (reason) {
      error = reason;
    }
    if (!this._disposed && mine === this._comparing) {
      this._diff = diff;
      this._diffError = error;
      this._changed.emit();
    }
  }

  private _onSaved(_: unknown, id: string): void {
    if (id === '' || id === this.id) {
      void this.refresh();
    }
  }

  private _onWorkspaces(): void {
    const now = this.workspaces.find(this.id);
    if (now && now !== this._workspace) {
      this._workspace = now;
      this._changed.emit();
    }
  }

  private _workspace: IWorkspace | undefined;
  private _snapshots: ReadonlyArray<ISnapshot> = [];
  private _loaded = false;
  private _error: unknown = null;
  /** As they were chosen. */
  private _order: number[] = [];
  private _chosen: number[] = [];
  private _diff: IDiff | null = null;
  private _diffError: unknown = null;
  /** By path. */
  private _files = new Map<string, IInFile>();
  private _reading = 0;
  private _comparing = 0;
  private _disposed = false;
  private _changed = new Signal<this, void>(this);
}

/**
 * What takes long and is under way on the server; no DOM.
 *
 * Events tell how far it is. The list is read at each *hello*, so a page that was loaded again has what the one before
 * had begun.
 */
import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { Api, IWorkspaceEvent } from './api';
import { IEventStream } from './events';

export interface IOperation {
  id: string;
  workspace_id: string;
  /** Its name. */
  workspace: string;
  verb: string;
  /** Who asked for it. */
  user: string;
  started_at: string;
  cancellable: boolean;
  /** It is being taken back. */
  cancelled: boolean;
  files_done: number | null;
  files_total: number | null;
  bytes_done: number | null;
  bytes_total: number | null;
}

export interface IOperationEvent {
  event: 'operation';
  ended: boolean;
  /** Why it came to nothing. */
  error: { code: string; message: string; hint: string } | null;
  operation: IOperation;
}

export class OperationsModel implements IDisposable {
  constructor(
    private _api: Api,
    private _stream: IEventStream
  ) {
    _stream.received.connect(this._onEvent, this);
  }

  get all(): ReadonlyArray<IOperation> {
    return [...this._byId.values()];
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get ended(): ISignal<this, IOperationEvent> {
    return this._ended;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  /** It was under way before this page heard of anything: nobody here waits for its answer. */
  wasFound(id: string): boolean {
    return this._found.has(id);
  }

  /** Somebody wants, or wanted, the last one of this kind to be taken back. */
  isCancelled(workspace: string, verb: string): boolean {
    return this._cancelled.has(`${workspace} ${verb}`);
  }

  /** Rejects where it comes too late. */
  async cancel(id: string): Promise<void> {
    const one = this._byId.get(id);
    if (!one) {
      return;
    }
    this._put({ ...one, cancellable: false, cancelled: true });
    this._changed.emit();
    try {
      await this._api.cancel(one.workspace_id, id);
    } catch (reason) {
      if (this._byId.has(id)) {
        this._put({ ...one, cancellable: false });
        this._changed.emit();
      }
      throw reason;
    }
  }

  dispose(): void {
    if (!this._disposed) {
      this._disposed = true;
      this._stream.received.disconnect(this._onEvent, this);
      Signal.clearData(this);
    }
  }

  private _onEvent(_: unknown, event: IWorkspaceEvent): void {
    if (event.event === 'hello') {
      void this._read();
    } else if (event.event === 'operation') {
      const one = event.operation;
      this._heard.add(one.id);
      if (event.ended) {
        this._byId.delete(one.id);
        this._ended.emit(event);
      } else {
        this._put(one);
      }
      this._changed.emit();
    }
  }

  /** What events said meanwhile is newer. What has ended while there were none is in no list any more. */
  private async _read(): Promise<void> {
    this._heard.clear();
    const rows = await this._api.operations().catch(() => null);
    if (!rows || this._disposed) {
      return;
    }
    const listed = new Set(rows.map(row => row.id));
    for (const id of this._byId.keys()) {
      if (!listed.has(id) && !this._heard.has(id)) {
        this._byId.delete(id);
      }
    }
    for (const row of rows) {
      if (!this._heard.has(row.id)) {
        if (!this._byId.has(row.id)) {
          this._found.add(row.id);
        }
        this._put(row);
      }
    }
    this._changed.emit();
  }

  private _put(one: IOperation): void {
    const kind = `${one.workspace_id} ${one.verb}`;
    if (one.cancelled) {
      this._cancelled.add(kind);
    } else {
      this._cancelled.delete(kind);
    }
    this._byId.set(one.id, one);
  }

  private _byId = new Map<string, IOperation>();
  private _found = new Set<string>();
  private _cancelled = new Set<string>();
  /** Ids that events have told of since the list was asked for. */
  private _heard = new Set<string>();
  private _disposed = false;
  private _changed = new Signal<this, void>(this);
  private _ended = new Signal<this, IOperationEvent>(this);
}

/**
 * What is known of the workspaces; no DOM, so tests need no browser.
 *
 * The list is read once and kept current by events. While there are no events (`live` is false) it is read again and
 * again. Activity moves deadlines without an event, and CPU and memory have none: while somebody looks (`watched`), the
 * active ones are read every few seconds.
 *
 * In the list are one's own workspaces, those of others where one has a role, and where one has come by a link.
 */
import { PromiseDelegate } from '@lumino/coreutils';
import { IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';

import {
  Api,
  IAccessEvent,
  IConflictEvent,
  IFilesEvent,
  IPeopleEvent,
  ISharedWorkspace,
  IWorkspace,
  IWorkspaceEvent
} from './api';
import { IEventStream } from './events';
import { OperationsModel } from './operations';
import { may, Permission, Role } from './people';
import { ApiError, SERVER_MISSING, SERVER_OLDER } from './request';
import { byName, isOlder, workspaceOf } from './rules';
import { IUsage, UsageMeter } from './usage';
import { VERSION } from './version';

const POLL_MS = 10_000;
const LOOK_MS = 10_000;

export type Warning = Extract<IWorkspaceEvent, { event: 'warning' }>;

export class WorkspacesModel implements IDisposable {
  constructor(
    readonly api: Api,
    private _stream: IEventStream,
    private _now: () => number = Date.now
  ) {
    this._poll = new Poll({
      auto: false,
      name: 'syla-jupyter:list',
      factory: () => this._fetch(),
      frequency: { interval: POLL_MS, backoff: true, max: 12 * POLL_MS },
      standby: 'when-hidden'
    });
    this._look = new Poll({
      auto: false,
      name: 'syla-jupyter:usage',
      factory: () => this._fetchActive(),
      frequency: { interval: LOOK_MS, backoff: true, max: 6 * LOOK_MS },
      standby: () =>
        !this._watched || (typeof document !== 'undefined' && document.hidden)
    });
    this.operations = new OperationsModel(api, _stream);
    _stream.received.connect(this._onEvent, this);
    _stream.connectedChanged.connect(this._onConnected, this);
    void this._poll.start();
  }

  /** What takes long and is under way. */
  readonly operations: OperationsModel;

  /** The name by which the server knows this person; empty: not known yet. */
  set me(name: string) {
    this._me = name;
  }

  get me(): string {
    return this._me;
  }

  /** When the list was read for the first time, or could not be. */
  get known(): Promise<void> {
    return this._known.promise;
  }

  /** This person's. */
  role(workspace: IWorkspace): Role {
    return this._shared.get(workspace.id)?.role ?? 'owner';
  }

  /** It is there because every user may see it, and this person has come to it. */
  byLink(workspace: IWorkspace): boolean {
    return this._shared.get(workspace.id)?.via === 'link';
  }

  may(workspace: IWorkspace, permission: Permission): boolean {
    return may(this.role(workspace), permission);
  }

  /** By name, the default one first. */
  get workspaces(): ReadonlyArray<IWorkspace> {
    return this._sorted;
  }

  get loaded(): boolean {
    return this._loaded;
  }

  /** Events arrive; else the list is asked for from time to time. */
  get live(): boolean {
    return this._stream.connected;
  }

  get error(): ApiError | null {
    return this._error;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** A cell waits for input of whoever ran it. */
  get asked(): ISignal<this, { workspace_id: string; execution_id: string }> {
    return this._asked;
  }

  get warned(): ISignal<this, Warning> {
    return this._warned;
  }

  /** Of the workspace with this id there may be other versions now; empty: of any. */
  get saved(): ISignal<this, string> {
    return this._saved;
  }

  /** Somebody asks for a role where this person may give one, or she was refused one. */
  get accessTold(): ISignal<this, IAccessEvent> {
    return this._accessTold;
  }

  /** Of a document there are two versions now. */
  get conflicted(): ISignal<this, IConflictEvent> {
    return this._conflicted;
  }

  get filesChanged(): ISignal<this, IFilesEvent> {
    return this._filesChanged;
  }

  /** Who is where may have changed. */
  get moved(): ISignal<this, void> {
    return this._moved;
  }

  /** Who may do what may have changed; the list has been read since. */
  get peopleChanged(): ISignal<this, IPeopleEvent> {
    return this._peopleChanged;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  find(id: string): IWorkspace | undefined {
    return this._byId.get(id);
  }

  /** Whose directory has this path of the contents API in it. */
  at(path: string): IWorkspace | undefined {
    return workspaceOf(path, this._sorted);
  }

  /** Whose directory that is itself. */
  ofFolder(path: string): IWorkspace | undefined {
    const found = path ? this.at(path) : undefined;
    return found?.path === path ? found : undefined;
  }

  /** The one whose files somebody works with now. */
  get current(): IWorkspace | undefined {
    return this._place === null ? undefined : this.at(this._place);
  }

  set place(path: string | null) {
    if (path !== this._place) {
      this._place = path;
      this._changed.emit();
    }
  }

  usage(id: string): IUsage | undefined {
    return this._usage.get(id);
  }

  get watched(): boolean {
    return this._watched;
  }

  set watched(watched: boolean) {
    if (watched !== this._watched) {
      this._watched = watched;
      if (watched && this._loaded && !this._error) {
        void this._look.refresh();
      }
    }
  }

  /** Read the list anew, now. */
  async refresh(): Promise<void> {
    await this._poll.refresh();
    await this._poll.tick.catch(() => undefined); // kept in `error`
  }

  /** What an answer said of one, without waiting for its event. */
  note(workspace: IWorkspace): void {
    this._put(workspace);
    this._show();
  }

  /** What an answer said where no event will: there may be other versions. */
  noteSaved(id: string): void {
    this._saved.emit(id);
  }

  dispose(): void {
    if (this._disposed) {
      return;
    }
    this._disposed = true;
    this._poll.dispose();
    this._look.dispose();
    this.operations.dispose();
    this._stream.dispose();
    Signal.clearData(this);
  }

  private async _fetch(): Promise<void> {
    this._meanwhile = [];
    try {
      const [own, shared] = await Promise.all([
        this.api.list(),
        this.api.shared()
      ]);
      if (!this._versionChecked) {
        await this._checkVersion();
      }
      const meanwhile = this._meanwhile;
      this._shared = new Map(shared.map(row => [row.id, row]));
      this._byId = new Map([...own, ...shared].map(row => [row.id, row]));
      meanwhile.forEach(workspace => this._put(workspace));
      this._error = null;
      this._stream.connect();
      if (!this.live) {
        this._saved.emit(''); // no event would say so
        this._moved.emit();
      }
    } catch (reason) {
      this._error = asError(reason);
      throw reason; // the poll backs off
    } finally {
      this._meanwhile = null;
      this._loaded = true;
      this._known.resolve();
      this._show();
    }
    if (this._watched) {
      void this._look.refresh();
    }
  }

  private async _checkVersion(): Promise<void> {
    const version = await this.api.version();
    if (isOlder(version, VERSION)) {
      throw new ApiError(SERVER_OLDER, version);
    }
    this._versionChecked = true;
  }

  private async _fetchActive(): Promise<void> {
    const [used, active, shared] = await Promise.all([
      this.api.used(),
      this.api.list('active'),
      this._shared.size ? this.api.shared() : []
    ]);
    this._usage.take(used, this._now() / 1000);
    [...active, ...shared].forEach(workspace => this._put(workspace));
    this._show();
  }

  private _onEvent(_: unknown, event: IWorkspaceEvent): void {
    if (event.event === 'hello') {
      void this._poll.refresh();
      this._saved.emit('');
      this._moved.emit();
    } else if (event.event === 'where') {
      this._moved.emit();
    } else if (event.event === 'access') {
      this._accessTold.emit(event);
    } else if (event.event === 'conflict') {
      this._conflicted.emit(event);
    } else if (event.event === 'files') {
      this._filesChanged.emit(event);
    } else if (event.event === 'people') {
      this._moved.emit();
      void this.refresh().then(() => this._peopleChanged.emit(event));
    } else if (event.event === 'run') {
      if (event.what === 'input') {
        this._asked.emit(event);
      }
    } else if ('workspace' in event && this._isListed(event.workspace)) {
      this._put(event.workspace);
      this._show();
      if (event.event === 'warning') {
        this._warned.emit(event);
      } else {
        this._saved.emit(event.workspace.id); // a stop, an archive, a restore save one too
      }
    }
  }

  private _onConnected(): void {
    this._poll.frequency = {
      ...this._poll.frequency,
      interval: this.live ? Poll.NEVER : POLL_MS
    };
    if (!this.live) {
      void this._poll.refresh();
    }
    this._changed.emit();
  }

  /** An admin of the server hears of everybody's; here are one's own and those that are shared with one. */
  private _isListed(workspace: IWorkspace): boolean {
    return (
      !this._me ||
      workspace.owner === this._me ||
      this._shared.has(workspace.id)
    );
  }

  /** Answers and events may overtake each other: the later version stays. */
  private _put(workspace: IWorkspace): void {
    this._meanwhile?.push(workspace);
    const known = this._byId.get(workspace.id);
    if (workspace.state === 'deleted') {
      this._byId.delete(workspace.id);
    } else if (!known || known.version <= workspace.version) {
      this._byId.set(workspace.id, workspace);
    }
  }

  private _show(): void {
    this._sorted = [...this._byId.values()].sort(byName);
    this._changed.emit();
  }

  private _me = '';
  private _known = new PromiseDelegate<void>();
  private _byId = new Map<string, IWorkspace>();
  /** Of others, as the list had them. */
  private _shared = new Map<string, ISharedWorkspace>();
  private _sorted: IWorkspace[] = [];
  private _meanwhile: IWorkspace[] | null = null;
  private _usage = new UsageMeter();
  private _error: ApiError | null = null;
  private _loaded = false;
  private _versionChecked = false;
  private _watched = false;
  private _place: string | null = null;
  private _disposed = false;
  private _poll: Poll;
  private _look: Poll;
  private _changed = new Signal<this, void>(this);
  private _warned = new Signal<this, Warning>(this);
  private _asked = new Signal<
    this,
    { workspace_id: string; execution_id: string }
  >(this);
  private _saved = new Signal<this, string>(this);
  private _accessTold = new Signal<this, IAccessEvent>(this);
  private _conflicted = new Signal<this, IConflictEvent>(this);
  private _filesChanged = new Signal<this, IFilesEvent>(this);
  private _moved = new Signal<this, void>(this);
  private _peopleChanged = new Signal<this, IPeopleEvent>(this);
}

function asError(reason: unknown): ApiError {
  return reason instanceof ApiError
    ? reason
    : new ApiError(SERVER_MISSING, String(reason));
}

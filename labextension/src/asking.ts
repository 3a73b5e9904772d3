/**
 * Roles that people ask for: what one has asked for oneself, and what waits for one's answer; no DOM.
 *
 * The server says the same to whoever asks, so here is remembered what was asked, until somebody answers.
 */
import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { IAccessEvent, IWorkspace } from './api';
import { WorkspacesModel } from './model';
import { GivenRole } from './people';
import { IAccessRequest, PeopleApi } from './peopleApi';

/** Of a path of the contents API, the folder of the workspace that it is in; empty: in none that one could ask for. */
export function placeOf(path: string): string {
  const parts = path.split('/').filter(Boolean);
  return parts[0] === 'workspaces' ? (parts[1] ?? '') : '';
}

export class AskingModel implements IDisposable {
  constructor(
    private _model: WorkspacesModel,
    private _api: PeopleApi
  ) {
    _model.accessTold.connect(this._onTold, this);
    _model.peopleChanged.connect(this._onPeople, this);
    _model.saved.connect(this._onSaved, this);
    void _model.known.then(() => this.refresh());
  }

  /** What waits for this person's answer. */
  get waiting(): ReadonlyArray<IAccessRequest> {
    return this._waiting;
  }

  /** Of it, for one workspace. */
  waitingFor(workspace: string): IAccessRequest[] {
    return this._waiting.filter(one => one.workspace === workspace);
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Somebody has asked just now, or before this page was there. */
  get asked(): ISignal<this, IAccessRequest> {
    return this._asked;
  }

  /** This person was answered: with the workspace and the path that she went to, or without, which is no. */
  get answered(): ISignal<
    this,
    { called: string; workspace: IWorkspace | null; path: string }
  > {
    return this._answered;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  hasAsked(called: string): boolean {
    return this._mine.has(called);
  }

  async ask(called: string, role: GivenRole, path: string): Promise<void> {
    await this._api.ask(called, role);
    this._mine.set(called, path);
  }

  async grant(request: IAccessRequest, role: GivenRole): Promise<void> {
    await this._api.give(request.workspace, 'user', request.user, role);
    await this.refresh();
  }

  async refuse(request: IAccessRequest): Promise<void> {
    await this._api.refuse(request.workspace, request.user);
    await this.refresh();
  }

  async refresh(): Promise<void> {
    try {
      this._waiting = await this._api.requests();
    } catch {
      this._waiting = []; // of an older server
    }
    if (this._disposed) {
      return;
    }
    const before = this._told;
    this._told = new Set(this._waiting.map(keyOf));
    this._changed.emit();
    this._waiting
      .filter(one => !before.has(keyOf(one)))
      .forEach(one => this._asked.emit(one));
  }

  dispose(): void {
    this._disposed = true;
    Signal.clearData(this);
  }

  private _onTold(_: unknown, event: IAccessEvent): void {
    if (event.what !== 'refused') {
      void this.refresh();
    } else if (this._mine.delete(event.called)) {
      this._answered.emit({ called: event.called, workspace: null, path: '' });
    }
  }

  /** The list has been read since: where she has asked there may be a workspace now. */
  private _onPeople(): void {
    for (const [called, path] of this._mine) {
      const workspace =
        this._model.find(called) ?? this._model.at(`workspaces/${called}`);
      if (workspace) {
        this._mine.delete(called);
        this._answered.emit({ called, workspace, path });
      }
    }
    void this.refresh();
  }

  /** Empty after each *hello*: something may have been missed. */
  private _onSaved(_: unknown, id: string): void {
    if (!id) {
      void this.refresh();
    }
  }

  private _waiting: IAccessRequest[] = [];
  private _told = new Set<string>();
  /** By what she called it, the path that she went to. */
  private _mine = new Map<string, string>();
  private _disposed = false;
  private _changed = new Signal<this, void>(this);
  private _asked = new Signal<this, IAccessRequest>(this);
  private _answered = new Signal<
    this,
    { called: string; workspace: IWorkspace | null; path: string }
  >(this);
}

export function keyOf(request: IAccessRequest): string {
  return `${request.workspace} ${request.user} ${request.role}`;
}

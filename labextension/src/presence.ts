/**
 * Who is where, in all workspaces that this person may read; no DOM.
 *
 * Read once, and again when the server says that somebody has moved. That somebody has become idle nobody says: it
 * follows from how long he had done nothing when it was read, and how long ago that was.
 */
import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { Api, IParticipant } from './api';
import { WorkspacesModel } from './model';
import { Role } from './people';

/** As the server has it (`server/rooms`). */
const IDLE_SECONDS = 120;

export interface IPerson {
  user: string;
  name: string;
  role: Role | null;
  color: string;
  /** Of the document before him here, as the contents API has it. */
  path: string;
  idle: boolean;
  me: boolean;
}

/** By workspace: one for each person, by name, oneself last. `elapsed`: seconds since the rows were read. */
export function gather(
  rows: ReadonlyArray<IParticipant>,
  me: string,
  elapsed: number
): Map<string, IPerson[]> {
  const best = new Map<string, IParticipant>();
  const busy = new Set<string>();
  for (const row of rows) {
    const key = `${row.workspace_id} ${row.user}`;
    const other = best.get(key);
    if (!other || isNearer(row, other)) {
      best.set(key, row);
    }
    if (row.idle_seconds + elapsed < IDLE_SECONDS) {
      busy.add(key);
    }
  }
  const found = new Map<string, IPerson[]>();
  for (const [key, row] of best) {
    const here = found.get(row.workspace_id) ?? [];
    here.push({
      user: row.user,
      name: row.display_name,
      role: row.role,
      color: row.color ?? '',
      path: row.path,
      idle: !busy.has(key),
      me: row.user === me
    });
    found.set(row.workspace_id, here);
  }
  for (const here of found.values()) {
    here.sort(
      (a, b) => Number(a.me) - Number(b.me) || a.name.localeCompare(b.name)
    );
  }
  return found;
}

/** The one before somebody; else where he has done something last. */
function isNearer(a: IParticipant, b: IParticipant): boolean {
  return a.front !== b.front ? a.front : a.idle_seconds < b.idle_seconds;
}

/** What stands for a name where there is little room. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const first = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return first
    .map(word => [...word][0] ?? '')
    .join('')
    .toLocaleUpperCase();
}

export class PresenceModel implements IDisposable {
  /** `asks`: whether documents are shared on this server; nobody is anywhere where they are not. */
  constructor(
    private _model: WorkspacesModel,
    private _api: Pick<Api, 'present'>,
    readonly asks: boolean,
    private _now: () => number = Date.now
  ) {
    if (asks) {
      _model.moved.connect(() => void this.refresh());
      void _model.known.then(() => this.refresh());
    }
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  /** In a workspace with this id, as it was read last. */
  here(id: string): ReadonlyArray<IPerson> {
    return this._people.get(id) ?? NOBODY;
  }

  /** Where somebody is. */
  of(user: string): IParticipant | undefined {
    const rows = this._rows.filter(row => row.user === user);
    return rows.reduce<IParticipant | undefined>(
      (best, row) => (best && !isNearer(row, best) ? best : row),
      undefined
    );
  }

  /** Who has become idle since it was read is so from now on. */
  look(): void {
    const elapsed = (this._now() - this._readAt) / 1000;
    this._people = gather(this._rows, this._model.me, elapsed);
    this._changed.emit();
  }

  /** Read it, now; what is asked for meanwhile is read once more afterwards. */
  async refresh(): Promise<void> {
    if (this._reading) {
      this._again = true;
      return;
    }
    this._reading = true;
    do {
      this._again = false;
      try {
        this._rows = await this._api.present();
        this._readAt = this._now();
      } catch {
        this._rows = []; // of an older server, or one that does not answer, which is said elsewhere
      }
    } while (this._again && !this._disposed);
    this._reading = false;
    if (!this._disposed) {
      this.look();
    }
  }

  dispose(): void {
    this._disposed = true;
    Signal.clearData(this);
  }

  private _rows: IParticipant[] = [];
  private _readAt = 0;
  private _people = new Map<string, IPerson[]>();
  private _reading = false;
  private _again = false;
  private _disposed = false;
  private _changed = new Signal<this, void>(this);
}

const NOBODY: ReadonlyArray<IPerson> = [];

/** Typed calls. The shapes are those of `syla_jupyter/server/wire.py`: bytes, seconds, cores, RFC 3339. */
import { ServerConnection } from '@jupyterlab/services';

import { IOperation, IOperationEvent } from './operations';
import { Role } from './people';
import {
  ApiError,
  asJson,
  request,
  requestFile,
  SERVER_OLDER
} from './request';
import { IAsked, IRan } from './runs';
import { IDiff, IFileDiff, IRestored, ISnapshot, ITaken } from './snapshots';

export type State = 'created' | 'active' | 'suspended' | 'archived' | 'deleted';
export type WorkspaceType =
  'ephemeral' | 'session' | 'persistent' | 'collaborative';
export type Verb =
  'start' | 'suspend' | 'resume' | 'stop' | 'archive' | 'recover' | 'delete';

export interface ILimits {
  cpus: number;
  memory_bytes: number;
  disk_bytes: number;
  /** Processes and threads. */
  pids: number;
}

export interface IWorkspace {
  id: string;
  owner: string;
  name: string;
  type: WorkspaceType;
  state: State;
  /** Suspended with its variables in memory. */
  frozen: boolean;
  /** Why it is in its state. */
  reason: string;
  allowed: Verb[];
  /** What its policy does next by itself. */
  next: { action: string; at: string | null; reason: string };
  template: string;
  limits: ILimits;
  policy: { retention_seconds: number | null };
  /** Of its files, as the contents API knows it; null: not below the root. */
  path: string | null;
  is_default: boolean;
  shared: boolean;
  execution: string;
  last_activity_at: string;
  disk_bytes: number;
  version: number;
}

/** Somebody else's, where one has a role, or has come by its link. */
export interface ISharedWorkspace extends IWorkspace {
  role: Role;
  /** `link`: one has come to it, as every user may; of older servers there is nothing here. */
  via?: 'member' | 'link';
}

export interface ITemplate {
  name: string;
  display_name: string;
  is_default: boolean;
}

export interface INewWorkspace {
  name: string;
  type?: WorkspaceType;
  template?: string;
  limits?: Partial<ILimits>;
}

/** What a workspace's container has used, now (memory) and since it was started (CPU). */
export interface IUsed {
  id: string;
  cpu_seconds: number;
  memory_bytes: number;
}

export type WarningKind = 'policy' | 'disk' | 'memory' | 'kernel';

/** Who may do what has changed; without an id no more is known. */
export interface IPeopleEvent {
  event: 'people';
  id: string | null;
  workspace_id: string | null;
  action: string | null;
  actor: string | null;
  /** User or team that it is about. */
  subject: string | null;
  role: Role | null;
}

/** Somebody has come to a workspace's documents, or has left them. */
export interface IPresenceEvent {
  event: 'presence';
  id: string;
  what: 'joined' | 'left';
  workspace_id: string;
  user: string;
  display_name: string;
  role: Role | null;
}

/**
 * Somebody asks for a role, or was answered by another who may; or this person was refused one, and is told no more than
 * what she called it.
 */
export interface IAccessEvent {
  event: 'access';
  id: string;
  what: 'asked' | 'refused' | 'answered';
  called: string;
}

/** A file was changed on disk beneath an open document; what was not saved yet is kept beside it. */
export interface IConflictEvent {
  event: 'conflict';
  id: string;
  workspace_id: string;
  path: string;
  kept: string;
}

/** Files were changed: by way of the server, or (`write`) by code that has run. */
export interface IFilesEvent {
  event: 'files';
  id: string;
  workspace_id: string;
  action: string;
  count: number;
  /** As the contents API has them, some of many; a folder where something was removed from it. */
  paths: string[];
}

export type IWorkspaceEvent =
  | { event: 'hello'; id: string; reset: boolean }
  | { event: 'change'; id: string; verb: string; workspace: IWorkspace }
  | {
      event: 'warning';
      id: string;
      kind: WarningKind;
      workspace: IWorkspace;
      message: string;
    }
  | {
      event: 'snapshot';
      id: string;
      workspace: IWorkspace;
      snapshot: ISnapshot;
    }
  | IPeopleEvent
  | IPresenceEvent
  | IAccessEvent
  | IConflictEvent
  | IFilesEvent
  | IOperationEvent
  | {
      event: 'run';
      id: string;
      what: string;
      workspace_id: string;
      execution_id: string;
    }
  | { event: 'where'; workspace_id: string }
  | { event: 'execution' };

/** Somebody who has a document open, in one page. */
export interface IParticipant {
  workspace_id: string;
  user: string;
  display_name: string;
  role: Role | null;
  color: string | null;
  path: string;
  /** It is the document before him. */
  front: boolean;
  cursors: unknown[];
  joined_at: string;
  last_activity_at: string;
  idle_seconds: number;
}

/** A cell of a shared notebook that the server runs. */
export interface IRun {
  id: string;
  path: string;
  /** What it asks for, of whoever ran it and nobody else. */
  input: { prompt: string; password: boolean } | null;
}

const PAGE = 500;

export class Api {
  constructor(readonly settings: ServerConnection.ISettings) {}

  /** Cells of its shared notebooks that run or wait. */
  async queue(workspace: string): Promise<IRun[]> {
    const path = `workspaces/${encodeURIComponent(workspace)}/queue`;
    return (await this._get<{ runs: IRun[] }>(path)).runs;
  }

  async answer(workspace: string, run: string, value: string): Promise<void> {
    const parts = [workspace, 'queue', run, 'input'].map(encodeURIComponent);
    await this._send('POST', `workspaces/${parts.join('/')}`, { value });
  }

  /** Answered when the cell has ended, or is queued behind others. */
  runCell(kernel: string, asked: IAsked): Promise<IRan> {
    const { cell, document, edits } = asked;
    const body = { cell_id: cell, document_id: document, edits };
    const path = `/api/kernels/${encodeURIComponent(kernel)}/execute`;
    return this._send('POST', path, body);
  }

  /** Those that this person trusts, by digests. */
  trusted(digests: string[]): Promise<{ digests: string[] }> {
    return this._send('POST', 'trust/known', { digests }, true);
  }

  /** Say that this person trusts them. */
  trust(digests: string[]): Promise<void> {
    return this._send('POST', 'trust', { digests });
  }

  /** One's own, page by page; `state` leaves out the others. */
  list(state: State | '' = ''): Promise<IWorkspace[]> {
    return this._pages('workspaces', state ? { state } : {});
  }

  /** Those of others, with one's role. */
  shared(): Promise<ISharedWorkspace[]> {
    return this._pages('shared', {});
  }

  /** In all workspaces that one may read. */
  async present(): Promise<IParticipant[]> {
    const found = await this._get<{ participants: IParticipant[] }>(
      'participants'
    );
    return checked(found.participants);
  }

  /** What takes long and is under way, in all workspaces that one may read. */
  async operations(): Promise<IOperation[]> {
    const found = await this._get<{ operations: IOperation[] }>('operations');
    return checked(found.operations);
  }

  /** Take back what is under way; rejects where it comes too late. */
  cancel(workspace: string, operation: string): Promise<void> {
    const path = `workspaces/${workspace}/operations/${operation}`;
    return request(this.settings, path, { method: 'DELETE' });
  }

  async used(): Promise<IUsed[]> {
    return checked((await this._get<{ running: IUsed[] }>('usage')).running);
  }

  async templates(): Promise<ITemplate[]> {
    return checked(
      (await this._get<{ templates: ITemplate[] }>('templates')).templates
    );
  }

  /** Of the server's part of this package. */
  async version(): Promise<string> {
    const answer = await this._get<{ info?: { version?: string } }>(
      'openapi.json'
    );
    return String(answer.info?.version ?? '');
  }

  create(asked: INewWorkspace): Promise<IWorkspace> {
    return this._send('POST', 'workspaces', asked);
  }

  change(id: string, limits: Partial<ILimits>): Promise<IWorkspace> {
    return this._send('PATCH', `workspaces/${id}`, { limits });
  }

  suspend(id: string, stop = false): Promise<IWorkspace> {
    return this._send('POST', `workspaces/${id}/suspend`, { stop });
  }

  resume(id: string): Promise<IWorkspace> {
    return this._send('POST', `workspaces/${id}/resume`, {});
  }

  archive(id: string): Promise<IWorkspace> {
    return this._send('POST', `workspaces/${id}/archive`, {});
  }

  recover(id: string): Promise<IWorkspace> {
    return this._send('POST', `workspaces/${id}/recover`, {});
  }

  /** Nothing happens to it by itself for so long, up to its hard cap. */
  touch(id: string, seconds: number): Promise<IWorkspace> {
    return this._send('POST', `workspaces/${id}/touch`, { seconds });
  }

  /** For good. Not from the archive it needs its name as a confirmation. */
  remove(id: string, confirm = ''): Promise<void> {
    const query = confirm
      ? `?${new URLSearchParams({ force: 'true', confirm })}`
      : '';
    return request(this.settings, `workspaces/${id}${query}`, {
      method: 'DELETE'
    });
  }

  /** Its versions, oldest first. */
  async snapshots(id: string): Promise<ISnapshot[]> {
    const found = await this._get<{ snapshots: ISnapshot[] }>(
      `workspaces/${id}/snapshots`
    );
    return checked(found.snapshots);
  }

  take(id: string, message: string): Promise<ITaken> {
    return this._send('POST', `workspaces/${id}/snapshots`, { message });
  }

  /** `paths`: only these (`files/a`, `home/a`); none: all of it, which ends the container. */
  restore(id: string, version: number, paths: string[]): Promise<IRestored> {
    const path = `workspaces/${id}/snapshots/${version}/restore`;
    return this._send('POST', path, { paths });
  }

  diff(id: string, before: number, after: number): Promise<IDiff> {
    return this._get(`workspaces/${id}/snapshots/${before}/diff/${after}`);
  }

  fileDiff(
    id: string,
    before: number,
    after: number,
    path: string
  ): Promise<IFileDiff> {
    const query = new URLSearchParams({ path });
    return this._get(
      `workspaces/${id}/snapshots/${before}/diff/${after}/file?${query}`
    );
  }

  /** `version` null: as it is now. */
  clone(id: string, name: string, version: number | null): Promise<IRestored> {
    const body = version === null ? { name } : { name, version };
    return this._send('POST', `workspaces/${id}/clone`, body);
  }

  /** `version` null: as it is now. */
  export(id: string, version: number | null): Promise<Blob> {
    const body = version === null ? {} : { version };
    const path = `workspaces/${id}/export`;
    return requestFile(this.settings, path, asJson('POST', body));
  }

  private async _pages<T extends IWorkspace>(
    path: string,
    filter: { [name: string]: string }
  ): Promise<T[]> {
    const found: T[] = [];
    let after = '';
    do {
      const query = new URLSearchParams({ ...filter, limit: String(PAGE) });
      if (after) {
        query.set('after', after);
      }
      const page = await this._get<{ workspaces: T[]; next: string }>(
        `${path}?${query}`
      );
      found.push(...checked(page.workspaces));
      after = page.next;
    } while (after);
    return found;
  }

  private _get<T>(path: string): Promise<T> {
    return request<T>(this.settings, path, {}, true);
  }

  private _send<T>(
    method: string,
    path: string,
    body: object,
    background = false
  ): Promise<T> {
    return request<T>(this.settings, path, asJson(method, body), background);
  }
}

function checked<T>(rows: T[] | undefined): T[] {
  if (!Array.isArray(rows)) {
    throw new ApiError(SERVER_OLDER, 'The server answers in another form');
  }
  return rows;
}

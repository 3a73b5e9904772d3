/** Typed calls about people. The shapes are those of `syla_jupyter/server/people_wire.py`. */
import { ServerConnection } from '@jupyterlab/services';

import {
  AccessMode,
  GivenRole,
  IInvitation,
  IInvitationMade,
  IMember,
  IMembers,
  Kind,
  Role
} from './people';
import { asJson, request } from './request';

export interface IAccessRequest {
  /** Its id. */
  workspace: string;
  user: string;
  role: GivenRole;
  asked_at: string;
}

export class PeopleApi {
  constructor(private _settings: ServerConnection.ISettings) {}

  members(id: string): Promise<IMembers> {
    return request(this._settings, `workspaces/${id}/members`, {}, true);
  }

  /** In place of what they have had. */
  give(
    id: string,
    kind: Kind,
    subject: string,
    role: GivenRole
  ): Promise<IMember> {
    return this._send('PUT', member(id, kind, subject), { role });
  }

  /** By themselves: they leave. */
  take(id: string, kind: Kind, subject: string): Promise<void> {
    return this._send('DELETE', member(id, kind, subject));
  }

  setMode(id: string, mode: AccessMode): Promise<IMembers> {
    return this._send('PATCH', `workspaces/${id}/access`, { mode });
  }

  transfer(id: string, to: string): Promise<IMembers> {
    return this._send('POST', `workspaces/${id}/transfer`, { to });
  }

  async invitations(id: string): Promise<IInvitation[]> {
    const path = `workspaces/${id}/invitations`;
    const found = await request<{ invitations: IInvitation[] }>(
      this._settings,
      path,
      {},
      true
    );
    return found.invitations;
  }

  invite(
    id: string,
    role: GivenRole,
    uses: number,
    seconds: number
  ): Promise<IInvitationMade> {
    return this._send('POST', `workspaces/${id}/invitations`, {
      role,
      uses,
      expires_seconds: seconds
    });
  }

  uninvite(id: string, invitation: string): Promise<void> {
    return this._send('DELETE', `workspaces/${id}/invitations/${invitation}`);
  }

  /** By its folder's name, or its id; the answer is the same whether there is one. */
  ask(called: string, role: GivenRole): Promise<{ asked: true }> {
    const path = `workspaces/${encodeURIComponent(called)}/access-requests`;
    return this._send('POST', path, { role });
  }

  /** What waits for one's own answer. */
  async requests(): Promise<IAccessRequest[]> {
    const found = await request<{ requests: IAccessRequest[] }>(
      this._settings,
      'access-requests',
      {},
      true
    );
    return found.requests;
  }

  /** To grant is to `give`. */
  refuse(id: string, user: string): Promise<void> {
    const name = encodeURIComponent(user);
    return this._send('DELETE', `workspaces/${id}/access-requests/${name}`);
  }

  join(secret: string): Promise<{ workspace: string; role: Role }> {
    return this._send('POST', 'join', { secret });
  }

  private _send<T>(method: string, path: string, body?: object): Promise<T> {
    const init = body === undefined ? { method } : asJson(method, body);
    return request<T>(this._settings, path, init);
  }
}

function member(id: string, kind: Kind, subject: string): string {
  return `workspaces/${id}/members/${encodeURIComponent(subject)}?kind=${kind}`;
}

/** Who may use one workspace, as it changes, and what a person does about it; no DOM. Each deed is followed by a look. */
import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { IWorkspace } from './api';
import { AskingModel } from './asking';
import { WorkspacesModel } from './model';
import {
  AccessMode,
  GivenRole,
  IInvitation,
  IInvitationMade,
  IMembers,
  Kind,
  may,
  Permission
} from './people';
import { IAccessRequest, PeopleApi } from './peopleApi';

export class SharingModel implements IDisposable {
  constructor(
    private _model: WorkspacesModel,
    private _api: PeopleApi,
    private _asking: AskingModel,
    readonly id: string
  ) {
    _model.peopleChanged.connect(this._look, this);
    _asking.changed.connect(this._onAsking, this);
    void this.refresh();
  }

  get workspace(): IWorkspace | undefined {
    return this._model.find(this.id);
  }

  get me(): string {
    return this._model.me;
  }

  /** Null: not known yet. */
  get members(): IMembers | null {
    return this._members;
  }

  get invitations(): ReadonlyArray<IInvitation> {
    return this._invitations;
  }

  /** Who asks for a role here; empty for who may give none. */
  get requests(): ReadonlyArray<IAccessRequest> {
    return this.may('share') ? this._asking.waitingFor(this.id) : [];
  }

  /** The one that was made last, with its secret, for as long as this is looked at. */
  get made(): IInvitationMade | null {
    return this._made;
  }

  /** Why the last thing could not be done. */
  get error(): unknown {
    return this._error;
  }

  get busy(): boolean {
    return this._busy;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  may(permission: Permission): boolean {
    const role = this._members?.role;
    return !!role && may(role, permission);
  }

  refresh(): Promise<boolean> {
    return this._do(async () => undefined);
  }

  give(kind: Kind, subject: string, role: GivenRole): Promise<boolean> {
    return this._do(() => this._api.give(this.id, kind, subject, role));
  }

  take(kind: Kind, subject: string): Promise<boolean> {
    return this._do(() => this._api.take(this.id, kind, subject));
  }

  grant(request: IAccessRequest, role: GivenRole): Promise<boolean> {
    return this._do(() => this._asking.grant(request, role));
  }

  refuse(request: IAccessRequest): Promise<boolean> {
    return this._do(() => this._asking.refuse(request));
  }

  setMode(mode: AccessMode): Promise<boolean> {
    return this._do(() => this._api.setMode(this.id, mode));
  }

  transfer(to: string): Promise<boolean> {
    return this._do(async () => {
      await this._api.transfer(this.id, to);
      await this._model.refresh();
    });
  }

  invite(role: GivenRole, uses: number, seconds: number): Promise<boolean> {
    return this._do(async () => {
      this._made = await this._api.invite(this.id, role, uses, seconds);
    });
  }

  uninvite(invitation: string): Promise<boolean> {
    return this._do(async () => {
      await this._api.uninvite(this.id, invitation);
      if (this._made?.id === invitation) {
        this._made = null;
      }
    });
  }

  dispose(): void {
    if (!this._disposed) {
      this._disposed = true;
      this._made = null;
      Signal.clearData(this);
    }
  }

  private _onAsking(): void {
    this._changed.emit();
  }

  private _look(): void {
    if (!this._busy) {
      void this.refresh();
    }
  }

  /** Whether it was done; else `error` says why not. */
  private async _do(deed: () => Promise<unknown>): Promise<boolean> {
    this._busy = true;
    this._changed.emit();
    try {
      await deed();
      this._members = await this._api.members(this.id);
      this._invitations = this.may('share')
        ? await this._api.invitations(this.id)
        : [];
      this._error = null;
    } catch (reason) {
      this._error = reason;
    }
    this._busy = false;
    if (!this._disposed) {
      this._changed.emit();
    }
    return this._error === null;
  }

  private _members: IMembers | null = null;
  private _invitations: IInvitation[] = [];
  private _made: IInvitationMade | null = null;
  private _error: unknown = null;
  private _busy = false;
  private _disposed = false;
  private _changed = new Signal<this, void>(this);
}

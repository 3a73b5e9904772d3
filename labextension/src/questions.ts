/**
 * What cells that the server runs ask this person; no DOM.
 *
 * A question is told once, in an event. Who was away then, or came with a new page, or whose answer did not arrive, is
 * asked when the events say *hello* again: the server's queue has what waits. One that is on the screen is not asked
 * again. Only workspaces that are active can have any.
 */
import { IRun, IWorkspace } from './api';
import { WorkspacesModel } from './model';

export interface IQuestion {
  path: string;
  prompt: string;
  password: boolean;
  /** What was answered before, where that did not reach the server. */
  before: string;
}

/** Null: not answered now. */
export type Show = (question: IQuestion) => Promise<string | null>;

export class Questions {
  constructor(
    private _model: WorkspacesModel,
    private _show: Show
  ) {
    _model.asked.connect(
      (_, one) => void this._ask(one.workspace_id, one.execution_id)
    );
    _model.saved.connect((_, id) => {
      if (!id) {
        void this.askAll();
      }
    });
  }

  async askAll(): Promise<void> {
    await this._model.known;
    const active = this._model.workspaces.filter(
      one => one.state === 'active' && this._mayRun(one)
    );
    for (const { id } of active) {
      const rows = await this._rows(id);
      rows.forEach(row => void this._put(id, row));
    }
  }

  private async _ask(workspace: string, id: string): Promise<void> {
    const rows = await this._rows(workspace);
    rows
      .filter(row => row.id === id)
      .forEach(row => void this._put(workspace, row));
  }

  private async _put(workspace: string, row: IRun): Promise<void> {
    const { id, input, path } = row;
    if (!input || this._open.has(id)) {
      return; // somebody else's, or on the screen
    }
    this._open.add(id);
    const { prompt, password } = input;
    const unsent = this._unsent.get(id);
    const before = unsent?.prompt === prompt ? unsent.value : '';
    const value = await this._show({ path, prompt, password, before });
    this._open.delete(id);
    this._unsent.delete(id);
    if (value === null) {
      return;
    }
    try {
      await this._model.api.answer(workspace, id, value);
    } catch (reason) {
      if (!isRefused(reason)) {
        this._unsent.set(id, { prompt, value: password ? '' : value });
      }
    }
  }

  private _mayRun(workspace: IWorkspace): boolean {
    return this._model.may(workspace, 'execute');
  }

  private _rows(workspace: string): Promise<IRun[]> {
    return this._model.api.queue(workspace).catch(() => []);
  }

  private _open = new Set<string>();
  private _unsent = new Map<string, { prompt: string; value: string }>();
}

/** It has ended meanwhile, or was answered in another window. */
function isRefused(reason: unknown): boolean {
  const status = (reason as { status?: number }).status ?? 0;
  return status >= 400 && status < 500;
}

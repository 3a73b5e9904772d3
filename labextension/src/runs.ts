/**
 * Runs of cells where the server runs them; no DOM.
 *
 * jupyter-collaboration's executor asks at once for a kernel that is still on its way (`api/kernels/undefined`), for a
 * cell of which the server may not have the last letters yet, and tells nobody when a run was refused. So a run waits
 * for its kernel here, says which edits are to be there before, and who asked for it hears why it was none.
 */
import { ISessionContext } from '@jupyterlab/apputils';
import { INotebookCellExecutor, INotebookModel } from '@jupyterlab/notebook';
import { ISignal } from '@lumino/signaling';
import * as Y from 'yjs';

import { ICell, Trust } from './trust';

export type Options = INotebookCellExecutor.IRunCellOptions;
type RunCell = INotebookCellExecutor['runCell'];
type CodeCell = Options['cell'] & { outputHidden: boolean };
type ICodeCellModel = ICell & {
  outputs: { length: number; changed: ISignal<unknown, unknown> };
};

/** How far this page's own changes of a document are. */
export interface IEdits {
  client: number;
  clock: number;
}

export interface IAsked {
  cell: string;
  /** Its room; unknown to a page that has not been told. */
  document: string | null;
  edits: IEdits | null;
}

/** What a run came to, as far as the document does not say it. */
export interface IRan {
  status: string;
  /** Of `%load`, say: for this cell, or for a new one below. */
  next_input?: { text: string; replace: boolean };
}

export interface IRunner {
  /** Rejects when it is refused. */
  ask: (kernel: string, asked: IAsked) => Promise<IRan>;
  refused: (reason: unknown) => void;
  /** Told of the beginning of a run, and that there was none. Its end is in the document. */
  trust: Pick<Trust, 'began' | 'ended'>;
  /** Whether what this person types in a notebook gets to the server. */
  writes: (path: string) => boolean;
}

/** Everything that is no code cell with a kernel, or with one to come, is done as `other` does it. */
export function runsOnServer(other: RunCell, runner: IRunner): RunCell {
  return async options => {
    const { cell, notebook, sessionContext: context } = options;
    if (cell.model.type !== 'code' || !context) {
      return other(options);
    }
    if (isComing(context)) {
      cell.setPrompt('*');
      await arrival(context);
      if (cell.isDisposed) {
        return false;
      }
      cell.setPrompt('');
    }
    const kernel = context.session?.kernel?.id;
    if (!kernel || context.isTerminating || context.pendingInput) {
      return other(options);
    }
    const model = cell.model as unknown as ICodeCellModel;
    const beginning = new Beginning(model, () => runner.trust.began(model));
    (cell as CodeCell).outputHidden = false;
    const document = notebook.sharedModel.getState('document_id');
    const asked = {
      cell: cell.model.sharedModel.getId(),
      document: typeof document === 'string' ? document : null,
      edits: runner.writes(context.path) ? editsOf(notebook) : null
    };
    options.onCellExecutionScheduled({ cell });
    let success = true;
    try {
      const ran = await runner.ask(kernel, asked);
      success = ran.status !== 'error';
      if (ran.next_input && !cell.isDisposed) {
        putNext(ran.next_input, cell, notebook);
      }
    } catch (reason) {
      success = false;
      beginning.dispose();
      runner.trust.ended(model);
      runner.refused(reason);
    }
    options.onCellExecuted({ cell, success });
    return true;
  };
}

/**
 * What comes of a run is its person's, with scripts and all, from when the server has cleared the outputs of before. The
 * answer to the run may be here before.
 */
class Beginning {
  constructor(
    private _model: ICodeCellModel,
    private _began: () => void
  ) {
    this._model.outputs.changed.connect(this._look, this);
    this._look();
  }

  dispose(): void {
    this._model.outputs?.changed.disconnect(this._look, this); // a cell that was deleted has none
  }

  private _look(): void {
    if (!this._model.outputs.length) {
      this._began();
      this.dispose();
    }
  }
}

function putNext(
  { text, replace }: NonNullable<IRan['next_input']>,
  cell: Options['cell'],
  notebook: INotebookModel
): void {
  if (replace) {
    cell.model.sharedModel.setSource(text);
    return;
  }
  const { sharedModel } = notebook;
  const id = cell.model.sharedModel.getId();
  const place = sharedModel.cells.findIndex(one => one.getId() === id);
  sharedModel.insertCell(place < 0 ? sharedModel.cells.length : place + 1, {
    cell_type: 'code',
    source: text
  });
}

function editsOf(notebook: INotebookModel): IEdits | null {
  const { ydoc } = notebook.sharedModel as unknown as { ydoc?: Y.Doc };
  return ydoc
    ? { client: ydoc.clientID, clock: Y.getState(ydoc.store, ydoc.clientID) }
    : null;
}

function isComing(context: ISessionContext): boolean {
  return !context.session?.kernel && !context.hasNoKernel;
}

/** Until there is a kernel, none is to come any more, or nobody waits for it. */
function arrival(context: ISessionContext): Promise<void> {
  return new Promise(resolve => {
    const look = (): void => {
      if (context.isDisposed || !isComing(context)) {
        context.kernelChanged.disconnect(look);
        context.disposed.disconnect(look);
        resolve();
      }
    };
    context.kernelChanged.connect(look);
    context.disposed.connect(look);
  });
}

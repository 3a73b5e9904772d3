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

export type Options = INotebookCellExecutor.IRunCellOptions;
type RunCell = INotebookCellExecutor['runCell'];
type CodeCell = Options['cell'] & { outputHidden: boolean };
type ICodeCellModel = CodeCell['model'] & {
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
    const trusting = new Trusting(cell.model as ICodeCellModel);
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
      trusting.dispose();
      runner.refused(reason);
    }
    options.onCellExecuted({ cell, success });
    return true;
  };
}

/**
 * As in a page that runs a cell itself, its person sees what comes of it with scripts and all. Pages of others that are
 * open do not by that; who opens the notebook later finds the cell trusted, as JupyterLab has it in the cell's metadata.
 *
 * The server clears the outputs of before, and then they are: those that are there would be made anew by it, for all.
 * The answer to the run may be here before.
 */
class Trusting {
  constructor(private _model: ICodeCellModel) {
    this._model.outputs.changed.connect(this._look, this);
    this._look();
  }

  dispose(): void {
    this._model.outputs?.changed.disconnect(this._look, this); // a cell that was deleted has none
  }

  private _look(): void {
    if (!this._model.outputs.length) {
      this._model.trusted = true;
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
  const metadata = { trusted: false }; // it is the kernel's, not the person's
  sharedModel.insertCell(place < 0 ? sharedModel.cells.length : place + 1, {
    cell_type: 'code',
    source: text,
    metadata
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

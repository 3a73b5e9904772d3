/**
 * One open document, kept to what its person may do with it, as that changes.
 *
 * This is courtesy: the server decides. Without it a page would show edits that nobody gets, and JupyterLab would ask
 * for kernels that are refused.
 *
 * Who may not write: the editors are read-only, nothing is saved by itself. Who may not run either: the shared document
 * takes no change that begins in this page (all of JupyterLab's do by its `transact`; what comes from others does not),
 * but for what is read from the server; and no kernel is started by itself. One that runs already is looked at.
 */
import { ISessionContext } from '@jupyterlab/apputils';
import { DocumentRegistry, IDocumentWidget } from '@jupyterlab/docregistry';
import { Notebook, NotebookPanel } from '@jupyterlab/notebook';
import { Contents, Kernel } from '@jupyterlab/services';
import { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import { IRights } from './rights';

type Context = DocumentRegistry.IContext<DocumentRegistry.IModel>;
type ContentsModel = Omit<Contents.IModel, 'content'>;

/** What of a shared document is needed here. */
interface IYDoc {
  transact(
    change: (...args: unknown[]) => unknown,
    ...rest: unknown[]
  ): unknown;
}
interface IEditorOwner {
  editor?: { setOption(name: 'readOnly', value: boolean): void };
}

/** What was read with the file, whatever a role has made of it since. */
export function asRead(context: Context): ContentsModel | null {
  const plain = Object.getPrototypeOf(context);
  return Reflect.get(plain, 'contentsModel', context) as ContentsModel | null;
}

export class KeptDocument implements IDisposable {
  /**
   * `rights`: as they are now, asked again when `apply` is called.
   * `known`: when they are known for the first time.
   */
  constructor(
    private _widget: IDocumentWidget,
    private _context: Context,
    private _rights: () => IRights,
    known: Promise<void>
  ) {
    this._shownWritable();
    this._keepFromStarting(known);
    this._keepFromSaving();
    this._lockable();
    void Promise.all([known, _context.ready]).then(() => {
      this._wasReadOnly = !this._rights().write;
      this.apply();
    });
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  apply(): void {
    if (this._disposed || this._widget.isDisposed || !this._context.isReady) {
      return;
    }
    const { write, execute } = this._rights();
    this._locked = !write && !execute;
    this._notDirty();
    this._context.model.readOnly = !write;
    // JupyterLab's own word of it, which is not taken back when it is over.
    this._widget.toggleClass('syla-mod-kept', !write || this._wasReadOnly);
    if (this._widget instanceof NotebookPanel) {
      lockCells(this._widget.content, this._locked);
    } else {
      (this._widget.content as IEditorOwner).editor?.setOption(
        'readOnly',
        this._locked
      );
    }
    if (execute && this._preference) {
      void this._startNow(this._context.sessionContext);
    }
  }

  dispose(): void {
    this._disposed = true;
    this._locked = false;
    Signal.clearData(this);
  }

  /** `writable` as the role says: what was read with the file is as old as the file. */
  private _shownWritable(): void {
    const context = this._context;
    const model = (): ContentsModel | null => {
      const found = asRead(context);
      const { write } = this._rights();
      return (
        found && {
          ...found,
          writable: write && (found.writable || this._wasReadOnly)
        }
      );
    };
    Object.defineProperty(context, 'contentsModel', {
      configurable: true,
      get: model
    });
    Object.defineProperty(context, 'canSave', {
      configurable: true,
      get: () => !!model()?.writable && !context.model.collaborative
    });
  }

  /** A kernel is neither started nor asked for while its person may not run anything. */
  private _keepFromStarting(known: Promise<void>): void {
    const session = this._context.sessionContext;
    const begin = session.initialize.bind(session);
    const initialize = (): Promise<boolean> =>
      begin().catch(reason => {
        if (session.isDisposed) {
          return false; // it was closed meanwhile
        }
        throw reason;
      });
    session.initialize = async () => {
      await known;
      if (this._disposed || this._rights().execute) {
        return initialize();
      }
      this._preference = session.kernelPreference;
      session.kernelPreference = {
        ...this._preference,
        shouldStart: false,
        canStart: false,
        autoStartDefault: false
      };
      const asks = await initialize();
      if (!session.session) {
        // Without a kernel nothing says that it is not about to be started any more.
        const signal = session.statusChanged as Signal<unknown, Kernel.Status>;
        signal.emit('unknown');
      }
      return asks;
    };
  }

  /** Not by what saves besides, either: "Trust Notebook" does. */
  private _keepFromSaving(): void {
    const save = this._context.save.bind(this._context);
    this._context.save = async () => {
      if (this._disposed || this._rights().write) {
        await save();
      }
    };
  }

  private async _startNow(session: ISessionContext): Promise<void> {
    const { shouldStart, canStart, autoStartDefault } = this._preference!;
    this._preference = null;
    session.kernelPreference = {
      ...session.kernelPreference,
      shouldStart,
      canStart,
      autoStartDefault
    };
    if (!session.session && shouldStart !== false && canStart !== false) {
      await session.startKernel();
    }
  }

  private _lockable(): void {
    const { model } = this._context;
    const { ydoc } = model.sharedModel as unknown as { ydoc?: IYDoc };
    if (ydoc) {
      const transact = ydoc.transact.bind(ydoc);
      ydoc.transact = (change, ...rest) =>
        this._locked && !this._reading ? undefined : transact(change, ...rest);
    }
    // Of what is on disk, at the beginning and when somebody asks for it again.
    for (const name of ['fromJSON', 'fromString'] as const) {
      const read = model[name].bind(model) as (value: unknown) => void;
      model[name] = (value: unknown) => {
        this._reading = true;
        try {
          read(value);
        } finally {
          this._reading = false;
        }
      };
    }
    model.contentChanged.connect(this._onContent, this);
    model.stateChanged.connect(this._notDirty, this);
  }

  /** What nobody may save is not asked about when it is closed. (In a room the state is everybody's.) */
  private _notDirty(): void {
    const { model } = this._context;
    if (this._locked && model.dirty && !model.collaborative) {
      this._reading = true;
      model.dirty = false;
      this._reading = false;
    }
  }

  /** Others add cells, and JupyterLab reads again from each whether it can be edited. */
  private _onContent(): void {
    if (this._locked && this._widget instanceof NotebookPanel) {
      const { content } = this._widget;
      requestAnimationFrame(() => {
        if (!content.isDisposed) {
          lockCells(content, this._locked);
        }
      });
    }
  }

  private _locked = false;
  private _reading = false;
  /** When its file was read, `writable` was false for the role's sake, perhaps. */
  private _wasReadOnly = false;
  /** As it was before it was kept from starting. */
  private _preference: ISessionContext['kernelPreference'] | null = null;
  private _disposed = false;
}

/** `syncEditable` would write the state of this page into the shared cells. */
function lockCells(notebook: Notebook, locked: boolean): void {
  for (const cell of notebook.widgets) {
    if (locked) {
      cell.syncEditable = false;
      cell.readOnly = true;
    } else {
      cell.syncEditable = true; // reads it from the cell again
    }
  }
}

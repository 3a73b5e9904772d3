/**
 * One person is followed: the document before her is opened here too, and scrolled to her cursor as that moves.
 *
 * Which document that is the presence model says; where in it, the document itself, whose awareness has the cursors of
 * all who are in it. Following ends with the first thing one does in the document oneself, with another document that
 * one goes to, with Escape, and when she has gone.
 */
import { JupyterFrontEnd } from '@jupyterlab/application';
import { DocumentRegistry, DocumentWidget } from '@jupyterlab/docregistry';
import { Notebook } from '@jupyterlab/notebook';
import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { cursorOf, IShared } from './cursors';
import { PresenceModel } from './presence';

const OWN_ACTS = ['wheel', 'touchmove', 'pointerdown', 'keydown'] as const;
const MARGIN = 40; // pixels at the edges that are not in sight enough

type Editor = NonNullable<Notebook['widgets'][number]['editor']>;
type Context = DocumentRegistry.IContext<DocumentRegistry.IModel>;

export class Following implements IDisposable {
  constructor(
    private _app: JupyterFrontEnd,
    private _presence: PresenceModel
  ) {
    _presence.changed.connect(this._go, this);
    _app.shell.currentChanged?.connect(this._onCurrent, this);
    document.addEventListener('keydown', this._onKey, true);
  }

  /** Name by which the server knows her; empty: nobody is followed. */
  get user(): string {
    return this._user;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  start(user: string): void {
    this.stop();
    this._user = user;
    this._changed.emit();
    this._go();
  }

  stop(): void {
    this._leave();
    if (this._user) {
      this._user = '';
      this._changed.emit();
    }
  }

  dispose(): void {
    this.stop();
    this._disposed = true;
    document.removeEventListener('keydown', this._onKey, true);
    Signal.clearData(this);
  }

  /** To the document before her, where that is another one. */
  private _go(): void {
    const user = this._user;
    const at = user ? this._presence.of(user) : undefined;
    if (user && !at) {
      this.stop();
    }
    if (at && at.path !== this._path) {
      this._leave();
      this._path = at.path;
      void this._open(at.path, user);
    }
  }

  private async _open(path: string, user: string): Promise<void> {
    let widget: unknown;
    this._opening = true;
    try {
      widget = await this._app.commands.execute('docmanager:open', { path });
      if (widget instanceof DocumentWidget) {
        await widget.context.ready;
      }
    } catch {
      widget = null; // it was refused, or is gone, which JupyterLab says
    } finally {
      this._opening = false;
    }
    const meant = this._user === user && this._path === path;
    if (!(widget instanceof DocumentWidget) || widget.isDisposed) {
      if (meant) {
        this.stop();
      }
    } else if (meant) {
      this._attend(widget);
    }
  }

  private _attend(widget: DocumentWidget): void {
    const { awareness } = sharedOf(widget);
    const acts = (event: Event): void => {
      if (event.isTrusted) {
        this.stop();
      }
    };
    this._widget = widget;
    awareness?.on('change', this._look);
    OWN_ACTS.forEach(name =>
      widget.node.addEventListener(name, acts, { capture: true, passive: true })
    );
    this._letGo = () => {
      awareness?.off('change', this._look);
      OWN_ACTS.forEach(name =>
        widget.node.removeEventListener(name, acts, { capture: true })
      );
    };
    this._look();
  }

  private _leave(): void {
    this._letGo();
    this._letGo = () => undefined;
    this._widget = null;
    this._path = '';
  }

  private _onCurrent(): void {
    const current = this._app.shell.currentWidget;
    if (
      this._widget &&
      !this._opening &&
      current instanceof DocumentWidget &&
      current !== this._widget
    ) {
      this.stop();
    }
  }

  private _onKey = (event: KeyboardEvent): void => {
    if (this._user && event.key === 'Escape') {
      this.stop();
    }
  };

  /** Once for a frame, however often she moves. */
  private _look = (): void => {
    if (!this._frame) {
      this._frame = requestAnimationFrame(() => {
        this._frame = 0;
        const widget = this._widget;
        if (widget && !widget.isDisposed) {
          void reveal(widget, this._user);
        }
      });
    }
  };

  private _user = '';
  private _path = '';
  private _widget: DocumentWidget | null = null;
  private _opening = false;
  private _frame = 0;
  private _letGo: () => void = () => undefined;
  private _disposed = false;
  private _changed = new Signal<this, void>(this);
}

function sharedOf(widget: DocumentWidget): IShared {
  const { model } = (widget as DocumentWidget & { context: Context }).context;
  return model.sharedModel as unknown as IShared;
}

/** Have somebody's cursor in sight, without moving one's own. */
async function reveal(widget: DocumentWidget, user: string): Promise<void> {
  const shared = sharedOf(widget);
  const at = cursorOf(shared, user);
  if (!at) {
    return;
  }
  const { content } = widget;
  if (content instanceof Notebook) {
    const number = content.widgets.findIndex(
      cell => (cell.model.sharedModel as unknown as IShared).ysource === at.type
    );
    if (number >= 0) {
      await content.scrollToItem(number, 'auto');
      const { editor } = content.widgets[number] ?? {};
      if (editor && !editor.isDisposed) {
        scrollTo(content.outerNode, editor, at.index);
      }
    }
  } else if (shared.ysource === at.type) {
    const { editor } = content as { editor?: Editor };
    editor?.revealPosition(bounded(editor, at.index));
  }
}

function scrollTo(outer: HTMLElement, editor: Editor, index: number): void {
  const place = editor.getCoordinateForPosition(bounded(editor, index));
  const box = outer.getBoundingClientRect();
  if (
    place &&
    (place.top < box.top + MARGIN || place.bottom > box.bottom - MARGIN)
  ) {
    outer.scrollTop += place.top - (box.top + box.height / 2);
  }
}

function bounded(
  editor: Editor,
  index: number
): ReturnType<Editor['getCursorPosition']> {
  const position = editor.getPositionAt(
    Math.min(index, editor.model.sharedModel.source.length)
  );
  return position ?? { line: 0, column: 0 };
}

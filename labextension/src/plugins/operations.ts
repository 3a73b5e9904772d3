/** What this person has asked for and takes long: how far it is and a way to cancel it, in a corner of the page. */
import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ITranslator, TranslationBundle } from '@jupyterlab/translation';

import { brief } from '../format';
import { WorkspacesModel } from '../model';
import { report } from '../notices';
import { IOperation, IOperationEvent } from '../operations';
import { ApiError } from '../request';
import { textsOf } from '../texts';
import { IWorkspaces } from '../tokens';
import { doing, operationWords, share } from '../working';

const SLOW_MS = 1_000;
/** Those that the page that asked for them shows by itself (`cancelling`). */
const SHOWN_ELSEWHERE = new Set(['suspend', 'stop', 'resume', 'delete']);

export const operations: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:operations',
  description: 'Shows what takes long in Syla workspaces, and cancels it.',
  autoStart: true,
  requires: [IWorkspaces],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    translator: ITranslator | null
  ) => {
    const trans = textsOf(translator);
    const notices = new Notices(model, trans);
    // What is told before the page is there is not drawn.
    const { user } = app.serviceManager;
    void Promise.all([app.restored, user.ready]).then(() => {
      model.operations.changed.connect(() => notices.show());
      model.operations.ended.connect((_, event) => notices.end(event));
      notices.show();
    });
  }
};

interface INotice {
  /** Empty: it is not slow yet. */
  id: string;
  text: string;
  since: number;
}

class Notices {
  constructor(
    private _model: WorkspacesModel,
    private _trans: TranslationBundle
  ) {}

  /** As the model has it. */
  show(): void {
    const here = this._model.operations.all.filter(one => this._isOurs(one));
    for (const [operation, { id }] of this._notices) {
      if (!here.some(one => one.id === operation)) {
        this._notices.delete(operation);
        dismiss(id);
      }
    }
    here.forEach(one => this._show(one));
  }

  /** What nobody here waits for: the page that did is gone. */
  end(event: IOperationEvent): void {
    const { operation, error } = event;
    const { operations, me } = this._model;
    if (operation.user !== me || !operations.wasFound(operation.id)) {
      return;
    }
    const what = doing(operation.verb, operation.workspace, this._trans);
    if (!error && operation.verb !== 'export') {
      Notification.success(brief(this._trans.__('%1 Done.', what)));
    } else if (error && error.code !== 'cancelled') {
      const reason = new ApiError(error.code, error.message, error.hint);
      void report(what, reason, this._trans);
    }
  }

  private _isOurs(one: IOperation): boolean {
    const { operations, me } = this._model;
    return (
      one.user === me &&
      (!SHOWN_ELSEWHERE.has(one.verb) || operations.wasFound(one.id))
    );
  }

  private _show(one: IOperation): void {
    let notice = this._notices.get(one.id);
    if (!notice) {
      notice = { id: '', text: '', since: Date.now() };
      this._notices.set(one.id, notice);
      setTimeout(() => this.show(), SLOW_MS);
    }
    const text = brief(operationWords(one, this._trans));
    const found = this._model.operations.wasFound(one.id);
    if (
      text === notice.text ||
      (!found && Date.now() - notice.since < SLOW_MS)
    ) {
      return;
    }
    notice.text = text;
    const options = {
      autoClose: false as const,
      actions: one.cancellable ? [this._cancel(one)] : [],
      progress: share(one) ?? undefined
    };
    if (notice.id) {
      Notification.update({ id: notice.id, message: text, ...options });
    } else {
      notice.id = Notification.emit(text, 'in-progress', options);
    }
  }

  private _cancel(one: IOperation): Notification.IAction {
    return {
      label: this._trans.__('Cancel'),
      callback: event => {
        event.preventDefault(); // it stays until that is done
        this._model.operations.cancel(one.id).catch(reason => {
          const what = doing(one.verb, one.workspace, this._trans);
          void report(what, reason, this._trans);
        });
      }
    };
  }

  private _notices = new Map<string, INotice>();
}

/** Without an id the library would dismiss all there are, of everybody. */
function dismiss(id: string): void {
  if (id) {
    Notification.dismiss(id);
  }
}

/**
 * Notebooks whose kernel has ended with its workspace: each gets a new one, with its variables, when the workspace runs
 * again. JupyterLab does not do that: it restarts nothing that it knows to be dead.
 *
 * One that is opened in a workspace which does not run has it started by its kernel; that is said while it takes long.
 *
 * And notebooks whose kernel's state is not known: after a restart of kernel or server JupyterLab asks what kernel it
 * is, and does not count what that says of its state. So one line of its history is asked for, which wakes no workspace
 * that is suspended: it is answered when somebody has resumed it.
 */
import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ISessionContext } from '@jupyterlab/apputils';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { Kernel } from '@jupyterlab/services';
import { ITranslator, TranslationBundle } from '@jupyterlab/translation';

import { IWorkspace } from '../api';
import { WorkspacesModel } from '../model';
import { withProgress } from '../notices';
import { textsOf } from '../texts';
import { IWorkspaces } from '../tokens';

const ASK_MIN_MS = 500;
const ASK_MAX_MS = 32_000;

export const kernels: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:kernels',
  description:
    'Starts the kernels of open notebooks when their workspace runs again.',
  autoStart: true,
  requires: [IWorkspaces, INotebookTracker],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    notebooks: INotebookTracker,
    translator: ITranslator | null
  ) => {
    const trans = textsOf(translator);
    const { contents } = app.serviceManager;
    /** The kernels that ended with a workspace, whether the page knows it yet or not. */
    const ended = new WeakMap<NotebookPanel, string>();
    const look = (): void =>
      notebooks.forEach(panel => {
        const kernel = panel.sessionContext.session?.kernel;
        const workspace = model.at(contents.localPath(panel.context.path));
        if (!kernel || !workspace) {
          return;
        }
        if (workspace.state !== 'active') {
          if (!workspace.execution) {
            ended.set(panel, kernel.id);
          }
        } else if (!model.may(workspace, 'execute')) {
          return;
        } else if (kernel.status === 'dead' && ended.get(panel) === kernel.id) {
          // One that died while its workspace ran may have died of itself: what then is a person's to say.
          ended.delete(panel);
          void start(panel, kernel.name);
        }
      });
    const learning = new WeakSet<Kernel.IKernelConnection>();
    const learn = (session: ISessionContext): void => {
      const kernel = session.session?.kernel;
      if (kernel && isUnknown(kernel) && !learning.has(kernel)) {
        learning.add(kernel);
        void askState(kernel).finally(() => learning.delete(kernel));
      }
    };
    model.changed.connect(look);
    notebooks.widgetAdded.connect((_, panel) => {
      const { sessionContext } = panel;
      const workspace = model.at(contents.localPath(panel.context.path));
      if (workspace && workspace.state !== 'active') {
        void sayStart(panel, workspace, model, trans);
      }
      sessionContext.statusChanged.connect(look);
      sessionContext.statusChanged.connect(learn);
      sessionContext.connectionStatusChanged.connect(learn);
    });
  }
};

/** Until the notebook has its kernel, the workspace runs, or nobody waits for it any more. */
async function sayStart(
  panel: NotebookPanel,
  workspace: IWorkspace,
  model: WorkspacesModel,
  trans: TranslationBundle
): Promise<void> {
  if (!model.may(workspace, 'execute')) {
    return;
  }
  let look = (): void => undefined;
  const runs = new Promise<void>(resolve => {
    look = () => {
      const now = model.find(workspace.id);
      if (panel.isDisposed || !now || now.state === 'active') {
        resolve();
      }
    };
  });
  model.changed.connect(look);
  panel.disposed.connect(look);
  const doing =
    workspace.state === 'created'
      ? trans.__('Starting %1…', workspace.name)
      : trans.__('Resuming %1…', workspace.name);
  const ready = panel.sessionContext.ready.catch(() => undefined); // JupyterLab tells why not
  await withProgress(Promise.race([ready, runs]), doing);
  model.changed.disconnect(look);
}

function isUnknown(kernel: Kernel.IKernelConnection): boolean {
  return (
    !kernel.isDisposed &&
    kernel.connectionStatus === 'connected' &&
    kernel.status === 'unknown'
  );
}

/** Until it is known, or has not become so for a minute. */
async function askState(kernel: Kernel.IKernelConnection): Promise<void> {
  for (let wait = ASK_MIN_MS; wait <= ASK_MAX_MS; wait *= 2) {
    await delay(wait);
    if (!isUnknown(kernel)) {
      return;
    }
    const answer = kernel.requestHistory({
      hist_access_type: 'tail',
      n: 1,
      output: false,
      raw: true
    });
    await Promise.race([answer.catch(() => undefined), delay(wait)]);
  }
}

function delay(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}

async function start(panel: NotebookPanel, name: string): Promise<void> {
  try {
    await panel.sessionContext.changeKernel({ name });
  } catch (reason) {
    console.error('syla-jupyter: no kernel', reason); // JupyterLab has told the person
  }
}

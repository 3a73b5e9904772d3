/** What is asked before something is done: a new workspace, other limits, whether to lose something. */
import {
  Dialog,
  InputDialog,
  Notification,
  showDialog
} from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { ILimits, INewWorkspace, IWorkspace } from './api';
import { cancellable } from './cancelling';
import { CloneBody, ReportBody, RestoreBody } from './components/VersionBodies';
import { LossBody } from './components/LossBody';
import { LimitsBody, NewBody } from './components/WorkspaceForm';
import { WorkspacesModel } from './model';
import { explain } from './notices';
import {
  freeName,
  losses,
  pathsIn,
  restoredWords,
  restoreLines,
  versionName
} from './rules';
import { IRestored } from './snapshots';
import { worked } from './working';

/** The workspace that was made; null when it was given up. What the server refuses is shown in the dialog again. */
export async function askNew(
  model: WorkspacesModel,
  trans: TranslationBundle
): Promise<IWorkspace | null> {
  const templates = await model.api.templates().catch(() => []);
  let asked: INewWorkspace = {
    name: freeName(model.workspaces, trans.__('workspace'))
  };
  let refused: unknown = null;
  for (;;) {
    const problem = refused ? explain(refused, trans) : null;
    const result = await showDialog({
      title: trans.__('New Syla Workspace'),
      body: new NewBody({ asked, templates, problem, trans }),
      buttons: [
        Dialog.cancelButton(),
        Dialog.okButton({ label: trans.__('Create') })
      ],
      focusNodeSelector: 'input'
    });
    if (!result.button.accept || !result.value) {
      return null;
    }
    asked = result.value;
    try {
      const work = model.api.create(asked);
      return await cancellable(
        work,
        trans.__('Making %1…', asked.name),
        made => model.api.remove(made.id, made.name),
        trans
      );
    } catch (reason) {
      refused = reason;
    }
  }
}

/** The workspace with its new limits; null when it was given up, or nothing was changed. */
export async function askLimits(
  workspace: IWorkspace,
  model: WorkspacesModel,
  trans: TranslationBundle
): Promise<IWorkspace | null> {
  let asked: Partial<ILimits> = {};
  let refused: unknown = null;
  for (;;) {
    const problem = refused ? explain(refused, trans) : null;
    const result = await showDialog({
      title: trans.__('Limits of %1', workspace.name),
      body: new LimitsBody({
        before: workspace.limits,
        asked,
        problem,
        trans
      }),
      buttons: [
        Dialog.cancelButton(),
        Dialog.okButton({ label: trans.__('Change') })
      ],
      focusNodeSelector: 'input'
    });
    if (!result.button.accept || !result.value) {
      return null;
    }
    asked = result.value;
    if (!Object.keys(asked).length) {
      return null;
    }
    try {
      return await model.api.change(workspace.id, asked);
    } catch (reason) {
      refused = reason;
    }
  }
}

/** Whether to go on. Deleting what is not archived wants its name to be typed. */
export async function confirmLoss(
  workspace: IWorkspace,
  verb: 'stop' | 'archive' | 'delete',
  trans: TranslationBundle
): Promise<boolean> {
  const words = {
    stop: [trans.__('Stop %1?', workspace.name), trans.__('Stop')],
    archive: [trans.__('Archive %1?', workspace.name), trans.__('Archive')],
    delete: [
      trans.__('Delete %1 for good?', workspace.name),
      trans.__('Delete')
    ]
  }[verb];
  const typed = verb === 'delete' && workspace.state !== 'archived';
  const result = await showDialog({
    title: words[0],
    body: new LossBody({
      lines: losses(workspace, verb, trans),
      name: typed ? workspace.name : null,
      trans
    }),
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: words[1] })],
    defaultButton: 0,
    focusNodeSelector: typed ? 'input' : undefined
  });
  if (!result.button.accept) {
    return false;
  }
  if (!typed || result.value === workspace.name) {
    return true;
  }
  Notification.warning(
    trans.__('Nothing was deleted: its name is %1.', workspace.name),
    { autoClose: 10_000 }
  );
  return false;
}

/** What a snapshot is said to be, which may be nothing; null when it was given up. */
export async function askMessage(
  workspace: IWorkspace,
  trans: TranslationBundle
): Promise<string | null> {
  const result = await InputDialog.getText({
    title: trans.__('Take a Snapshot of %1', workspace.name),
    label: trans.__('What it is (may be left empty)'),
    okLabel: trans.__('Take')
  });
  return result.button.accept ? (result.value ?? '').trim() : null;
}

/** The paths to restore, empty for all of it; null when it was given up. */
export async function askRestore(
  workspace: IWorkspace,
  version: number,
  proposed: string[],
  trans: TranslationBundle
): Promise<string[] | null> {
  let paths = proposed;
  for (;;) {
    const result = await showDialog({
      title: trans.__(
        'Restore %1 of %2?',
        versionName(version),
        workspace.name
      ),
      body: new RestoreBody({
        lines: restoreLines(workspace, trans),
        paths,
        required: workspace.is_default,
        trans
      }),
      buttons: [
        Dialog.cancelButton(),
        Dialog.warnButton({ label: trans.__('Restore') })
      ],
      defaultButton: 0,
      focusNodeSelector: proposed.length ? undefined : 'textarea'
    });
    if (!result.button.accept) {
      return null;
    }
    paths = pathsIn(result.value ?? '');
    if (paths.length || !workspace.is_default) {
      return paths;
    }
  }
}

/** The clone; null when it was given up. What the server refuses is shown in the dialog again. */
export async function askClone(
  workspace: IWorkspace,
  version: number | null,
  model: WorkspacesModel,
  trans: TranslationBundle
): Promise<void> {
  let name = freeName(model.workspaces, workspace.name);
  let refused: unknown = null;
  for (;;) {
    const problem = refused ? explain(refused, trans) : null;
    const what =
      version === null
        ? workspace.name
        : trans.__('%1 of %2', versionName(version), workspace.name);
    const result = await showDialog({
      title: trans.__('Clone %1', what),
      body: new CloneBody({ name, problem, trans }),
      buttons: [
        Dialog.cancelButton(),
        Dialog.okButton({ label: trans.__('Clone') })
      ],
      focusNodeSelector: 'input'
    });
    if (!result.button.accept || !result.value) {
      return;
    }
    name = result.value;
    try {
      const work = model.api.clone(workspace.id, name, version);
      const made = await worked(model, workspace, 'clone', work, trans);
      if (!made) {
        return;
      }
      model.note(made.workspace);
      await tellNotes(
        trans.__('%1 is a clone of %2.', name, what),
        made,
        trans
      );
      return;
    } catch (reason) {
      refused = reason;
    }
  }
}

/** What came back, what did not, and where to find what was there before. */
export async function tellRestored(
  workspace: IWorkspace,
  version: number,
  paths: string[],
  restored: IRestored,
  trans: TranslationBundle
): Promise<void> {
  const text = restoredWords(workspace, version, paths, restored, trans);
  await tellNotes(text, restored, trans);
}

/** Short where all went well; what did not come back is a dialog, so that nobody misses it. */
async function tellNotes(
  text: string,
  done: IRestored,
  trans: TranslationBundle
): Promise<void> {
  if (!done.notes.length) {
    Notification.success(text, { autoClose: 10_000 });
    return;
  }
  await showDialog({
    title: trans.__('What came back, and what did not'),
    body: new ReportBody({ text, lines: done.notes }),
    buttons: [Dialog.okButton()]
  });
}

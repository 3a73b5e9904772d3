/** What is asked before something is done: a new workspace, other limits, whether to lose something. */
import { Dialog, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { ILimits, INewWorkspace, IWorkspace } from './api';
import { LossBody } from './components/LossBody';
import { LimitsBody, NewBody } from './components/WorkspaceForm';
import { WorkspacesModel } from './model';
import { explain, withProgress } from './notices';
import { freeName, losses } from './rules';

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
      return await withProgress(work, trans.__('Making %1…', asked.name));
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
  return !typed || result.value === workspace.name;
}

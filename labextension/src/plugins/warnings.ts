/** What somebody should look at, in a corner of the page, with the way out as a button. */
import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ITranslator, TranslationBundle } from '@jupyterlab/translation';

import { CommandIDs } from '../commandIds';
import { brief, deadline } from '../format';
import { Warning, WorkspacesModel } from '../model';
import { textsOf } from '../texts';
import { IWorkspaces } from '../tokens';

const CLOSE_MS = 5_000;
type Next = Warning['workspace']['next'];

export const warnings: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:warnings',
  description: 'Warns of what happens to Syla workspaces.',
  autoStart: true,
  requires: [IWorkspaces],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    translator: ITranslator | null
  ) => {
    const trans = textsOf(translator);
    /** Of deadlines, by workspace: the notification and what it speaks of. */
    const ahead = new Map<string, { note: string; next: Next }>();

    model.warned.connect((_, warning) => {
      const { workspace, kind } = warning;
      if (kind === 'policy') {
        dismiss(ahead.get(workspace.id)?.note);
        const note = tell(app, warning, trans);
        ahead.set(workspace.id, { note, next: workspace.next });
      } else {
        tell(app, warning, trans);
      }
    });
    // One that was extended, used, or has come: nobody need be told any more.
    model.changed.connect(() => {
      for (const [id, { note, next }] of ahead) {
        const now = model.find(id);
        if (!now || !isSame(now.next, next)) {
          ahead.delete(id);
          dismiss(note);
        }
      }
    });
  }
};

/** The same end at the same time, give or take what the server rounds. */
function isSame(a: Next, b: Next): boolean {
  const apart = Date.parse(a.at ?? '') - Date.parse(b.at ?? '');
  return a.action === b.action && Math.abs(apart) < CLOSE_MS;
}

/** Without an id the library would dismiss all there are, of everybody. */
function dismiss(note: string | undefined): void {
  if (note) {
    Notification.dismiss(note);
  }
}

function tell(
  app: JupyterFrontEnd,
  warning: Warning,
  trans: TranslationBundle
): string {
  const { workspace, kind } = warning;
  const action = (label: string, command: string): Notification.IAction => ({
    label,
    callback: () =>
      void app.commands.execute(command, { workspace: workspace.id })
  });
  if (kind === 'policy') {
    const text = trans.__(
      'Workspace %1: %2, %3',
      workspace.name,
      deadline(workspace, Date.now(), trans),
      workspace.next.reason
    );
    return Notification.warning(brief(text), {
      autoClose: false,
      actions: [action(trans.__('Extend'), CommandIDs.extend)]
    });
  }
  const limits = action(trans.__('Change limits…'), CommandIDs.limits);
  if (kind === 'disk') {
    return Notification.warning(brief(warning.message), {
      autoClose: false,
      actions: [limits]
    });
  }
  const text = trans.__('%1: %2', workspace.name, warning.message);
  return Notification.error(brief(text), {
    autoClose: false,
    actions: kind === 'memory' ? [limits] : []
  });
}

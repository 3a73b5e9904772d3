/** The panel, its commands and where they are offered. */
import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  createToolbarFactory,
  ICommandPalette,
  IToolbarWidgetRegistry,
  setToolbar
} from '@jupyterlab/apputils';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import {
  ITranslator,
  nullTranslator,
  TranslationBundle
} from '@jupyterlab/translation';
import { SidePanel } from '@jupyterlab/ui-components';
import { Panel } from '@lumino/widgets';

import { AskingModel } from '../asking';
import { CommandIDs, ROW_COMMANDS } from '../commandIds';
import { addCommands } from '../commands';
import { WorkspacesView } from '../components/WorkspacesView';
import { workspacesIcon } from '../icons';
import { WorkspacesModel } from '../model';
import { takeInvited } from '../invited';
import { secretIn } from '../people';
import { PresenceModel } from '../presence';
import { addShareCommands } from '../shareCommands';
import { textsOf } from '../texts';
import {
  IAsking,
  IPresence,
  IWorkspaces,
  PANEL_ID,
  PLUGIN_ID
} from '../tokens';
import { addVersionCommands } from '../versionCommands';

const FACTORY = 'SylaWorkspaces';
const EXTEND_MINUTES = 60;

export const workspaces: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Shows the Syla workspaces in a side panel.',
  autoStart: true,
  requires: [IWorkspaces, IPresence, IAsking],
  optional: [
    ITranslator,
    ISettingRegistry,
    IToolbarWidgetRegistry,
    ILayoutRestorer,
    ICommandPalette,
    IFileBrowserFactory
  ],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    presence: PresenceModel,
    asking: AskingModel,
    translator: ITranslator | null,
    settings: ISettingRegistry | null,
    toolbars: IToolbarWidgetRegistry | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    browsers: IFileBrowserFactory | null
  ) => {
    const tr = translator ?? nullTranslator;
    const trans = textsOf(translator);
    let extendMinutes = EXTEND_MINUTES;
    const extendSeconds = (): number => 60 * extendMinutes;
    const context = { app, model, trans, browsers, restorer, extendSeconds };
    addCommands(context);
    addVersionCommands(context);
    addShareCommands(context, asking);
    followInvitations(app);
    // Buttons and menus take from the commands what is possible: tell them when that may have changed.
    model.changed.connect(() => app.commands.notifyCommandChanged());

    const view = { model, presence, asking, commands: app.commands, trans };
    const panel = makePanel(new WorkspacesView(view), trans, tr);
    if (toolbars && settings) {
      setToolbar(
        panel,
        createToolbarFactory(toolbars, settings, FACTORY, PLUGIN_ID, tr)
      );
    }
    keepFocus(app, panel);
    app.shell.add(panel, 'left', { rank: 350, type: 'Syla Workspaces' });
    restorer?.add(panel, PANEL_ID);

    settings?.load(PLUGIN_ID).then(
      loaded => {
        const apply = (): void => {
          extendMinutes = loaded.get('extendMinutes').composite as number;
        };
        loaded.changed.connect(apply);
        apply();
      },
      reason => console.error('syla-jupyter: no settings', reason)
    );
    const category = trans.__('Syla Workspaces');
    const offered = [
      CommandIDs.show,
      CommandIDs.create,
      CommandIDs.refresh,
      CommandIDs.extend,
      CommandIDs.take,
      CommandIDs.clone,
      CommandIDs.exportFile,
      CommandIDs.join,
      CommandIDs.leave,
      ...ROW_COMMANDS
    ];
    offered.forEach(command => palette?.addItem({ command, category }));
  }
};

function makePanel(
  view: WorkspacesView,
  trans: TranslationBundle,
  translator: ITranslator
): SidePanel {
  const content = new Panel();
  const panel = new SidePanel({ content, translator });
  panel.id = PANEL_ID;
  panel.addClass('syla-Panel');
  panel.title.icon = workspacesIcon;
  panel.title.caption = trans.__('Syla workspaces');
  panel.node.setAttribute('role', 'region');
  panel.node.setAttribute('aria-label', trans.__('Syla workspaces'));
  content.addWidget(view);
  return panel;
}

/** A context menu takes the focus; when it closes the row has it again, and whatever its command opens gives it back. */
function keepFocus(app: JupyterFrontEnd, panel: SidePanel): void {
  let row: HTMLElement | null | undefined;
  panel.node.addEventListener(
    'contextmenu',
    event => {
      row = (event.target as Element).closest<HTMLElement>('.syla-Row');
    },
    true
  );
  app.contextMenu.menu.aboutToClose.connect(() => {
    row?.focus({ preventScroll: true });
    row = null;
  });
}

/** Whoever comes by an invitation's link joins; the secret stays neither in the address nor in the tab's storage. */
function followInvitations(app: JupyterFrontEnd): void {
  const join = (secret: string): void => {
    if (secret) {
      void app.restored.then(() =>
        app.commands.execute(CommandIDs.join, { secret })
      );
    }
  };
  const look = (): void => {
    const { hash, pathname, search } = window.location;
    const secret = secretIn(hash);
    if (secret) {
      window.history.replaceState(window.history.state, '', pathname + search);
      join(secret);
    }
  };
  window.addEventListener('hashchange', look);
  look();
  join(takeInvited(window.sessionStorage, Date.now()));
}

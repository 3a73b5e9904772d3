/** Says which workspace and template a kernel belongs to, where somebody chooses one: kernel picker and launcher. */
import {
  ILabShell,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  ISessionContext,
  MainAreaWidget,
  SessionContextDialogs
} from '@jupyterlab/apputils';
import { Launcher } from '@jupyterlab/launcher';
import { ITranslator, TranslationBundle } from '@jupyterlab/translation';

import { IWorkspace } from '../api';
import { Where } from '../components/Where';
import { runsIn, templateOf, wouldRunIn } from '../kernelNames';
import { WorkspacesModel } from '../model';
import { textsOf } from '../texts';
import { IWorkspaces } from '../tokens';

type Options = ReturnType<typeof SessionContextDialogs.kernelOptions>;
type Find = (path: string) => IWorkspace | undefined;

export const kernelNames: JupyterFrontEndPlugin<void> = {
  id: 'syla-jupyter:kernel-names',
  description: 'Says which workspace a kernel belongs to.',
  autoStart: true,
  requires: [IWorkspaces],
  optional: [ITranslator, ILabShell],
  activate: (
    app: JupyterFrontEnd,
    model: WorkspacesModel,
    translator: ITranslator | null,
    shell: ILabShell | null
  ) => {
    const trans = textsOf(translator);
    const { contents } = app.serviceManager;
    const find: Find = path =>
      contents.driveName(path) ? undefined : model.at(contents.localPath(path));
    nameOptions(find, trans);

    const named = new WeakSet<Launcher>();
    shell?.layoutModified.connect(() => {
      for (const widget of shell.widgets('main')) {
        if (widget instanceof MainAreaWidget) {
          const { content } = widget;
          if (content instanceof Launcher && !named.has(content)) {
            named.add(content);
            const words = (): string => launcherWords(find(content.cwd), trans);
            widget.contentHeader.addWidget(new Where(model, words));
          }
        }
      }
    });
  }
};

function launcherWords(
  workspace: IWorkspace | undefined,
  trans: TranslationBundle
): string {
  return workspace
    ? trans.__(
        'Kernels, consoles and terminals that are started here run in workspace %1 (template %2).',
        workspace.name,
        workspace.template
      )
    : '';
}

/** JupyterLab makes its picker from these options, and looks the function up each time. */
function nameOptions(find: Find, trans: TranslationBundle): void {
  const plain = SessionContextDialogs.kernelOptions;
  const named: typeof plain = (context, translator) => {
    const options = plain(context, translator);
    addNames(options, context, find, trans);
    return options;
  };
  Object.assign(SessionContextDialogs, { kernelOptions: named });
}

function addNames(
  options: Options,
  context: ISessionContext,
  find: Find,
  trans: TranslationBundle
): void {
  const here = find(context.path);
  const specs = context.specsManager.specs?.kernelspecs ?? {};
  const places = new Map<string, string>();
  for (const { kernel, path } of context.sessionManager.running()) {
    if (kernel) {
      places.set(kernel.id, path);
    }
  }
  for (const option of options.groups.flatMap(group => group.options)) {
    const choice = JSON.parse(option.value) as {
      id?: string;
      name?: string;
    } | null;
    const place = places.get(choice?.id ?? '');
    const words = choice?.name
      ? wouldRunIn(here, templateOf(specs[choice.name]?.metadata), trans)
      : place !== undefined
        ? runsIn(find(place), trans)
        : '';
    if (words) {
      option.text = trans.__('%1 – %2', option.text, words);
    }
  }
}

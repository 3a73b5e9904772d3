/** Where kernels run, in words; pure. A workspace runs kernels of its own template only. */
import { TranslationBundle } from '@jupyterlab/translation';

import { IWorkspace } from './api';

const BUILT_IN = 'python'; // what the provisioner takes where a kernelspec names none

/** Of a kernelspec's metadata. */
export function templateOf(metadata: unknown): string {
  const stanza = (metadata as { kernel_provisioner?: unknown } | undefined)
    ?.kernel_provisioner;
  const config = (stanza as { config?: { template?: unknown } } | undefined)
    ?.config;
  return typeof config?.template === 'string' ? config.template : BUILT_IN;
}

/** Of one that runs; empty: nothing is known. */
export function runsIn(
  workspace: IWorkspace | undefined,
  trans: TranslationBundle
): string {
  return workspace
    ? trans.__('in %1, template %2', workspace.name, workspace.template)
    : '';
}

/** Of one of that template that would be started there. */
export function wouldRunIn(
  workspace: IWorkspace | undefined,
  template: string,
  trans: TranslationBundle
): string {
  if (!workspace || workspace.template === template) {
    return runsIn(workspace, trans);
  }
  return workspace.is_default
    ? trans.__('in the default workspace of template %1', template)
    : trans.__(
        'not in %1, which has template %2',
        workspace.name,
        workspace.template
      );
}

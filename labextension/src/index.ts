/** All plugins of this package. */
import { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { asking } from './plugins/asking';
import { conflicts } from './plugins/conflicts';
import { files } from './plugins/files';
import { folders } from './plugins/folders';
import { input } from './plugins/input';
import { kernelNames } from './plugins/kernelNames';
import { kernels } from './plugins/kernels';
import { model } from './plugins/model';
import { operations } from './plugins/operations';
import { outputs } from './plugins/outputs';
import { people } from './plugins/people';
import { places } from './plugins/places';
import { here, presence } from './plugins/presence';
import { roles } from './plugins/roles';
import { runs } from './plugins/runs';
import { trust } from './plugins/trust';
import { variables } from './plugins/variables';
import { warnings } from './plugins/warnings';
import { workspaces } from './plugins/workspaces';

export { IPresence, IWorkspaces } from './tokens';

// eslint-disable-next-line @typescript-eslint/no-explicit-any
const plugins: JupyterFrontEndPlugin<any>[] = [
  model,
  presence,
  workspaces,
  places,
  kernels,
  kernelNames,
  files,
  folders,
  roles,
  people,
  here,
  asking,
  conflicts,
  variables,
  input,
  outputs,
  trust,
  runs,
  operations,
  warnings
];
export default plugins;

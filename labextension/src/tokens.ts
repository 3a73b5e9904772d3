/** What other plugins, of this package and of others, may ask for. */
import { Token } from '@lumino/coreutils';

import { AskingModel } from './asking';
import { WorkspacesModel } from './model';
import { PresenceModel } from './presence';
import { Trust } from './trust';

export const PLUGIN_ID = 'syla-jupyter:workspaces';
export const PANEL_ID = 'syla-workspaces-panel';
export const VARIABLES_ID = 'syla-variables-panel';
export const PEOPLE_ID = 'syla-people-panel';

export const IWorkspaces = new Token<WorkspacesModel>(
  'syla-jupyter:IWorkspaces',
  'The Syla workspaces of this server, as they change.'
);

export const IPresence = new Token<PresenceModel>(
  'syla-jupyter:IPresence',
  'Who is where in the Syla workspaces of this server.'
);

export const IAsking = new Token<AskingModel>(
  'syla-jupyter:IAsking',
  'Who asks for a role in the Syla workspaces of this server.'
);

export const ITrust = new Token<Trust>(
  'syla-jupyter:ITrust',
  'Whose outputs may run scripts on this page.'
);

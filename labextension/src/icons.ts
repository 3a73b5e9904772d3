import { LabIcon } from '@jupyterlab/ui-components';

const icon = (name: string, paths: string): LabIcon =>
  new LabIcon({
    name: `syla-jupyter:${name}`,
    svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><g class="jp-icon3 jp-icon-selectable" fill="#616161">${paths}</g></svg>`
  });

export const workspacesIcon = icon(
  'workspaces',
  '<path d="M4 4h10v10H4zM6 6v6h6V6z"/><path d="M16 9h4v11H9v-4h2v2h7v-7h-2z"/>'
);
export const suspendIcon = icon(
  'suspend',
  '<path d="M7 5h3v14H7zM14 5h3v14h-3z"/>'
);
export const archiveIcon = icon(
  'archive',
  '<path d="M3 4h18v5H3zM4 10h16v10H4zm5 2v2h6v-2z"/>'
);
export const recoverIcon = icon(
  'recover',
  '<path d="M4 10h16v10H4zM12 2l5 6h-3v7h-4V8H7z"/>'
);
export const snapshotIcon = icon(
  'snapshot',
  '<path d="M9 4l-2 3H3v13h18V7h-4l-2-3zm3 5a4 4 0 110 8 4 4 0 010-8zm0 2a2 2 0 100 4 2 2 0 000-4z"/>'
);
export const timelineIcon = icon(
  'timeline',
  '<path d="M13 3a9 9 0 00-9 9H1l4 4 4-4H6a7 7 0 117 7 7 7 0 01-5-2l-1.4 1.4A9 9 0 1013 3zm-1 5v5l4.3 2.5.7-1.2-3.5-2.1V8z"/>'
);
export const variablesIcon = icon(
  'variables',
  '<path d="M4 5h16v3H4zM4 10h5v3H4zm7 0h9v3h-9zM4 15h5v3H4zm7 0h9v3h-9z"/>'
);
export const leaveIcon = icon(
  'leave',
  '<path d="M4 4h9v2H6v12h7v2H4zM15 7l5 5-5 5v-4H9v-2h6z"/>'
);

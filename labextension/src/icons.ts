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

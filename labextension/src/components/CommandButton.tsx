import { LabIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { ReadonlyJSONObject } from '@lumino/coreutils';
import * as React from 'react';

/** A command as a small plain button with its icon. */
export function CommandButton(props: {
  commands: CommandRegistry;
  id: string;
  args: ReadonlyJSONObject;
}): JSX.Element {
  const { commands, id, args } = props;
  const caption = commands.caption(id, args);
  const icon = commands.icon(id, args);
  const drawing = icon instanceof LabIcon ? icon.svgstr : '';
  return (
    <button
      type="button"
      className="syla-Action"
      title={caption}
      aria-label={caption}
      onClick={() => void commands.execute(id, args)}
    >
      <span aria-hidden dangerouslySetInnerHTML={{ __html: drawing }} />
    </button>
  );
}

import { LabIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { ReadonlyJSONObject } from '@lumino/coreutils';
import * as React from 'react';

/** A command as a small plain button with its icon. */
export function CommandButton(props: {
  commands: CommandRegistry;
  id: string;
  args: ReadonlyJSONObject;
  tabIndex: number;
  /** What waits behind it: how much, and in words. */
  count?: number;
  counted?: string;
}): JSX.Element {
  const { commands, id, args, tabIndex, count, counted } = props;
  const caption = [commands.caption(id, args), counted]
    .filter(Boolean)
    .join(' – ');
  const icon = commands.icon(id, args);
  const drawing = icon instanceof LabIcon ? icon.svgstr : '';
  return (
    <button
      type="button"
      className="syla-Action"
      title={caption}
      aria-label={caption}
      tabIndex={tabIndex}
      onClick={() => void commands.execute(id, args)}
    >
      <span aria-hidden dangerouslySetInnerHTML={{ __html: drawing }} />
      {!!count && (
        <span className="syla-Count" aria-hidden>
          {count}
        </span>
      )}
    </button>
  );
}

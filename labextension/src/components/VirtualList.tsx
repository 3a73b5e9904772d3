/**
 * A long list of equally high rows, of which only those in sight (and some beside) are drawn.
 *
 * The height of a row is that of the first one drawn, so it follows the theme's font size.
 */
import * as React from 'react';

const BESIDE = 4;
const GUESS_PX = 130;

/** Which rows are drawn: [first, after the last). */
export function inSight(
  count: number,
  rowPx: number,
  topPx: number,
  heightPx: number
): [number, number] {
  const first = Math.max(0, Math.floor(topPx / rowPx) - BESIDE);
  const after = Math.ceil((topPx + heightPx) / rowPx) + BESIDE;
  return [Math.min(first, count), Math.min(Math.max(after, 0), count)];
}

export function VirtualList<T>(props: {
  items: ReadonlyArray<T>;
  label: string;
  draw: (item: T, index: number) => JSX.Element;
}): JSX.Element {
  const { items } = props;
  const box = React.useRef<HTMLDivElement>(null);
  const list = React.useRef<HTMLUListElement>(null);
  const [row, setRow] = React.useState(GUESS_PX);
  const [view, setView] = React.useState({ top: 0, height: 800 });

  const look = React.useCallback(() => {
    const node = box.current;
    if (node) {
      setView({ top: node.scrollTop, height: node.clientHeight });
    }
  }, []);
  React.useLayoutEffect(() => {
    const observer = new ResizeObserver(look);
    if (box.current) {
      observer.observe(box.current);
    }
    return () => observer.disconnect();
  }, [look]);
  React.useLayoutEffect(() => {
    const height =
      list.current?.firstElementChild?.getBoundingClientRect().height;
    if (height && Math.abs(height - row) > 0.5) {
      setRow(height);
    }
  });

  const [first, after] = inSight(items.length, row, view.top, view.height);
  return (
    <div className="syla-Scroll" ref={box} onScroll={look}>
      <ul
        className="syla-List"
        ref={list}
        aria-label={props.label}
        onKeyDown={moveFocus}
        style={{
          paddingTop: first * row,
          paddingBottom: (items.length - after) * row
        }}
      >
        {items
          .slice(first, after)
          .map((item, place) => props.draw(item, first + place))}
      </ul>
    </div>
  );
}

/** Up and down go from row to row; everything in a row is reached by Tab. */
function moveFocus(event: React.KeyboardEvent<HTMLUListElement>): void {
  const row = event.target as HTMLElement;
  if (row.parentElement !== event.currentTarget) {
    return;
  }
  const next =
    event.key === 'ArrowDown'
      ? row.nextElementSibling
      : event.key === 'ArrowUp'
        ? row.previousElementSibling
        : null;
  if (next instanceof HTMLElement) {
    event.preventDefault();
    next.focus();
  }
}

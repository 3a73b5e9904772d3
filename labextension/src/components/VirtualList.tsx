/**
 * A long list of equally high rows, of which only those in sight (and some beside) are drawn.
 *
 * The height of a row is that of the first one drawn, so it follows the theme's font size. It is read when the list is
 * first laid out and when its size changes, not while it scrolls: reading it lays out everything that has just moved.
 */
import * as React from 'react';

const BESIDE = 2;
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

interface ISight {
  top: number;
  height: number;
}

function isSameSight(
  count: number,
  rowPx: number,
  a: ISight,
  b: ISight
): boolean {
  const [first, after] = inSight(count, rowPx, a.top, a.height);
  const [otherFirst, otherAfter] = inSight(count, rowPx, b.top, b.height);
  return first === otherFirst && after === otherAfter;
}

export function VirtualList<T>(props: {
  items: ReadonlyArray<T>;
  label: string;
  draw: (item: T, index: number) => JSX.Element;
}): JSX.Element {
  const { items } = props;
  const count = items.length;
  const box = React.useRef<HTMLDivElement>(null);
  const list = React.useRef<HTMLUListElement>(null);
  const [row, setRow] = React.useState(GUESS_PX);
  const [view, setView] = React.useState({ top: 0, height: 800 });

  /** Draw anew, if other rows have come into sight. */
  const look = React.useCallback(
    (heightPx?: number) => {
      const top = box.current?.scrollTop ?? 0;
      setView(last => {
        const seen = { top, height: heightPx ?? last.height };
        return isSameSight(count, row, last, seen) ? last : seen;
      });
    },
    [count, row]
  );
  const measure = React.useCallback(() => {
    const height =
      list.current?.firstElementChild?.getBoundingClientRect().height;
    if (height) {
      setRow(last => (Math.abs(height - last) > 0.5 ? height : last));
    }
  }, []);
  React.useLayoutEffect(measure, [measure]);
  React.useLayoutEffect(() => {
    const observer = new ResizeObserver(() => {
      measure();
      look(box.current?.clientHeight);
    });
    [box.current, list.current].forEach(node => node && observer.observe(node));
    return () => observer.disconnect();
  }, [look, measure]);

  const [first, after] = inSight(count, row, view.top, view.height);
  return (
    <div className="syla-Scroll" ref={box} onScroll={() => look()}>
      <ul
        className="syla-List"
        ref={list}
        aria-label={props.label}
        onKeyDown={moveFocus}
        style={{
          paddingTop: first * row,
          paddingBottom: (count - after) * row
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

/**
 * A long list of equally high rows, of which only those in sight (and some beside) are drawn.
 *
 * The height of a row is that of the first one drawn, so it follows the theme's font size. It is read when the list is
 * first laid out and when its size changes, not while it scrolls: reading it lays out everything that has just moved.
 *
 * For keys it is one stop: Tab goes to one row and into what is in it, Up, Down, Home and End go from row to row. Whoever
 * is in a row when that, or the button just pressed, goes away, is in the row that has its place then.
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
  /** `stop`: whether Tab goes into it. */
  draw: (item: T, index: number, stop: boolean) => JSX.Element;
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
  const [stop, setStop] = React.useState(0);
  const wanted = React.useRef<number | null>(null);
  const place = placeOf(list.current, document.activeElement);
  const before = place < 0 ? null : first + place;
  React.useLayoutEffect(() => {
    const lost = before !== null && document.activeElement === document.body;
    const index = wanted.current ?? (lost ? Math.min(before, count - 1) : null);
    if (index !== null && index >= first && index < after) {
      wanted.current = null;
      rowAt(list.current, index - first)?.focus({ preventScroll: lost });
    }
  });
  const onKeyDown = (event: React.KeyboardEvent<HTMLUListElement>): void => {
    const at = placeOf(list.current, event.target as Element);
    const onRow = rowAt(list.current, at) === event.target;
    const next = onRow ? nextOf(event.key, first + at, count) : null;
    if (next === null || !box.current) {
      return;
    }
    event.preventDefault();
    wanted.current = next;
    bringIntoSight(box.current, next * row, row);
    setStop(next); // draws, and then it is there
  };
  const stopAt = stop >= first && stop < after ? stop : first;
  return (
    <div className="syla-Scroll" ref={box} onScroll={() => look()}>
      <ul
        className="syla-List"
        ref={list}
        aria-label={props.label}
        onKeyDown={onKeyDown}
        onFocus={event => {
          const at = placeOf(event.currentTarget, event.target);
          setStop(first + at);
        }}
        style={{
          paddingTop: first * row,
          paddingBottom: (count - after) * row
        }}
      >
        {items
          .slice(first, after)
          .map((item, place) =>
            props.draw(item, first + place, first + place === stopAt)
          )}
      </ul>
    </div>
  );
}

/** Which of the rows drawn has the node in it; -1: none. */
function placeOf(list: Element | null, node: Element | null): number {
  return list && node
    ? [...list.children].findIndex(row => row.contains(node))
    : -1;
}

function rowAt(list: Element | null, place: number): HTMLElement | undefined {
  return list?.children[place] as HTMLElement | undefined;
}

/** Which row a key goes to from that one; null: none. */
export function nextOf(key: string, at: number, count: number): number | null {
  const next = new Map([
    ['ArrowDown', at + 1],
    ['ArrowUp', at - 1],
    ['Home', 0],
    ['End', count - 1]
  ]).get(key);
  return next === undefined || next < 0 || next >= count ? null : next;
}

function bringIntoSight(box: Element, topPx: number, heightPx: number): void {
  const bottomPx = topPx + heightPx - box.clientHeight;
  box.scrollTop = Math.min(topPx, Math.max(box.scrollTop, bottomPx));
}

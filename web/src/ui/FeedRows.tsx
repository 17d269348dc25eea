/**
 * The rows of the feed: only those in sight are in the document, however many there are.
 *
 * Rows stand still while the pointer is over them, while the list is scrolled, or while one is
 * chosen by keyboard; a button says how many came meanwhile and goes on.
 */

import { Component } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

import { formatTime, type Zone } from '../engine/axis';
import type { FeedRow } from '../engine/feed';
import { formatAge, formatFullUsd, formatPrice, formatUsd } from '../format';
import type { FeedStore } from '../state/feed';
import { feedPrefs } from '../state/feedprefs';
import { nowMs } from '../state/page';
import { usePanel } from './context';
import { FeedEnd } from './FeedEnd';

/** Heights of a row [CSS px]: under a mouse, under a thumb. The style sheet has the same. */
const ROW = { mouse: 24, thumb: 36 } as const;
/** Rows drawn beyond the edges, so that scrolling shows no holes. */
const SPARE = 8;
export const PHONE = '(max-width: 760px)';
const DAY_MS = 86_400_000;

const SIDE = { long: ['▼', 'Long'], short: ['▲', 'Short'] } as const;

/** What a price is, where it is not that of a trade. */
const PRICE_KIND: Record<string, string> = {
  fill: 'average fill',
  order: 'price of the order, not of a fill',
  bankruptcy: 'bankruptcy price, not of a fill',
  mark: 'mark price, not of a fill',
};

const keys = new WeakMap<FeedRow, number>();
let lastKey = 0;

/** A number which stays with a row: two rows may be alike. */
function keyOf(row: FeedRow): number {
  let key = keys.get(row);
  if (key === undefined) keys.set(row, (key = ++lastKey));
  return key;
}

interface RowProps {
  readonly row: FeedRow;
  readonly id: string;
  readonly place: number;
  readonly of: number;
  readonly large: boolean;
  readonly isNew: boolean;
  readonly chosen: boolean;
  readonly coin: boolean;
  readonly decimals: number;
  readonly zone: Zone;
  /** Time of day, or the age. */
  readonly when: string;
  readonly onShow: (row: FeedRow) => void;
}

/** Drawn again only when something of it changed: most rows only move. */
class Row extends Component<RowProps> {
  override shouldComponentUpdate(next: RowProps): boolean {
    const now = this.props as unknown as Record<string, unknown>;
    return Object.entries(next).some(([name, value]) => now[name] !== value);
  }

  override render() {
    const { row, id, place, of, large, isNew, chosen, coin, decimals, zone, when, onShow } = this.props;
    const [arrow, word] = SIDE[row.side];
    const price = formatPrice(row.price, decimals);
    const kind = PRICE_KIND[row.priceKind] ?? row.priceKind;
    const title =
      `${word} of ${formatFullUsd(row.usd)} liquidated on ${row.exchange} ${row.contract} at ${price} (${kind}), ` +
      `${formatTime(row.timeMs, zone, 'day')} ${formatTime(row.timeMs, zone, 'second')}` +
      `${zone === 'utc' ? ' UTC' : ''}. Click: show it on the chart.`;
    return (
      <div
        id={id}
        class={`feed-row ${row.side}${large ? ' large' : ''}${isNew ? ' new' : ''}`}
        role="option"
        aria-selected={chosen}
        aria-posinset={place}
        aria-setsize={of}
        title={title}
        onClick={() => onShow(row)}
      >
        <span class="feed-side">
          <i aria-hidden="true">{arrow}</i> {word}
        </span>
        <span class="feed-usd">{formatUsd(row.usd)}</span>
        <span class="feed-price">
          {price}
          {row.priceKind !== 'fill' && <i aria-hidden="true">*</i>}
        </span>
        <span class="feed-where">
          {row.exchange}
          {coin && <small> {row.contract}</small>}
        </span>
        <time class="feed-when" dateTime={new Date(row.timeMs).toISOString()}>
          {when}
        </time>
        {large && <span class="sr">, large</span>}
      </div>
    );
  }
}

/** Height of the list and how far it is scrolled. */
function useWindow(box: { current: HTMLDivElement | null }, rowHeight: number) {
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(0);
  useLayoutEffect(() => {
    const element = box.current!;
    const measure = new ResizeObserver(() => setHeight(element.clientHeight));
    measure.observe(element);
    setHeight(element.clientHeight);
    return () => measure.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(top / rowHeight) - SPARE);
  const count = Math.ceil(height / rowHeight) + 2 * SPARE;
  return { top, setTop, first, end: first + count };
}

function useThumb(): boolean {
  const [thumb, setThumb] = useState(() => window.matchMedia(PHONE).matches);
  useEffect(() => {
    const media = window.matchMedia(PHONE);
    const change = (): void => setThumb(media.matches);
    media.addEventListener('change', change);
    return () => media.removeEventListener('change', change);
  }, []);
  return thumb;
}

/** Where a key moves the chosen row; null when it is none of ours. */
function moved(key: string, at: number, page: number, count: number): number | null {
  const to: Record<string, number> = {
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    PageDown: at + page,
    PageUp: at - page,
    Home: 0,
    End: count - 1,
  };
  const wanted = to[key];
  return wanted === undefined ? null : Math.max(0, Math.min(count - 1, wanted));
}

function NewPill(props: { store: FeedStore; onGo: () => void }) {
  const { store } = props;
  void store.revision.value;
  if (!store.feed.paused) return null;
  const { count, more } = store.feed.news(store.filter.value);
  if (count === 0) return null;
  return (
    <button type="button" class="feed-pill" data-testid="feed-pill" onClick={props.onGo}>
      <span aria-hidden="true">↑</span> {count}
      {more ? '+' : ''} new
      <span class="sr">: go on</span>
    </button>
  );
}

/** Which row is chosen, and the keys which choose: rows are known by themselves, not by place. */
function useChosen(rows: readonly FeedRow[], box: { current: HTMLDivElement | null }, rowHeight: number) {
  const [chosen, setChosen] = useState<number | null>(null);
  const at = chosen === null ? -1 : rows.findIndex((row) => keyOf(row) === chosen);
  const choose = (index: number): void => {
    setChosen(keyOf(rows[index]));
    const { scrollTop, clientHeight } = box.current!;
    const y = index * rowHeight;
    if (y < scrollTop) box.current!.scrollTop = y;
    else if (y + rowHeight > scrollTop + clientHeight) box.current!.scrollTop = y + rowHeight - clientHeight;
  };
  /** Whether the key was one of ours. */
  const move = (key: string): boolean => {
    const page = Math.max(1, Math.floor((box.current?.clientHeight ?? 0) / rowHeight) - 1);
    const to = rows.length > 0 ? moved(key, at, page, rows.length) : null;
    if (to !== null) choose(to);
    return to !== null;
  };
  return { at, move, clear: () => setChosen(null) };
}

interface ListProps {
  readonly store: FeedStore;
  readonly rows: readonly FeedRow[];
  /** The rows in the document: from `first` to before `end`. */
  readonly first: number;
  readonly end: number;
  readonly rowHeight: number;
  /** Index of the chosen row, or -1. */
  readonly at: number;
  readonly onShow: (row: FeedRow) => void;
  readonly onKeyDown: (event: KeyboardEvent) => void;
  readonly onBlur: () => void;
}

function List({ store, rows, first, end, rowHeight, at, onShow, onKeyDown, onBlur }: ListProps) {
  const p = usePanel();
  void store.revision.value;
  const { zone } = p.query.value;
  const decimals = store.decimals;
  const large = store.largeUsd();
  const played = p.mode.value === 'replay' ? (p.status.value?.data_ms ?? 0) : null;
  const when = whenOf(feedPrefs.value.age, store.asOfMs.value ?? played, zone);
  return (
    <div
      class="feed-rows"
      role="listbox"
      aria-label="Liquidations, newest first"
      aria-activedescendant={at >= 0 ? `feed-${keyOf(rows[at])}` : undefined}
      tabIndex={0}
      style={{ height: `${rows.length * rowHeight}px`, paddingTop: `${first * rowHeight}px` }}
      onKeyDown={onKeyDown}
      onBlur={onBlur}
    >
      {rows.slice(first, end).map((row, i) => (
        <Row
          key={keyOf(row)}
          id={`feed-${keyOf(row)}`}
          row={row}
          place={first + i + 1}
          of={rows.length}
          large={row.usd >= large}
          isNew={store.isNew(row)}
          chosen={first + i === at}
          coin={p.isCoin.value}
          decimals={decimals}
          zone={zone}
          when={when(row.timeMs)}
          onShow={onShow}
        />
      ))}
    </div>
  );
}

export function FeedRows(props: { store: FeedStore; onShow: (row: FeedRow) => void }) {
  const { store, onShow } = props;
  void store.revision.value;
  const rows = store.rows();
  const box = useRef<HTMLDivElement>(null);
  const rowHeight = useThumb() ? ROW.thumb : ROW.mouse;
  const { top, setTop, first, end } = useWindow(box, rowHeight);
  const [over, setOver] = useState(false);
  const { at, move, clear } = useChosen(rows, box, rowHeight);
  const still = rows.length > 0 && (over || top > rowHeight / 2 || at >= 0);
  useEffect(() => (still ? store.pause() : store.resume()), [still, store]);
  const go = (): void => {
    setOver(false);
    clear();
    box.current!.scrollTop = 0;
    setTop(0);
    store.resume();
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' && at >= 0) onShow(rows[at]);
    else if (event.key === 'Escape' && at >= 0) go();
    else if (!move(event.key)) return;
    event.preventDefault();
  };
  return (
    <div class="feed-stage">
      <NewPill store={store} onGo={go} />
      <div
        ref={box}
        class="feed-scroll"
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        onPointerMove={(event) => event.pointerType === 'mouse' && !store.feed.paused && setOver(true)}
        onPointerLeave={() => setOver(false)}
      >
        <List {...{ store, rows, first, end, rowHeight, at, onShow, onKeyDown: onKey, onBlur: clear }} />
        <FeedEnd store={store} rows={rows.length} />
      </div>
    </div>
  );
}

/** How a row's time is told. Ages follow the clock; of a replay and of the past their own (`clockMs`). */
function whenOf(age: boolean, clockMs: number | null, zone: Zone): (timeMs: number) => string {
  if (age) {
    const now = clockMs ?? nowMs.value;
    return (timeMs) => formatAge(now - timeMs);
  }
  const now = clockMs ?? Date.now();
  return (timeMs) =>
    now - timeMs < DAY_MS
      ? formatTime(timeMs, zone, 'second')
      : `${formatTime(timeMs, zone, 'day')} ${formatTime(timeMs, zone, 'minute')}`;
}

/**
 * The feed of realised liquidations: what was closed by force, as it is told by the exchanges.
 *
 * The parts around the rows: sums of the last hours by side, filters, how complete it all is.
 */

import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';

import { formatTime, zoneLabel } from '../engine/axis';
import { passes, type FeedRow } from '../engine/feed';
import { WINDOWS, type Window, type WindowTotal } from '../engine/feedtotals';
import { formatFullUsd, formatPrice, formatUsd, splitSymbol } from '../format';
import { FeedStore } from '../state/feed';
import { LARGE, MIN_USD, WIDTH, clampWidth, feedPrefs, setFeedPrefs } from '../state/feedprefs';
import { nowMs } from '../state/page';
import type { Panel } from '../state/panel';
import { usePanel } from './context';
import { Segments } from './controls';
import { FeedRows, PHONE } from './FeedRows';
import { Chevron, Close } from './icons';
import { ModeBadge } from './States';
import '../feed.css';

const SIDES = ['all', 'long', 'short'] as const;
const SIDE_NAME = { all: 'All', long: '▼ Longs', short: '▲ Shorts' } as const;

/** How completely an exchange tells its liquidations, in words. */
const COMPLETENESS: Record<string, string> = {
  full: 'tells every one',
  sampled_1s: 'tells one a second at most',
  sampled_1s_largest: 'tells the largest of each second only',
  lower_bound: 'does not tell all',
  unknown: 'does not say whether it tells all',
};

/** Until a hidden chart has its size again [ms]. */
const CHART_BACK_MS = 100;

function useStore(p: Panel): FeedStore {
  const store = useMemo(() => new FeedStore(p, p.asOfMs), [p]);
  useEffect(() => store.start(), [store]);
  return store;
}

/** Pin a liquidation on the chart, or have the map speak of its price; says why when it cannot. */
function showOnChart(p: Panel, row: FeedRow): string | null {
  if (p.query.peek().view === 'map') {
    p.set({ target: row.price }, 'push');
    return null;
  }
  const m = p.matrix.peek();
  const chart = p.chart.peek();
  if (!m || !chart || m.width === 0) return 'There is no picture to show it on.';
  const column = Math.min(m.columnOf(row.timeMs), m.width - 1);
  if (column < 0) return 'Older than the picture: choose a longer range.';
  chart.reveal(column, row.price);
  p.pin.value = { timeMs: m.timeMs(column), price: row.price };
  return null;
}

function Grip() {
  const drag = useRef<{ x: number; width: number } | null>(null);
  const { width } = feedPrefs.value;
  const widthAt = (x: number): number => clampWidth(drag.current!.width + drag.current!.x - x);
  const pane = (target: HTMLElement): HTMLElement => target.closest<HTMLElement>('.feed')!;
  const onKey = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: 16, ArrowRight: -16 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    setFeedPrefs({ width: clampWidth(width + by) });
  };
  return (
    <div
      class="feed-grip"
      role="separator"
      tabIndex={0}
      aria-orientation="vertical"
      aria-label="Width of the feed"
      aria-valuenow={width}
      aria-valuemin={WIDTH.least}
      aria-valuemax={WIDTH.most}
      onKeyDown={onKey}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        drag.current = { x: event.clientX, width };
      }}
      onPointerMove={(event) => {
        if (!drag.current) return;
        pane(event.currentTarget).style.setProperty('--feed-width', `${widthAt(event.clientX)}px`);
      }}
      onPointerUp={(event) => {
        if (drag.current) setFeedPrefs({ width: widthAt(event.clientX) });
        drag.current = null;
      }}
      onDblClick={() => setFeedPrefs({ width: WIDTH.usual })}
    />
  );
}

function clock(timeMs: number, p: Panel): string {
  const { zone } = p.query.value;
  return `${formatTime(timeMs, zone, 'day')} ${formatTime(timeMs, zone, 'minute')}`;
}

function Head({ store }: { store: FeedStore }) {
  const p = usePanel();
  void store.revision.value;
  const { tall } = feedPrefs.value;
  const { contract } = splitSymbol(p.symbol.value);
  return (
    <header class="feed-head">
      <h2>Liquidations</h2>
      {store.asOfMs.value === null && <span class="muted">{contract}</span>}
      <ModeBadge />
      <span class="spacer" />
      {p.link.value.phase === 'down' && <span class="feed-down">disconnected</span>}
      {store.asOfMs.value !== null && <span class="feed-paused">as of {clock(store.asOfMs.value, p)}</span>}
      {store.feed.paused && store.asOfMs.value === null && <span class="feed-paused">paused</span>}
      <button
        type="button"
        class="icon feed-tall"
        aria-pressed={tall}
        aria-label="Full height"
        onClick={() => setFeedPrefs({ tall: !tall })}
      >
        <Chevron />
      </button>
      <button
        type="button"
        class="icon"
        aria-label="Close the feed"
        title="Close the feed (F)"
        onClick={() => p.set({ feed: false }, 'push')}
      >
        <Close />
      </button>
    </header>
  );
}

/** Whether sums are less than what happened: a feed leaves some out, or an exchange tells none. */
function boundOf(store: FeedStore): boolean {
  return Object.values(store.completeness.value ?? {}).some((kind) => kind !== 'full');
}

/** The sums of one window; null before they came, and where no exchange tells any. */
function sumsOf(store: FeedStore, name: Window): WindowTotal | null {
  const kinds = Object.values(store.completeness.value ?? {});
  if (kinds.length > 0 && kinds.every((kind) => kind === null)) return null;
  return store.totals.read()?.[name] ?? null;
}

function titleOf(name: Window, of: WindowTotal | null, bound: boolean): string {
  if (!of) return `Last ${name}: not known`;
  const sums = `longs ${formatFullUsd(of.longUsd)}, shorts ${formatFullUsd(of.shortUsd)}`;
  const short = of.complete ? '' : '; not recorded over all of this time';
  return `Last ${name}: ${of.count} liquidations, ${sums}${short}${bound ? '; a lower bound' : ''}`;
}

function Total({ store, name }: { store: FeedStore; name: Window }) {
  void store.revision.value;
  const of = sumsOf(store, name);
  const sum = of ? of.longUsd + of.shortUsd : 0;
  const bound = boundOf(store);
  const words = (usd: number | undefined): string =>
    usd === undefined ? '–' : `${bound || !of?.complete ? '≥ ' : ''}${formatUsd(usd)}`;
  return (
    <div class="feed-total" title={titleOf(name, of, bound)} data-window={name}>
      <dt>{name}</dt>
      <dd class="long">
        <i aria-hidden="true">▼</i> <span class="sr">longs</span> {words(of?.longUsd)}
      </dd>
      <dd class={sum > 0 ? 'feed-share' : 'feed-share blank'} aria-hidden="true">
        <i style={{ width: `${sum > 0 && of ? (100 * of.longUsd) / sum : 50}%` }} />
      </dd>
      <dd class="short">
        <i aria-hidden="true">▲</i> <span class="sr">shorts</span> {words(of?.shortUsd)}
      </dd>
    </div>
  );
}

function Totals({ store }: { store: FeedStore }) {
  return (
    <dl class="feed-totals" aria-label="Liquidated by side, all sizes">
      {WINDOWS.map((name) => (
        <Total key={name} store={store} name={name} />
      ))}
    </dl>
  );
}

/** Of a coin: which exchanges are listed. The last one stays. */
function ExchangeFilter({ store }: { store: FeedStore }) {
  const p = usePanel();
  const { hidden } = feedPrefs.value;
  const told = Object.entries(store.completeness.value ?? {});
  const names = told.filter(([, kind]) => kind !== null).map(([name]) => name);
  if (!p.isCoin.value || names.length < 2) return null;
  const shown = names.filter((name) => !hidden.includes(name));
  const toggle = (name: string): void => {
    const next = hidden.includes(name) ? hidden.filter((one) => one !== name) : [...hidden, name];
    if (names.some((one) => !next.includes(one))) setFeedPrefs({ hidden: next });
  };
  return (
    <details class="feed-exchanges">
      <summary class="button">
        Exchanges {shown.length}/{names.length} <Chevron />
      </summary>
      <div class="feed-menu" role="group" aria-label="Exchanges listed">
        {names.map((name) => (
          <label key={name} class="check">
            <input
              type="checkbox"
              checked={!hidden.includes(name)}
              disabled={shown.length === 1 && shown[0] === name}
              onChange={() => toggle(name)}
            />
            {name}
          </label>
        ))}
      </div>
    </details>
  );
}

/** "≥ $10K" of a round figure. */
function bounded(usd: number): string {
  return `≥ ${formatUsd(usd).replace(/\.0+(?=\D)/, '')}`;
}

function LargeFilter() {
  return (
    <select
      class="feed-large"
      aria-label="Mark large ones"
      title="From which size a row stands out"
      value={String(feedPrefs.value.large)}
      onChange={(event) => {
        const next = LARGE.find((one) => String(one) === event.currentTarget.value);
        if (next !== undefined) setFeedPrefs({ large: next });
      }}
    >
      {LARGE.map((one) => (
        <option key={one} value={String(one)}>
          Mark: {one === 'auto' ? 'auto' : one === 'off' ? 'none' : bounded(one)}
        </option>
      ))}
    </select>
  );
}

function Filters({ store }: { store: FeedStore }) {
  const { side, minUsd } = feedPrefs.value;
  return (
    <div class="feed-filters">
      <Segments
        label="Side"
        options={SIDES}
        value={side}
        onChoose={(next) => setFeedPrefs({ side: next })}
        text={(one) => SIDE_NAME[one]}
      />
      <select
        aria-label="Smallest size"
        title="Smallest size listed"
        value={String(minUsd)}
        onChange={(event) => {
          const next = MIN_USD.find((usd) => String(usd) === event.currentTarget.value);
          if (next !== undefined) setFeedPrefs({ minUsd: next });
        }}
      >
        {MIN_USD.map((usd) => (
          <option key={usd} value={String(usd)}>
            {usd === 0 ? 'All sizes' : bounded(usd)}
          </option>
        ))}
      </select>
      <ExchangeFilter store={store} />
      <LargeFilter />
    </div>
  );
}

function Columns() {
  const p = usePanel();
  const { age } = feedPrefs.value;
  return (
    <div class="feed-columns">
      <span>Side</span>
      <span>USD</span>
      <span>Price</span>
      <span>Exchange</span>
      <button
        type="button"
        title={age ? 'Show the time of day' : 'Show the age'}
        onClick={() => setFeedPrefs({ age: !age })}
      >
        {age ? 'Age' : zoneLabel(p.query.value.zone, nowMs.peek())}
      </button>
    </div>
  );
}

const DAY_MS = 86_400_000;

/** The columns are as wide as what they hold: prices of this contract, times of this day or more. */
function Table({ store, children }: { store: FeedStore; children: ComponentChildren }) {
  void store.revision.value;
  const rows = store.rows();
  const oldest = rows[rows.length - 1]?.timeMs ?? Infinity;
  const dated = !feedPrefs.value.age && (rows[0]?.timeMs ?? 0) - oldest > DAY_MS;
  const digits = formatPrice(rows[0]?.price ?? 1000, store.decimals).length;
  return (
    <div class={dated ? 'feed-table dated' : 'feed-table'} style={{ '--feed-price': `${digits + 1}ch` }}>
      {children}
    </div>
  );
}

/** How complete what is listed is; nothing when all of it is told. */
function Honesty({ store }: { store: FeedStore }) {
  const kinds = Object.entries(store.completeness.value ?? {});
  const short = kinds.filter(([, kind]) => kind !== 'full');
  void store.revision.value;
  const order = store.rows().some((row) => row.priceKind !== 'fill');
  if (short.length === 0 && !order) return null;
  const words = short.map(([name, kind]) =>
    kind === null ? `${name} publishes none` : `${name} ${COMPLETENESS[kind] ?? COMPLETENESS['unknown']}`,
  );
  const bound = boundOf(store);
  return (
    <p class="feed-honesty" data-testid="feed-honesty" title={words.join('; ')}>
      {bound && <b>Lower bound. </b>}
      {words.length > 0 && `${words.join('; ')}. `}
      {order && '*\u00a0price of the order or of bankruptcy, not of a fill.'}
    </p>
  );
}

const SPOKEN_EVERY_MS = 5000;

/** Large rows as they come, for screen readers: the latest one, each 5 s at most. */
function Spoken({ store }: { store: FeedStore }) {
  const p = usePanel();
  const [text, setText] = useState('');
  const last = useRef({ atMs: 0, row: null as FeedRow | null });
  useEffect(
    () =>
      store.revision.subscribe(() => {
        const now = performance.now();
        if (now - last.current.atMs < SPOKEN_EVERY_MS) return;
        const row = store.rows().find((one) => store.isNew(one) && passes(one, store.filter.peek()));
        if (!row || row === last.current.row) return;
        last.current = { atMs: now, row };
        const price = formatPrice(row.price, store.decimals);
        setText(`Large ${row.side} liquidated: ${formatUsd(row.usd)} at ${price} on ${row.exchange}`);
      }),
    [store, p],
  );
  return (
    <div class="sr" aria-live="polite">
      {text}
    </div>
  );
}

/** Said for a few seconds after a click which could not be followed. */
function useNotice(): [string | null, (text: string | null) => void] {
  const [notice, setNotice] = useState<string | null>(null);
  useEffect(() => {
    if (notice === null) return;
    const timer = window.setTimeout(() => setNotice(null), 4000);
    return () => window.clearTimeout(timer);
  }, [notice]);
  return [notice, setNotice];
}

export function Feed() {
  const p = usePanel();
  const store = useStore(p);
  const [notice, setNotice] = useNotice();
  const show = (row: FeedRow): void => {
    // On a phone at full height it covers the chart: the chart comes back first.
    const covered = feedPrefs.peek().tall && window.matchMedia(PHONE).matches;
    if (covered) setFeedPrefs({ tall: false });
    window.setTimeout(() => setNotice(showOnChart(p, row)), covered ? CHART_BACK_MS : 0);
  };
  return (
    <>
      <Grip />
      <div class="feed-body">
        <Head store={store} />
        <Totals store={store} />
        <Filters store={store} />
        <Table store={store}>
          <Columns />
          <FeedRows store={store} onShow={show} />
        </Table>
        <Honesty store={store} />
        {notice && (
          <p class="feed-notice" role="status">
            {notice}
          </p>
        )}
        <Spoken store={store} />
      </div>
    </>
  );
}

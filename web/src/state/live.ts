/**
 * What the page knows of the server, as signals; ties the link to the matrix.
 *
 * A snapshot replaces the matrix (`matrix` changes identity); a column changes it in place
 * and is told to `onChange` listeners (the chart) and by `revision` (the panels). The last
 * picture stays through a disconnect: only its presentation changes.
 */

import { batch, computed, signal } from '@preact/signals';

import { HeatMatrix, percentileCode } from '../engine/matrix';
import { inView } from '../engine/room';
import { CLIP_SHARE } from '../engine/lut';
import { Tape } from '../engine/tape';
import { ApiError, fetchHealth, fetchInstruments, socketUrl } from '../net/api';
import type { Health, Instrument } from '../net/api';
import {
  Link,
  type ColumnFrame,
  type LinkState,
  type LiquidationRow,
  type Problem,
  type Status,
  type Subscription,
} from '../net/ws';
import type { Snapshot } from '../net/codec';

/** What is asked for, apart from how it looks. */
export interface Picture extends Subscription {
  readonly key: string;
}

export interface Change {
  readonly column: number;
  readonly scrolled: boolean;
}

export const link = signal<LinkState>({ phase: 'connecting', attempt: 0 });
export const status = signal<Status | null>(null);
export const problem = signal<Problem | null>(null);
export const instruments = signal<readonly Instrument[] | null>(null);
export const health = signal<Health | null>(null);
/** The newest realised liquidation. */
export const lastLiquidation = signal<LiquidationRow | null>(null);
/** Realised liquidations of the picture's time; rises with every change of `tape`. */
export const tape = new Tape();
export const tapeRevision = signal(0);
export const matrix = signal<HeatMatrix | null>(null);
/** Rises with every change of the matrix's contents. */
export const revision = signal(0);
/** USD at the top of the color range. */
export const clipUsd = signal(0);
/** Threshold used while none is chosen, as a share of `clipUsd`. */
export const autoLow = signal(0);
/** What four cells of five stay below, as a share of `clipUsd`: the contrast follows it. */
export const typical = signal(0);
/** Wall clock of the page, once a second, for ages and countdowns. */
export const nowMs = signal(Date.now());
/** The picture asked for, and the one on screen. */
export const wanted = signal<Picture | null>(null);
export const shown = signal<string | null>(null);
/** What the header of the picture says of its origin; a made-up picture is never plain. */
export const pictureMode = signal<Status['mode']>('live');

/** Server clock minus ours. */
const skewMs = signal(0);

const listeners = new Set<(change: Change) => void>();

export function onChange(listener: (change: Change) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The code at the top of the range moves only when it must: colors should not breathe. */
const CLIP_SLACK = 3;
/** Columns between two looks at the range. */
const CLIP_EVERY = 8;
let clipCode = 0;

/**
 * The share of cells which the automatic threshold hides, and the bounds it stays in: a map
 * is mostly background, and its faint third would drown the levels.
 */
const AUTO_HIDES = 0.3;
const AUTO_LOW = [0.01, 0.4] as const;
const TYPICAL_SHARE = 0.8;

/**
 * Fit the colors to the cells of the first view: far levels can be far larger, and would
 * leave those which matter now in the dark.
 */
function updateClip(m: HeatMatrix, force: boolean): void {
  const range = m.priceRange();
  const counts = m.histogram(...(range ? inView(m, ...range) : ([0, Infinity] as const)));
  const code = percentileCode(counts, CLIP_SHARE);
  if (!force && Math.abs(code - clipCode) < CLIP_SLACK) return;
  clipCode = code;
  const share = (of: number): number => (code ? m.usd[percentileCode(counts, of)] / m.usd[code] : 0);
  batch(() => {
    clipUsd.value = m.usd[code];
    typical.value = share(TYPICAL_SHARE);
    autoLow.value = code ? Math.max(AUTO_LOW[0], Math.min(AUTO_LOW[1], share(AUTO_HIDES))) : 0;
  });
}

export function showMatrix(m: HeatMatrix): void {
  batch(() => {
    updateClip(m, true);
    matrix.value = m;
    revision.value++;
  });
}

/** After a subscribe the whole tape of the window comes again; a redraw keeps it. */
let tapeIsOld = true;

function onLiquidations(rows: readonly LiquidationRow[]): void {
  if (rows.length === 0) return;
  tape.add(
    rows.map((row) => ({
      timeMs: row.event_ms,
      price: row.price,
      usd: row.notional_usd,
      side: row.position_side,
    })),
  );
  tapeRevision.value++;
  const newest = rows.reduce((a, b) => (b.event_ms >= a.event_ms ? b : a));
  if (newest.event_ms >= (lastLiquidation.value?.event_ms ?? 0)) lastLiquidation.value = newest;
}

function clearTape(): void {
  tapeIsOld = false;
  tape.clear();
  tapeRevision.value++;
  lastLiquidation.value = null;
}

function onState(state: LinkState): void {
  if (state.phase === 'waiting') tapeIsOld = true;
  link.value = state;
}

function onSnapshot(snapshot: Snapshot): void {
  problem.value = null;
  if (tapeIsOld) clearTape();
  shown.value = wanted.value?.key ?? null;
  // The list may date from before there were data: intervals and history are in it.
  if (!instrument.peek()?.interval_ms) void refreshInstruments();
  const { simulated, replay } = snapshot.header;
  pictureMode.value = simulated ? 'simulated' : replay ? 'replay' : 'live';
  showMatrix(new HeatMatrix(snapshot, Math.min(status.value?.columns_wanted ?? 0, 8192)));
}

/** Apply a live column; false when its index does not continue the picture. */
export function applyColumn(frame: ColumnFrame): boolean {
  const m = matrix.value;
  if (!m) return false;
  const column = frame.column - m.dropped;
  let scrolled = false;
  if (frame.kind === 'append') {
    if (column !== m.width || frame.codes.length !== m.bins) return false;
    scrolled = m.append(frame.candle, frame.codes);
  } else {
    if (column < 0 || column >= m.width) return false;
    if (frame.kind === 'sparse') {
      if (frame.bins.some((p) => p >= m.bins)) return false;
      m.patch(column, frame.candle, frame.bins, frame.codes);
    } else {
      if (frame.codes.length !== m.bins) return false;
      m.replace(column, frame.candle, frame.codes);
    }
  }
  heardMs.value = Date.now();
  const at = scrolled ? m.width - 1 : column;
  if (frame.kind === 'append' && m.width % CLIP_EVERY === 0) updateClip(m, false);
  for (const listener of listeners) listener({ column: at, scrolled });
  revision.value++;
  return true;
}

function onStatus(next: Status): void {
  skewMs.value = next.server_ms - Date.now();
  status.value = next;
}

let socket: Link | null = null;

/** Start the clock, the instrument list and the socket. */
export function startLive(): void {
  window.setInterval(() => (nowMs.value = Date.now()), 1000);
  socket = new Link(socketUrl(window.location.href), {
    onState,
    onSnapshot,
    onColumn: applyColumn,
    onStatus,
    onLiquidations,
    onProblem: (next) => (problem.value = next),
  });
  window.addEventListener('online', () => socket?.retryNow());
  void loadLists();
}

const LIST_RETRY_MS = 4000;

/** Read the instruments again: bars and ages have moved on. */
export async function refreshInstruments(): Promise<void> {
  instruments.value = await fetchInstruments().catch(() => instruments.value);
}

async function loadLists(): Promise<void> {
  try {
    instruments.value = await fetchInstruments();
    health.value = await fetchHealth();
    if (problem.value?.status === 0) problem.value = null;
    // A first start lists nothing until the first history is in.
    if (instruments.value.length === 0) window.setTimeout(() => void loadLists(), LIST_RETRY_MS);
  } catch (error) {
    if (error instanceof ApiError) problem.value = error.problem;
    window.setTimeout(() => void loadLists(), LIST_RETRY_MS);
  }
}

/** Ask for a picture unless it is the one already asked for. */
export function want(subscription: Subscription): void {
  const key = JSON.stringify(subscription);
  if (wanted.value?.key === key) return;
  if (wanted.value?.instrument !== subscription.instrument) {
    matrix.value = null;
    status.value = null;
    clearTape();
  }
  wanted.value = { ...subscription, key };
  heardMs.value = 0;
  problem.value = null;
  socket?.subscribe(subscription);
}

/** Subscribe again after an error. */
export function askAgain(): void {
  const picture = wanted.value;
  problem.value = null;
  if (!picture) return;
  if (link.value.phase === 'down') socket?.retryNow();
  else {
    const { key: _key, ...subscription } = picture;
    socket?.subscribe(subscription);
  }
}

export function retryNow(): void {
  socket?.retryNow();
}

/** Close of the newest column, which moves with every frame; a status comes each few seconds. */
export const lastPrice = computed<number>(() => {
  void revision.value;
  const m = matrix.value;
  return m && m.width > 0 ? m.closeAt(m.width - 1) : (status.value?.last_price ?? NaN);
});

/** A coin over all its instruments. */
export interface Coin {
  readonly name: string;
  readonly coin: string;
  readonly simulated: boolean;
  readonly count: number;
}

/** The coins with more than one instrument that has bars; made-up ones are apart. */
export function coinsOf(list: readonly Instrument[]): Coin[] {
  const found = new Map<string, Coin>();
  for (const { exchange, coin, bars } of list) {
    if (bars === 0) continue;
    const simulated = exchange === 'simulated';
    const name = simulated ? `simulated:${coin}` : coin;
    found.set(name, { name, coin, simulated, count: (found.get(name)?.count ?? 0) + 1 });
  }
  return [...found.values()].filter((coin) => coin.count > 1);
}

/** The instrument shown; of a coin the one whose candles are drawn. */
export const instrument = computed<Instrument | undefined>(() => {
  const name = wanted.value?.instrument;
  const find = (one?: string | null): Instrument | undefined =>
    instruments.value?.find((row) => row.instrument === one);
  return find(name) ?? find(status.value?.candles_of);
});

/** Whether a coin over all exchanges is shown. */
export const isCoin = computed<boolean>(() => {
  const name = wanted.value?.instrument;
  return !!name && !!instruments.value && !instruments.value.some((row) => row.instrument === name);
});

export const mode = computed<Status['mode']>(() =>
  pictureMode.value !== 'live' ? pictureMode.value : (status.value?.mode ?? 'live'),
);

/** Data of the past which nobody collects: shown still, unlike a replay. */
export const recorded = computed<boolean>(
  () => mode.value === 'replay' && status.value !== null && status.value.replay_speed === null,
);

/** When the last column frame came [our clock]. */
const heardMs = signal(0);

/**
 * Age of the data [ms], null when there are none. `data_ms` is the end of the last complete
 * bar; a frame for the bar in progress is newer.
 */
export const ageMs = computed<number | null>(() => {
  const data = status.value?.data_ms;
  if (data === null || data === undefined) return null;
  return nowMs.value - Math.max(data - skewMs.value, heardMs.value);
});

/** Three intervals of the source without news are stale; a replay's clock is not ours. */
const STALE_INTERVALS = 3;

export const stale = computed<boolean>(() => {
  const age = ageMs.value;
  if (age === null || mode.value !== 'live') return false;
  const step = Math.min(status.value?.step_ms ?? 300_000, 300_000);
  return age > STALE_INTERVALS * (instrument.value?.interval_ms ?? step);
});

export type View = 'loading' | 'empty' | 'error' | 'picture';

/** What fills the chart's place. A problem beside a picture is a banner, not a page. */
export const view = computed<View>(() => {
  if (matrix.value && matrix.value.width > 0) return 'picture';
  if (problem.value) return 'error';
  if (instruments.value?.length === 0) return 'empty';
  if (status.value?.columns === 0) return 'empty';
  return 'loading';
});

/**
 * The feed of realised liquidations: which rows are held, and which of them are shown.
 *
 * Rows lie on five shelves by size, each in order of time and bounded, so that a flood of
 * small ones does not push out the large ones of the last hours. A shelf knows from when on
 * it is complete; what is shown ends there, so no list pretends that only large ones happened.
 * A row that comes again (a subscription, a page of history) is known by its contents.
 *
 *     live rows ---> shown            paused: shown stands still,
 *     pages     ---> shown            live rows ---> waiting ---> shown on resuming
 *
 * Knows no network, no signal and no DOM.
 */

import type { Side } from './matrix';

/** Smallest notional [USD] of each shelf; also the sizes which a person may filter by. */
export const SIZES = [0, 1e3, 1e4, 1e5, 1e6] as const;

/** Rows a shelf keeps, and how many more it lets come before it is cut. */
export const SHELF_ROWS = 2000;
const SLACK = 500;
/** Rows a shelf may grow to while older ones are read. */
export const SHELF_MOST = 10_000;

export interface FeedRow {
  readonly timeMs: number;
  readonly instrument: string;
  readonly exchange: string;
  readonly contract: string;
  readonly side: Side;
  readonly price: number;
  readonly qty: number;
  readonly usd: number;
  /** What the price is: a "fill", or the "order", "bankruptcy" or "mark" price. */
  readonly priceKind: string;
}

export interface FeedFilter {
  readonly side: Side | 'all';
  /** One of SIZES [USD]. */
  readonly minUsd: number;
  /** Exchanges left out. */
  readonly hidden: readonly string[];
  /** Only rows before this time [ms]; Infinity for all. */
  readonly untilMs: number;
}

/** What a page of history holds: everything of its size with `fromMs` <= time < `toMs`. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Order of time; rows of one instant by their contents, so equal rows are neighbours. */
export function compareRows(a: FeedRow, b: FeedRow): number {
  if (a.timeMs !== b.timeMs) return a.timeMs - b.timeMs;
  if (a.instrument !== b.instrument) return a.instrument < b.instrument ? -1 : 1;
  if (a.side !== b.side) return a.side < b.side ? -1 : 1;
  return a.price - b.price || a.qty - b.qty;
}

export function sizeOf(usd: number): number {
  let at = SIZES.length - 1;
  while (at > 0 && usd < SIZES[at]) at--;
  return at;
}

export function passes(row: FeedRow, filter: FeedFilter): boolean {
  return (
    row.usd >= filter.minUsd &&
    (filter.side === 'all' || row.side === filter.side) &&
    row.timeMs < filter.untilMs &&
    !filter.hidden.includes(row.exchange)
  );
}

/**
 * What a page covers which was asked for over a span. One which was cut short (`more`)
 * may have cut an instant in two: it is taken as complete only after its oldest one.
 */
export function spanOf(rows: readonly FeedRow[], more: boolean, { fromMs, toMs }: Span): Span {
  if (!more || rows.length === 0) return { fromMs, toMs };
  let oldest = Infinity;
  let newest = -Infinity;
  for (const { timeMs } of rows) {
    if (timeMs < oldest) oldest = timeMs;
    if (timeMs > newest) newest = timeMs;
  }
  return { fromMs: newest > oldest ? oldest + 1 : oldest, toMs };
}

/** Rows of one size, oldest first, complete over [fromMs, toMs). */
class Shelf {
  rows: FeedRow[] = [];
  fromMs = Infinity;
  toMs = -Infinity;
  /** What lies before was here and had to go. */
  cutMs = -Infinity;

  /** Add rows in order of `compareRows`; those held already go away. Tells the others. */
  put(batch: readonly FeedRow[], limit: number, fresh: FeedRow[]): void {
    const { rows } = this;
    const last = rows[rows.length - 1];
    if (!last || compareRows(last, batch[0]) < 0) {
      for (const row of batch) {
        rows.push(row);
        fresh.push(row);
      }
    } else this.merge(batch, fresh);
    if (rows.length > limit + SLACK) this.cut(rows.length - limit);
  }

  /** Everything in [fromMs, toMs) is here now. A span apart from ours takes its place. */
  cover({ fromMs, toMs }: Span): void {
    if (fromMs <= this.toMs && toMs >= this.fromMs) {
      this.fromMs = Math.min(this.fromMs, fromMs);
      this.toMs = Math.max(this.toMs, toMs);
    } else {
      this.fromMs = fromMs;
      this.toMs = toMs;
    }
    // A cut shelf has lost what lies before its first row.
    this.fromMs = Math.max(this.fromMs, this.cutMs);
  }

  /** Forget that older rows had to go: they are about to be read again. */
  reopen(): void {
    this.cutMs = -Infinity;
  }

  has(row: FeedRow): boolean {
    const at = this.rows[this.place(row)];
    return at !== undefined && compareRows(at, row) === 0;
  }

  private cut(count: number): void {
    this.cutMs = this.rows[count - 1].timeMs + 1;
    this.rows.splice(0, count);
    this.fromMs = Math.max(this.fromMs, this.cutMs);
  }

  /** Take off what is newer than the batch, and put both back in order. */
  private merge(batch: readonly FeedRow[], fresh: FeedRow[]): void {
    const { rows } = this;
    const tail = rows.splice(this.place(batch[0]));
    let i = 0;
    let j = 0;
    while (i < tail.length || j < batch.length) {
      const way = i >= tail.length ? 1 : j >= batch.length ? -1 : compareRows(tail[i], batch[j]);
      if (way > 0) {
        rows.push(batch[j]);
        fresh.push(batch[j++]);
      } else {
        rows.push(tail[i++]);
        if (way === 0) j++;
      }
    }
  }

  /** Index of the first row which is not before `row`. */
  private place(row: FeedRow): number {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareRows(this.rows[middle], row) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

class Shelves {
  readonly each = SIZES.map(() => new Shelf());
  limit = SHELF_ROWS;

  put(rows: readonly FeedRow[]): FeedRow[] {
    const sorted = [...rows].sort(compareRows);
    const fresh: FeedRow[] = [];
    this.each.forEach((shelf, size) => {
      const own = sorted.filter((row) => sizeOf(row.usd) === size);
      if (own.length > 0) shelf.put(own, this.limit, fresh);
    });
    return fresh;
  }

  addPage(rows: readonly FeedRow[], minUsd: number, span: Span): void {
    this.put(rows);
    for (const shelf of this.each.slice(sizeOf(minUsd))) shelf.cover(span);
  }

  has(row: FeedRow): boolean {
    return this.each[sizeOf(row.usd)].has(row);
  }

  longest(): number {
    return Math.max(...this.each.map(({ rows }) => rows.length));
  }

  /** Time of the newest row; -Infinity without any. */
  newestMs(): number {
    return Math.max(...this.each.map(({ rows }) => rows[rows.length - 1]?.timeMs ?? -Infinity));
  }

  /** From when on everything of at least `minUsd` is here; Infinity: nothing is known yet. */
  fromMs(minUsd: number): number {
    return Math.max(...this.each.slice(sizeOf(minUsd)).map((shelf) => shelf.fromMs));
  }

  /** Nothing comes any more: complete up to the newest row only. */
  close(): void {
    const end = this.newestMs() + 1;
    for (const shelf of this.each) shelf.toMs = Math.min(shelf.toMs, end);
  }

  /** Newest first, all of it complete. */
  view(filter: FeedFilter): FeedRow[] {
    const from = this.fromMs(filter.minUsd);
    const lists = this.each.slice(sizeOf(filter.minUsd)).map(({ rows }) => rows);
    const heads = lists.map((rows) => rows.length - 1);
    const out: FeedRow[] = [];
    for (;;) {
      let best = -1;
      for (let k = 0; k < lists.length; k++) {
        if (heads[k] < 0) continue;
        if (best < 0 || compareRows(lists[k][heads[k]], lists[best][heads[best]]) > 0) best = k;
      }
      if (best < 0) return out;
      const row = lists[best][heads[best]--];
      if (row.timeMs < from) return out;
      if (passes(row, filter)) out.push(row);
    }
  }
}

export class Feed {
  /** Rises with every change of what is shown. */
  revision = 0;
  private shown = new Shelves();
  private waiting: Shelves | null = null;
  /** The newest time shown when the feed was paused. */
  private pausedMs = -Infinity;
  private seen: { key: string; rows: readonly FeedRow[] } = { key: '', rows: [] };

  get paused(): boolean {
    return this.waiting !== null;
  }

  /** Forget everything, a pause too: other rows are asked for. */
  clear(): void {
    this.shown = new Shelves();
    this.waiting = null;
    this.revision++;
  }

  /** Add rows as they happen; returns those which were not held before. */
  add(rows: readonly FeedRow[]): readonly FeedRow[] {
    if (rows.length === 0) return [];
    const fresh = this.unheard((this.waiting ?? this.shown).put(rows));
    if (fresh.length > 0) this.revision++;
    return fresh;
  }

  /**
   * Add a page of history of at least `minUsd`. During a pause, what is later than the rows
   * shown waits.
   */
  addPage(rows: readonly FeedRow[], minUsd: number, span: Span): void {
    if (span.toMs !== Infinity) for (const shelf of this.shown.each) shelf.reopen();
    if (!this.waiting) this.shown.addPage(rows, minUsd, span);
    else {
      const endMs = this.pausedMs + 1;
      const earlier = rows.filter((row) => row.timeMs < endMs);
      if (span.fromMs < endMs) {
        this.shown.addPage(earlier, minUsd, { fromMs: span.fromMs, toMs: Math.min(span.toMs, endMs) });
      }
      if (span.toMs > endMs) {
        const later = rows.filter((row) => row.timeMs >= endMs);
        this.waiting.addPage(later, minUsd, { fromMs: Math.max(span.fromMs, endMs), toMs: span.toMs });
      }
    }
    this.revision++;
  }

  /** Of rows new to those which wait: those which are not shown already. */
  private unheard(rows: readonly FeedRow[]): readonly FeedRow[] {
    return this.waiting ? rows.filter((row) => !this.shown.has(row)) : rows;
  }

  /** Whether older rows would be kept. */
  get canGrow(): boolean {
    return this.shown.longest() < SHELF_MOST;
  }

  /** Make room for a page of older rows, until the feed goes on. */
  grow(rows: number): void {
    const { shown } = this;
    shown.limit = Math.max(shown.limit, Math.min(SHELF_MOST, shown.longest() + rows));
  }

  /** No page could be had: what comes from `atMs` on is all there is. */
  openFrom(atMs: number): void {
    const target = this.waiting ?? this.shown;
    const fromMs = Math.max(atMs, target.newestMs() + 1);
    for (const shelf of target.each) {
      if (shelf.fromMs === Infinity) shelf.cover({ fromMs, toMs: Infinity });
    }
    this.revision++;
  }

  /** Time of the newest row held; -Infinity without any. */
  newestMs(): number {
    return Math.max(this.shown.newestMs(), this.waiting?.newestMs() ?? -Infinity);
  }

  /** The link is down: what happens until it is back is not known. */
  lost(): void {
    (this.waiting ?? this.shown).close();
  }

  pause(): void {
    if (this.waiting) return;
    const fromMs = this.shown.newestMs() + 1;
    this.pausedMs = this.shown.newestMs();
    this.waiting = new Shelves();
    this.waiting.each.forEach((shelf, k) => {
      // Where nothing is known yet, the first page will say.
      const { fromMs: known, toMs } = this.shown.each[k];
      if (known < Infinity) shelf.cover({ fromMs, toMs: Math.max(fromMs, toMs) });
    });
    this.shown.close();
  }

  resume(): void {
    const { waiting } = this;
    if (!waiting) return;
    this.waiting = null;
    this.shown.limit = SHELF_ROWS;
    this.shown.each.forEach((shelf, k) => {
      const { rows, fromMs, toMs } = waiting.each[k];
      if (rows.length > 0) shelf.put(rows, SHELF_ROWS, []);
      if (fromMs < Infinity) shelf.cover({ fromMs, toMs });
    });
    this.revision++;
  }

  /** What is shown, newest first; the same array until something changes. */
  view(filter: FeedFilter): readonly FeedRow[] {
    const key = [this.revision, ...Object.values(filter)].join('|');
    // While paused only pages change what is shown, and they are rare.
    if (key !== this.seen.key) this.seen = { key, rows: this.shown.view(filter) };
    return this.seen.rows;
  }

  /** From when on the rows shown are complete; Infinity: nothing is known; -Infinity: all. */
  fromMs(minUsd: number): number {
    return this.shown.fromMs(minUsd);
  }

  /** Rows that came during the pause and would be shown; `more` when some are gone already. */
  news(filter: FeedFilter): { count: number; more: boolean } {
    if (!this.waiting) return { count: 0, more: false };
    let count = 0;
    let more = false;
    for (const shelf of this.waiting.each.slice(sizeOf(filter.minUsd))) {
      more ||= shelf.cutMs > -Infinity;
      for (const row of shelf.rows) {
        if (row.timeMs > this.pausedMs && passes(row, filter)) count++;
      }
    }
    return { count, more };
  }

  /** Rows held with a time of at least `sinceMs`, waiting ones too, in no order. */
  since(sinceMs: number): readonly FeedRow[] {
    const of = (shelves: Shelves): FeedRow[] =>
      shelves.each.flatMap(({ rows }) => rows.filter((row) => row.timeMs >= sinceMs));
    return [...of(this.shown), ...(this.waiting ? this.unheard(of(this.waiting)) : [])];
  }
}

/** Rows which tell what is large are the newest so many. */
const LARGE_OF = 1000;
const LARGE_SHARE = 0.95;

/** Nothing below is large, however small the others are [USD]. */
const LARGE_LEAST = 1e5;

/** The notional from which a row stands out: as large as the largest twentieth [USD]. */
export function largeFrom(rows: readonly FeedRow[]): number {
  const sizes = Float64Array.from(rows.slice(0, LARGE_OF), (row) => row.usd).sort();
  if (sizes.length === 0) return LARGE_LEAST;
  return Math.max(LARGE_LEAST, sizes[Math.floor(LARGE_SHARE * sizes.length)]);
}

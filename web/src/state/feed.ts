/**
 * The feed of one panel: joins its socket, pages of history and sums to the engine's shelves.
 *
 * Made when the feed is opened and stopped when it is closed: a closed feed costs nothing.
 * However many rows come, `revision` rises once an animation frame at most.
 */

import { computed, effect, signal, untracked, type ReadonlySignal } from '@preact/signals';

import { priceDecimals } from '../engine/axis';
import {
  Feed,
  largeFrom,
  passes,
  spanOf,
  type FeedFilter,
  type FeedRow,
} from '../engine/feed';
import { FeedTotals } from '../engine/feedtotals';
import { splitSymbol } from '../format';
import { ApiError } from '../net/api';
import {
  PAGE_ROWS,
  fetchLiquidations,
  type LiquidationsAsked,
  type LiquidationsReply,
} from '../net/liquidations';
import type { LiquidationRow, Problem } from '../net/ws';
import type { Panel } from './panel';
import { feedPrefs } from './feedprefs';

/** How often the sums are asked for [ms]: what left the window leaves the sums then. */
export const TOTALS_EVERY_MS = 30_000;
/** Fewer rows than this are filled up from history without being asked. */
const FILL_ROWS = 60;
/** Pages read so at most, until the filter changes. */
const FILL_PAGES = 3;
/** How often what counts as large is found anew [ms]: marks should not flicker. */
const LARGE_EVERY_MS = 1000;
/** A large row is new for so long [ms]. */
const NEW_MS = 2000;
/** One which is older than the newest by more is no news: a window of the past came [ms]. */
const LATE_MS = 5000;
const DAY_MS = 86_400_000;

export type Busy = 'first' | 'older' | null;

/** A row of the wire as the feed keeps it; null for one which measures nothing. */
export function toRow(row: LiquidationRow): FeedRow | null {
  if (!(row.notional_usd > 0 && row.price > 0 && Number.isFinite(row.event_ms))) return null;
  const { exchange, contract } = splitSymbol(row.instrument);
  return {
    timeMs: row.event_ms,
    instrument: row.instrument,
    exchange,
    contract,
    side: row.position_side,
    price: row.price,
    qty: row.qty,
    usd: row.notional_usd,
    priceKind: row.price_kind,
  };
}

function toRows(rows: readonly LiquidationRow[]): FeedRow[] {
  return rows.map(toRow).filter((row) => row !== null);
}

export class FeedStore {
  readonly revision = signal(0);
  readonly busy = signal<Busy>('first');
  readonly problem = signal<Problem | null>(null);
  /** By exchange: how completely it tells its liquidations; null: it publishes none. */
  readonly completeness = signal<Readonly<Record<string, string | null>> | null>(null);
  readonly filter: ReadonlySignal<FeedFilter>;
  readonly feed = new Feed();
  readonly totals = new FeedTotals();
  private readonly born = new WeakMap<FeedRow, number>();
  private readonly key: ReadonlySignal<string>;
  private frame: number | null = null;
  private asked = new AbortController();
  private filled = 0;
  private large = { atMs: -Infinity, usd: Infinity, key: '' };

  constructor(
    private readonly panel: Panel,
    /** Time travel: only what was known then [ms]; null is now. */
    readonly asOfMs: ReadonlySignal<number | null>,
  ) {
    this.filter = computed(() => {
      const { side, minUsd, hidden } = feedPrefs.value;
      const shown = panel.isCoin.value ? hidden : [];
      return { side, minUsd, hidden: shown, untilMs: this.asOfMs.value ?? Infinity };
    });
    this.key = computed(() => {
      const wanted = panel.wanted.value;
      return JSON.stringify([wanted?.instrument ?? '', wanted?.exchanges ?? null, this.asOfMs.value !== null]);
    });
  }

  /** Follow the panel; returns how to stop. */
  start(): () => void {
    const again = (): void => void this.readTotals();
    const every = window.setInterval(again, TOTALS_EVERY_MS);
    // A page in the background does not ask; once it is looked at, it is up to date at once.
    document.addEventListener('visibilitychange', again);
    const stops = [
      effect(() => {
        void this.key.value;
        untracked(() => this.restart());
      }),
      this.followLink(),
      this.followTime(),
      this.followFilter(),
      this.panel.onLiquidations((rows) => rows && this.take(rows)),
    ];
    return () => {
      for (const stop of stops) stop();
      window.clearInterval(every);
      document.removeEventListener('visibilitychange', again);
      this.asked.abort();
      if (this.frame !== null) cancelAnimationFrame(this.frame);
    };
  }

  /** Decimals of a price; also where no chart is drawn. */
  get decimals(): number {
    return priceDecimals(this.panel.lastPrice.peek(), this.panel.instrument.value?.tick_size);
  }

  /** What is shown, newest first. */
  rows(): readonly FeedRow[] {
    return this.feed.view(this.filter.value);
  }

  /** Notional from which a row stands out [USD]; Infinity where none shall. */
  largeUsd(): number {
    const { large } = feedPrefs.value;
    if (large !== 'auto') return large === 'off' ? Infinity : large;
    const key = JSON.stringify(this.filter.value);
    const now = performance.now();
    if (now - this.large.atMs > LARGE_EVERY_MS || key !== this.large.key) {
      this.large = { atMs: now, usd: largeFrom(this.rows()), key };
    }
    return this.large.usd;
  }

  /** Whether a row came just now. */
  isNew(row: FeedRow): boolean {
    return performance.now() - (this.born.get(row) ?? -Infinity) < NEW_MS;
  }

  pause(): void {
    this.feed.pause();
    this.draw();
  }

  resume(): void {
    this.feed.resume();
    this.draw();
  }

  /** Whether there may be rows before those shown. */
  get hasOlder(): boolean {
    const from = this.feed.fromMs(this.filter.value.minUsd);
    return from > -Infinity && from < Infinity;
  }

  /** Whether there is room for older rows. */
  get canGrow(): boolean {
    return this.feed.canGrow;
  }

  /** Read a page before what is shown, of the sizes shown. */
  async readOlder(): Promise<void> {
    const { minUsd } = this.filter.peek();
    const untilMs = this.feed.fromMs(minUsd);
    if (this.busy.peek() !== null || !Number.isFinite(untilMs) || !this.feed.canGrow) return;
    this.feed.grow(PAGE_ROWS);
    this.busy.value = 'older';
    const reply = await this.ask({ minUsd, sinceMs: 0, untilMs, limit: PAGE_ROWS });
    if (!reply) return;
    this.busy.value = null;
    const rows = toRows(reply.rows);
    this.feed.addPage(rows, minUsd, spanOf(rows, reply.more, { fromMs: -Infinity, toMs: untilMs }));
    this.draw();
  }

  /** Read the newest page again, after an error or a hole. */
  async readNewest(): Promise<void> {
    const at = this.asOfMs.peek();
    const whole = this.filter.peek().hidden.length === 0;
    if (this.key.peek().startsWith('[""')) return;
    this.busy.value = 'first';
    const reply = await this.ask({ minUsd: 0, sinceMs: null, untilMs: at, limit: PAGE_ROWS });
    if (!reply) return;
    this.busy.value = null;
    const rows = toRows(reply.rows);
    const day = { fromMs: reply.asOfMs - DAY_MS, toMs: at ?? Infinity };
    this.feed.addPage(rows, 0, spanOf(rows, reply.more, day));
    this.completeness.value = reply.completeness;
    if (whole) this.rebase(reply);
    else void this.readTotals();
    this.draw();
    if (at !== this.asOfMs.peek()) void this.readNewest();
    else this.fillUp();
  }

  /** Everything anew: other rows are asked for. */
  private restart(): void {
    this.asked.abort();
    this.asked = new AbortController();
    this.feed.clear();
    this.totals.clear();
    this.completeness.value = null;
    this.problem.value = null;
    this.filled = 0;
    this.draw();
    void this.readNewest();
  }

  /** After a cut, and after each subscription, a page closes the hole. */
  private followLink(): () => void {
    let before = this.panel.link.peek().phase;
    return effect(() => {
      const { phase } = this.panel.link.value;
      if (phase === 'down') this.feed.lost();
      if (phase === 'live' && before !== 'live' && this.asOfMs.peek() === null) {
        untracked(() => void this.readNewest());
      }
      before = phase;
    });
  }

  /** In time travel another time asks for another page; one at a time. */
  private followTime(): () => void {
    return effect(() => {
      if (this.asOfMs.value === null) return;
      untracked(() => {
        this.draw();
        if (this.busy.peek() !== 'first') void this.readNewest();
      });
    });
  }

  private followFilter(): () => void {
    let hidden = this.filter.peek().hidden.join();
    return effect(() => {
      const filter = this.filter.value;
      untracked(() => {
        this.filled = 0;
        this.draw();
        this.fillUp();
        if (filter.hidden.join() !== hidden) void this.readTotals();
        hidden = filter.hidden.join();
      });
    });
  }

  /** A list cut short by the filter is filled from history, a few pages far. */
  private fillUp(): void {
    if (this.busy.peek() !== null || this.filled >= FILL_PAGES || !this.hasOlder) return;
    if (this.rows().length >= FILL_ROWS) return;
    this.filled++;
    void this.readOlder().then(() => this.fillUp());
  }

  private take(rows: readonly LiquidationRow[]): void {
    if (this.asOfMs.peek() !== null) return;
    if (rows.length === 0) void this.readNewest();
    const newestMs = this.feed.newestMs();
    const fresh = this.feed.add(toRows(rows));
    if (fresh.length === 0) return;
    const filter = this.filter.peek();
    this.totals.add(fresh.filter((row) => !filter.hidden.includes(row.exchange)));
    const now = performance.now();
    const large = this.largeUsd();
    for (const row of fresh) {
      const late = row.timeMs < newestMs - LATE_MS;
      if (!late && row.usd >= large && passes(row, filter)) this.born.set(row, now);
    }
    this.draw();
  }

  private async readTotals(): Promise<void> {
    if (this.asOfMs.peek() !== null || document.hidden || this.key.peek().startsWith('[""')) return;
    const { hidden } = this.filter.peek();
    const reply = await this.ask({ minUsd: 0, sinceMs: null, untilMs: null, limit: 1 }, this.shownExchanges(hidden));
    if (!reply || hidden.join() !== this.filter.peek().hidden.join()) return;
    this.rebase(reply);
    this.draw();
  }

  private rebase({ totals, asOfMs }: LiquidationsReply): void {
    const { hidden } = this.filter.peek();
    const held = this.asOfMs.peek() === null ? this.feed.since(asOfMs) : [];
    this.totals.rebase(totals, asOfMs, held.filter((row) => !hidden.includes(row.exchange)));
  }

  /** Of a coin the exchanges left by the filter, as the server wants them; null is all. */
  private shownExchanges(hidden: readonly string[]): string | null {
    const wanted = this.panel.wanted.peek()?.exchanges ?? null;
    if (hidden.length === 0) return wanted;
    const all = wanted?.split(',') ?? Object.keys(this.completeness.peek() ?? {});
    return all.filter((name) => !hidden.includes(name)).join(',') || wanted;
  }

  /** Ask the server; null when the answer is not wanted any more, or there was none. */
  private async ask(
    asked: Omit<LiquidationsAsked, 'instrument' | 'exchanges'>,
    exchanges = this.panel.wanted.peek()?.exchanges ?? null,
  ): Promise<LiquidationsReply | null> {
    const { signal: stop } = this.asked;
    const instrument = this.panel.wanted.peek()?.instrument ?? '';
    try {
      const reply = await fetchLiquidations({ ...asked, instrument, exchanges }, stop);
      if (stop.aborted) return null;
      this.problem.value = null;
      return reply;
    } catch (error) {
      if (stop.aborted) return null;
      if (!(error instanceof ApiError)) throw error;
      this.problem.value = error.problem;
      this.busy.value = null;
      this.feed.openFrom(this.panel.status.peek()?.data_ms ?? 0);
      this.draw();
      return null;
    }
  }

  private draw(): void {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.revision.value++;
    });
  }
}

/**
 * The figures beside a panel's picture, kept fresh: open interest, funding, volume, liquidations.
 *
 * Read whole when the picture changes, then only the newest hours: after each new column, and
 * every few seconds for the one in progress. A request for a picture which is no longer asked
 * for is given up. While nothing of it is shown, nothing is asked. In time travel the window
 * shown is read once; how much of it is known yet the matrix tells.
 */

import { batch, effect, signal, untracked, type ReadonlySignal } from '@preact/signals';

import type { Replay } from '../engine/replay';
import { formatStep } from '../format';
import { ApiError } from '../net/api';
import { fetchSeries, merged, type Series } from '../net/series';
import type { Problem, Subscription } from '../net/ws';
import type { Picture } from './live';
import type { Panel } from './panel';

const NEWEST_EVERY_MS = 5000;
/** After a failure the server is given more time. */
const RETRY_MS = 20_000;
/** The server closes a column a moment after the socket has told of the next. */
const SETTLE_MS = 1500;
/** Steps up to this long are refreshed by the shortest range instead of the whole. */
const SHORT_STEP_MS = 900_000;

const sourceOf = ({ instrument, exchanges }: Subscription): string => `${instrument}/${exchanges ?? ''}`;

/** Which values: those of a picture, in time travel of one window of it. */
function keyOf(picture: Picture, past: Replay | null): string {
  return past ? `${picture.key}@${past.span[1]}` : picture.key;
}

function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  return { status: 0, title: 'The server sent something unreadable', detail: String(error) };
}

export class SeriesFeed {
  readonly series = signal<Series | null>(null);
  readonly problem = signal<Problem | null>(null);
  private running: AbortController | null = null;
  private timer: number | null = null;
  /** The picture of which all was read, and the instruments which the values are of. */
  private whole = '';
  private source = '';

  constructor(
    private readonly panel: Panel,
    private readonly needed: ReadonlySignal<boolean>,
  ) {}

  /** Follow the panel; returns how to stop. */
  start(): () => void {
    const stop = effect(() => {
      const picture = this.panel.wanted.value;
      const there = picture !== null && this.panel.shown.value === picture.key;
      const key = picture && keyOf(picture, this.panel.past.value);
      if (!this.needed.value) this.giveUp();
      else if (there && this.whole !== key) untracked(() => this.follow(picture));
      else if (there && this.timer === null && this.running === null) this.later(0);
    });
    return () => {
      stop();
      this.giveUp();
    };
  }

  /** The picture has another column. */
  appended(): void {
    if (this.series.peek() && this.running === null && !this.panel.past.peek()) this.later(SETTLE_MS);
  }

  retry(): void {
    this.problem.value = null;
    void this.ask();
  }

  private follow(picture: Subscription): void {
    batch(() => {
      this.problem.value = null;
      // Of the same instruments the old values stay until others come: they lie in time.
      if (sourceOf(picture) !== this.source) this.series.value = null;
    });
    void this.ask();
  }

  private giveUp(): void {
    this.running?.abort();
    this.running = null;
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
  }

  private later(ms: number): void {
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.timer = null;
      const still = this.panel.recorded.peek() || this.panel.past.peek() !== null;
      const idle = still || document.hidden || this.panel.link.peek().phase !== 'live';
      if (idle && this.series.peek()) this.later(NEWEST_EVERY_MS);
      else void this.ask();
    }, ms);
  }

  private async ask(): Promise<void> {
    const picture = this.panel.wanted.peek();
    if (!picture) return;
    this.giveUp();
    const past = this.panel.past.peek();
    const key = keyOf(picture, past);
    const held = this.whole === key && !past ? this.series.peek() : null;
    const newest = held && held.step_ms <= SHORT_STEP_MS ? { range: '12h', step: formatStep(held.step_ms) } : null;
    const running = (this.running = new AbortController());
    try {
      const reply = await fetchSeries(picture, newest ?? (past ? { as_of_ms: past.span[1] } : {}), running.signal);
      if (running.signal.aborted) return;
      this.take(key, sourceOf(picture), held && newest ? merged(held, reply) : reply);
    } catch (error) {
      if (running.signal.aborted) return;
      this.problem.value = problemOf(error);
      this.later(RETRY_MS);
    }
    this.running = null;
  }

  /** New values; null when they do not join what is held: all is read again. */
  private take(key: string, source: string, next: Series | null): void {
    this.whole = next ? key : '';
    this.source = source;
    this.later(next ? NEWEST_EVERY_MS : 0);
    if (!next) return;
    batch(() => {
      this.problem.value = null;
      this.series.value = next;
    });
  }
}

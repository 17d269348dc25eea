/**
 * Feeds the profile's split by tier or exchange: `/map` on the picture's own grid.
 *
 * Asked for while a split is chosen and the page is seen: at once, with every new column, and
 * every POLL_MS. The last answer stays until the next; one of another grid is not drawn. In the
 * past it is asked for once the shown moment rests, and is of that moment.
 */

import { effect, type Signal } from '@preact/signals';

import type { Ground } from '../engine/groups';
import type { HeatMatrix } from '../engine/matrix';
import { buildSplit, type SplitBy } from '../engine/split';
import { parametersOf } from '../net/api';
import { fetchMap, type MapReply } from '../net/map';
import type { Panel } from './panel';
import { theme } from './theme';

const POLL_MS = 5000;
const REST_MS = 300;

export interface SplitState {
  readonly kind: 'side' | 'asking' | 'shown' | 'failed';
}

/** One chosen split of one picture: polls until stopped. */
class Poll {
  private etag: string | null = null;
  private stopped = new AbortController();
  private timer: number | null = null;

  constructor(
    private readonly panel: Panel,
    private readonly matrix: HeatMatrix,
    private readonly by: SplitBy,
    private readonly ground: Ground,
    private readonly asOfMs: number | null,
    private readonly state: Signal<SplitState>,
  ) {}

  /** Ask now, or in the past once the person stays there. */
  start(): void {
    if (this.asOfMs === null) void this.ask();
    else this.timer = window.setTimeout(() => void this.ask(), REST_MS);
  }

  stop(): void {
    this.stopped.abort();
    if (this.timer !== null) window.clearTimeout(this.timer);
  }

  async ask(): Promise<void> {
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
    const { signal } = this.stopped;
    try {
      if (document.visibilityState === 'visible') await this.fetch(signal);
    } catch {
      if (!signal.aborted) this.state.value = { kind: 'failed' };
    }
    // The past does not change.
    if (!signal.aborted && this.asOfMs === null) this.timer = window.setTimeout(() => void this.ask(), POLL_MS);
  }

  private async fetch(signal: AbortSignal): Promise<void> {
    const { panel, matrix } = this;
    const q = parametersOf(panel.wanted.peek()!);
    q.set('price_min', String(matrix.edge(0)));
    q.set('price_max', String(matrix.edge(matrix.bins)));
    q.set('parts', 'exchange');
    if (this.asOfMs !== null) q.set('as_of_ms', String(this.asOfMs));
    const answer = await fetchMap(q, this.etag, signal);
    if (answer === 'unchanged' || signal.aborted) return;
    this.etag = answer.etag;
    this.show(answer.reply);
  }

  private show(reply: MapReply): void {
    const split = buildSplit(this.matrix, reply, this.by, this.ground);
    this.panel.chart.peek()?.setSplit(split);
    this.state.value = { kind: split ? 'shown' : 'failed' };
  }
}

/** Keep the panel's profile split as its query says; returns how to stop. */
export function startSplit(panel: Panel, state: Signal<SplitState>): () => void {
  const stop = effect(() => {
    const chart = panel.chart.value;
    const matrix = panel.matrix.value;
    const { split: by, profile } = panel.query.value;
    if (!chart || !matrix || by === 'side' || !profile) {
      chart?.setSplit(null);
      state.value = { kind: 'side' };
      return;
    }
    const asOfMs = panel.asOfMs.value;
    if (asOfMs !== null) chart.setSplit(null);
    state.value = { kind: 'asking' };
    const poll = new Poll(panel, matrix, by, theme.value, asOfMs, state);
    poll.start();
    let { width } = matrix;
    const unhear = panel.onChange(() => {
      if (matrix.width === width || asOfMs !== null) return;
      ({ width } = matrix);
      void poll.ask();
    });
    return () => {
      unhear();
      poll.stop();
    };
  });
  return () => {
    stop();
    panel.chart.peek()?.setSplit(null);
  };
}

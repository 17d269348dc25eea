/**
 * Feeds the profile's split by tier or exchange, and its max pain: `/map` on the picture's grid.
 *
 * Asked for while the profile and the page are seen: at once, with every new column, and every
 * POLL_MS. The last answer stays until the next; one of another grid is not drawn. In the
 * past it is asked for once the shown moment rests, and is of that moment.
 */

import { computed, effect, type Signal } from '@preact/signals';

import type { Ground } from '../engine/groups';
import type { HeatMatrix } from '../engine/matrix';
import { NO_PAIN } from '../engine/profile';
import { buildSplit, painOf } from '../engine/split';
import { parametersOf } from '../net/api';
import { fetchMap, type MapReply } from '../net/map';
import type { Panel } from './panel';
import type { Grouping } from './query';
import { theme } from './theme';

const POLL_MS = 5000;
/** By side only the max pain comes from there. */
const POLL_SIDE_MS = 60_000;
const REST_MS = 300;

export interface SplitState {
  readonly kind: 'asking' | 'shown' | 'failed';
}

/** One chosen split of one picture: polls until stopped. */
class Poll {
  private etag: string | null = null;
  private stopped = new AbortController();
  private timer: number | null = null;
  private busy = false;

  constructor(
    private readonly panel: Panel,
    private readonly matrix: HeatMatrix,
    private readonly by: Grouping,
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
    // The answer on its way is as good.
    if (this.busy) return;
    this.busy = true;
    const { signal } = this.stopped;
    try {
      if (document.visibilityState === 'visible') await this.fetch(signal);
    } catch {
      if (!signal.aborted) this.state.value = { kind: 'failed' };
    }
    this.busy = false;
    // The past does not change.
    if (signal.aborted || this.asOfMs !== null) return;
    this.timer = window.setTimeout(() => void this.ask(), this.by === 'side' ? POLL_SIDE_MS : POLL_MS);
  }

  private async fetch(signal: AbortSignal): Promise<void> {
    const { panel, matrix } = this;
    const q = parametersOf(panel.wanted.peek()!);
    q.set('price_min', String(matrix.edge(0)));
    q.set('price_max', String(matrix.edge(matrix.bins)));
    q.set('parts', 'exchange');
    if (this.asOfMs !== null) q.set('as_of_ms', String(this.asOfMs));
    const answer = await fetchMap(q, this.etag, signal);
    if (signal.aborted) return;
    if (answer === 'unchanged') this.state.value = { kind: 'shown' };
    else {
      this.etag = answer.etag;
      this.show(answer.reply);
    }
  }

  private show(reply: MapReply): void {
    const { matrix, by } = this;
    const split = by === 'side' ? null : buildSplit(matrix, reply, by, this.ground);
    this.panel.chart.peek()?.setSplit(split, painOf(matrix, reply));
    this.state.value = { kind: split || by === 'side' ? 'shown' : 'failed' };
  }
}

/** Keep the panel's profile split as its query says; returns how to stop. */
export function startSplit(panel: Panel, state: Signal<SplitState>): () => void {
  // A narrow pane has no strip.
  const grouping = computed(() => panel.query.value.split);
  const there = computed(() => panel.query.value.profile && panel.profileLeft.value !== null);
  const stop = effect(() => {
    const chart = panel.chart.value;
    const matrix = panel.matrix.value;
    const by = grouping.value;
    const asOfMs = panel.asOfMs.value;
    if (!chart || !matrix || !there.value) return;
    if (by === 'side') chart.setSplit(null, chart.profile?.pain ?? NO_PAIN);
    // Of another moment they would be wrong.
    if (asOfMs !== null) chart.setSplit(null, NO_PAIN);
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
    panel.chart.peek()?.setSplit(null, NO_PAIN);
  };
}

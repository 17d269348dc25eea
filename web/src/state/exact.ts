/**
 * The exact column under a resting cursor, and under the pin: the picture's codes are 2.4 %
 * coarse, and say neither which exchange holds a level nor whether it is measured.
 *
 * Asked for once the point rests, given up as soon as it moves. An answer on another grid
 * than the picture's is not shown: it would be exact about something else.
 */

import { computed, effect, type ReadonlySignal, type Signal } from '@preact/signals';

import { fetchColumn, type ExactColumn } from '../net/api';
import type { HeatMatrix } from '../engine/matrix';
import type { Panel } from './panel';

const REST_MS = 250;
/** Edges may differ by this share of a bin through rounding. */
const SAME = 0.02;

export interface Exact {
  readonly timeMs: number;
  readonly bin: number;
  readonly longUsd: number;
  readonly shortUsd: number;
  /** What it was taken from. */
  readonly column: ExactColumn;
}

/** The cell of an answer; null when its grid is another. */
export function pickCell(column: ExactColumn, m: HeatMatrix, bin: number): Exact | null {
  const edges = column.price_edges;
  if (edges.length !== m.bins + 1) return null;
  const size = m.edge(bin + 1) - m.edge(bin);
  const off = Math.max(Math.abs(edges[bin] - m.edge(bin)), Math.abs(edges[bin + 1] - m.edge(bin + 1)));
  if (off > SAME * size) return null;
  return {
    timeMs: column.start_ms,
    bin,
    longUsd: column.long_usd[bin],
    shortUsd: column.short_usd[bin],
    column,
  };
}

interface Point {
  readonly timeMs: number;
  readonly price: number;
}

type Kept = { readonly key: string; readonly column: ExactColumn } | null;

/** Keep `out` the cell at `point` for as long as that rests. */
function follow(panel: Panel, point: ReadonlySignal<Point | null>, out: Signal<Exact | null>): () => void {
  let kept: Kept = null;

  async function ask(m: HeatMatrix, t: number, bin: number, signal: AbortSignal): Promise<void> {
    const picture = panel.wanted.peek();
    if (!picture) return;
    const timeMs = m.timeMs(t);
    const key = `${picture.key}/${timeMs}/${m.edge(0)}/${m.edge(m.bins)}`;
    let column = kept?.key === key ? kept.column : null;
    try {
      const rows = [m.edge(0), m.edge(m.bins)] as const;
      // A column is the same whatever came after it: one window, built once, serves them all.
      const windowEndMs = panel.past.peek()?.span[1] ?? null;
      column ??= await fetchColumn(picture, timeMs, rows, windowEndMs, signal);
    } catch {
      return; // given up, or refused: the coarse figure stays
    }
    // The newest column is still being written.
    kept = t < m.width - 1 ? { key, column } : null;
    if (!signal.aborted && m === panel.matrix.peek()) out.value = pickCell(column, m, bin);
  }

  return effect(() => {
    const at = point.value;
    const m = panel.matrix.value;
    out.value = null;
    if (!m || !at) return;
    const t = Math.min(m.columnOf(at.timeMs), m.width - 1);
    const bin = Math.floor(m.position(at.price));
    if (t < 0 || bin < 0 || bin >= m.bins) return;
    const stop = new AbortController();
    const timer = window.setTimeout(() => void ask(m, t, bin, stop.signal), REST_MS);
    return () => {
      window.clearTimeout(timer);
      stop.abort();
    };
  });
}

/** Ask for the cells under the panel's cursor and its pin; returns how to stop. */
export function startExact(panel: Panel): () => void {
  const cursor = computed<Point | null>(() => {
    const at = panel.cursor.value;
    const m = panel.matrix.value;
    return at && m ? { timeMs: m.timeMs(at.column), price: at.price } : null;
  });
  const stops = [follow(panel, cursor, panel.exact), follow(panel, panel.pin, panel.exactPin)];
  return () => stops.forEach((stop) => stop());
}

/**
 * The exact figure under a resting cursor: the picture's codes are 2.4 % coarse.
 *
 * Asked for once the cursor rests, given up as soon as it moves. An answer on another grid
 * than the picture's is not shown: it would be exact about something else.
 */

import { effect } from '@preact/signals';

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
  };
}

/** Ask for the cell under the panel's cursor whenever it rests; returns how to stop. */
export function startExact(panel: Panel): () => void {
  let kept: { readonly key: string; readonly column: ExactColumn } | null = null;

  async function ask(m: HeatMatrix, t: number, bin: number, signal: AbortSignal): Promise<void> {
    const picture = panel.wanted.peek();
    if (!picture) return;
    const timeMs = m.timeMs(t);
    const key = `${picture.key}/${timeMs}/${m.edge(0)}/${m.edge(m.bins)}`;
    let column = kept?.key === key ? kept.column : null;
    try {
      column ??= await fetchColumn(picture, timeMs, m.edge(0), m.edge(m.bins), signal);
    } catch {
      return; // given up, or refused: the coarse figure stays
    }
    // The newest column is still being written.
    kept = t < m.width - 1 ? { key, column } : null;
    if (!signal.aborted && m === panel.matrix.peek()) panel.exact.value = pickCell(column, m, bin);
  }

  return effect(() => {
    const at = panel.cursor.value;
    const m = panel.matrix.value;
    panel.exact.value = null;
    if (!m || !at) return;
    const t = Math.min(at.column, m.width - 1);
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

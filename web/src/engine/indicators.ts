/**
 * The columns of the sub-panes: RSI, cumulative volume delta, and rows laid on the matrix. Pure.
 *
 * A column is a Float64Array as wide as the matrix, NaN where nothing is known. NaN is never
 * turned into 0 on the way: a step without liquidations and a step which nobody recorded are
 * different facts.
 */

import type { HeatMatrix } from './matrix';

export const RSI_PERIOD = 14;

/** What of the matrix says where a step lies; `HeatMatrix` has it. */
export type Steps = Pick<HeatMatrix, 'width' | 'startMs'> & { readonly grid: { readonly stepMs: number } };

/** Per-step values of the server, by the start of the step [ms]; null is unknown. */
export interface Rows {
  readonly startMs: readonly number[];
  readonly values: readonly (number | null)[];
}

/**
 * The rows on the matrix's columns: by time, not by place, for the two windows may differ by a
 * column which has just closed. Rows between two columns are of another step and left out.
 */
export function align({ startMs, values }: Rows, to: Steps): Float64Array {
  const out = new Float64Array(to.width).fill(NaN);
  const { stepMs } = to.grid;
  for (let i = 0; i < startMs.length; i++) {
    const t = (startMs[i] - to.startMs) / stepMs;
    const value = values[i];
    if (value !== null && Number.isInteger(t) && t >= 0 && t < to.width) out[t] = value;
  }
  return out;
}

/**
 * Wilder's relative strength index of closes, 0 to 100.
 *
 * The mean gain and loss of the first `period` changes start it; after that each mean is
 * (old × (period − 1) + new) / period. A step without a close has no value and changes nothing:
 * the next change is counted from the last known close.
 */
export function rsi(close: ArrayLike<number>, width: number, period: number = RSI_PERIOD): Float64Array {
  const out = new Float64Array(width).fill(NaN);
  let before = NaN;
  let gain = 0;
  let loss = 0;
  let seen = 0;
  for (let t = 0; t < width; t++) {
    if (Number.isNaN(close[t])) continue;
    const change = close[t] - before;
    before = close[t];
    if (Number.isNaN(change)) continue;
    seen++;
    // A running mean until there are `period` changes, Wilder's smoothing from then on.
    const weight = 1 / Math.min(seen, period);
    gain += (Math.max(change, 0) - gain) * weight;
    loss += (Math.max(-change, 0) - loss) * weight;
    if (seen >= period) out[t] = gain + loss === 0 ? 50 : (100 * gain) / (gain + loss);
  }
  return out;
}

/**
 * Cumulative volume delta [USD]: takers' buys less takers' sells, summed from the first column.
 *
 * A step whose split is unknown has no value; the sum goes on after it without what it held.
 */
export function cvd(takerBuy: Float64Array, takerSell: Float64Array): Float64Array {
  const out = new Float64Array(takerBuy.length).fill(NaN);
  let sum = 0;
  for (let t = 0; t < out.length; t++) {
    const delta = takerBuy[t] - takerSell[t];
    if (!Number.isNaN(delta)) out[t] = sum += delta;
  }
  return out;
}

/** The newest known value at or before column `t`; its column, or −1. */
export function lastKnown(column: Float64Array, t: number = column.length - 1): number {
  for (let i = Math.min(t, column.length - 1); i >= 0; i--) if (!Number.isNaN(column[i])) return i;
  return -1;
}

/** Least and greatest known value of columns [from, to); null when none is known. */
export function extent(column: Float64Array, from: number, to: number): readonly [number, number] | null {
  let low = Infinity;
  let high = -Infinity;
  for (let t = Math.max(0, from); t < Math.min(to, column.length); t++) {
    if (column[t] < low) low = column[t];
    if (column[t] > high) high = column[t];
  }
  return low <= high ? [low, high] : null;
}

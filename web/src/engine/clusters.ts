/**
 * Runs of neighboring bins which stand out: the picture as a table.
 *
 * The rule, in one place: a bin stands out when it holds more than `STANDS_OUT` of what the
 * largest bin of the same column holds; neighbors of one side which stand out are a cluster.
 */

import type { HeatMatrix, Side } from './matrix';

export interface Cluster {
  readonly side: Side;
  readonly priceLow: number;
  readonly priceHigh: number;
  readonly usd: number;
}

/** Bins [from, to) of one side which stand out. */
export interface Run {
  readonly side: Side;
  readonly from: number;
  readonly to: number;
  readonly usd: number;
}

/** A bin stands out above this share of the column's largest. */
const STANDS_OUT = 0.45;

/** The USD a bin must exceed to stand out in its column. */
export function standsOutAbove(usd: ArrayLike<number>): number {
  let most = 0;
  for (let p = 0; p < usd.length; p++) if (usd[p] > most) most = usd[p];
  return STANDS_OUT * most;
}

/** Every run of a column, in the order of price. */
export function runsOf(usd: ArrayLike<number>, sideOf: (bin: number) => Side): Run[] {
  const floor = standsOutAbove(usd);
  const out: Run[] = [];
  for (let p = 0; p < usd.length; p++) {
    if (!(usd[p] > floor)) continue;
    const from = p;
    const side = sideOf(p);
    let sum = usd[p];
    while (p + 1 < usd.length && usd[p + 1] > floor && sideOf(p + 1) === side) sum += usd[++p];
    out.push({ side, from, to: p + 1, usd: sum });
  }
  return out;
}

/** The largest runs of the newest column, by USD. */
export function largestClusters(matrix: HeatMatrix, count: number): Cluster[] {
  const t = matrix.width - 1;
  const usd = Float64Array.from(matrix.column(t), (code) => matrix.usd[code]);
  return runsOf(usd, (p) => matrix.side(t, p))
    .map(({ side, from, to, usd: sum }) => ({
      side,
      priceLow: matrix.edge(from),
      priceHigh: matrix.edge(to),
      usd: sum,
    }))
    .sort((a, b) => b.usd - a.usd)
    .slice(0, count);
}

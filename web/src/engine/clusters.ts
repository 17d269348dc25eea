/** Runs of neighboring bins which stand out: the picture as a table. */

import type { HeatMatrix, Side } from './matrix';

export interface Cluster {
  readonly side: Side;
  readonly priceLow: number;
  readonly priceHigh: number;
  readonly usd: number;
}

/** A bin stands out above this share of the column's largest. */
const STANDS_OUT = 0.45;

/** The largest runs of the newest column, by USD. */
export function largestClusters(matrix: HeatMatrix, count: number): Cluster[] {
  const t = matrix.width - 1;
  const usd = Array.from(matrix.column(t), (code) => matrix.usd[code]);
  const floor = STANDS_OUT * Math.max(...usd);
  const out: Cluster[] = [];
  for (let p = 0; p < usd.length; p++) {
    if (!(usd[p] > floor)) continue;
    const from = p;
    const side = matrix.side(t, p);
    let sum = usd[p];
    while (p + 1 < usd.length && usd[p + 1] > floor && matrix.side(t, p + 1) === side) {
      sum += usd[++p];
    }
    out.push({ side, priceLow: matrix.edge(from), priceHigh: matrix.edge(p + 1), usd: sum });
  }
  return out.sort((a, b) => b.usd - a.usd).slice(0, count);
}

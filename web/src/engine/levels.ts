/**
 * Questions about a matrix: what is at the cursor, and what lies between here and there.
 *
 * Longs are liquidated below the price, shorts above it; a cell's side follows from the close
 * of its column. Values come from one-byte codes (2.4 % steps), so the page writes "~".
 */

import type { HeatMatrix, Side } from './matrix';

export interface CellReading {
  readonly column: number;
  readonly bin: number;
  readonly priceLow: number;
  readonly priceHigh: number;
  readonly usd: number;
  readonly side: Side;
}

/** The cell at a price; null outside of the grid. Columns are clamped to the newest. */
export function cellAt(matrix: HeatMatrix, column: number, price: number): CellReading | null {
  const t = Math.min(column, matrix.width - 1);
  const bin = Math.floor(matrix.position(price));
  if (t < 0 || bin < 0 || bin >= matrix.bins) return null;
  return {
    column: t,
    bin,
    priceLow: matrix.edge(bin),
    priceHigh: matrix.edge(bin + 1),
    usd: matrix.usd[matrix.column(t)[bin]],
    side: matrix.side(t, bin),
  };
}

/** USD of the newest column met on the way from the last price to `price`, both inclusive. */
export function usdBetween(matrix: HeatMatrix, lastPrice: number, price: number): number {
  const a = matrix.position(Math.min(lastPrice, price));
  const b = matrix.position(Math.max(lastPrice, price));
  const first = Math.max(0, Math.floor(a));
  const last = Math.min(matrix.bins - 1, Math.floor(b));
  const codes = matrix.column(matrix.width - 1);
  // The bin of the price itself holds levels of one side only: count it for that side.
  const wanted: Side = price < lastPrice ? 'long' : 'short';
  let sum = 0;
  for (let p = first; p <= last; p++) {
    if (codes[p] !== 0 && matrix.side(matrix.width - 1, p) === wanted) sum += matrix.usd[codes[p]];
  }
  return sum;
}

export interface Totals {
  readonly long: number;
  readonly short: number;
}

/** USD per side of one column, over the whole grid. */
export function totals(matrix: HeatMatrix, column: number): Totals {
  let long = 0;
  let short = 0;
  const codes = matrix.column(column);
  const split = matrix.position(matrix.closeAt(column));
  for (let p = 0; p < codes.length; p++) {
    if (codes[p] === 0) continue;
    if (p + 0.5 < split) long += matrix.usd[codes[p]];
    else short += matrix.usd[codes[p]];
  }
  return { long, short };
}

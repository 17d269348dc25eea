/**
 * The color range at every moment of a window, by the columns known then.
 *
 * It is decided in one order, from the first column on: however one got to a moment, the
 * colors are the same, and no later column has a part in them.
 */

import { CLIP_SLACK, colorRange, type ColorRange } from './clip';
import type { HeatMatrix } from './matrix';
import { inView } from './room';

/** Columns between two looks at the range. */
const EVERY = 16;

export class KnownRange {
  /** How often each code occurred in each bin so far. */
  private readonly counts: Uint16Array;
  private counted = 0;
  private low = Infinity;
  private high = -Infinity;
  private readonly found: ColorRange[] = [];

  /** `matrix` must not change any more. */
  constructor(private readonly matrix: HeatMatrix) {
    this.counts = new Uint16Array(256 * matrix.bins);
  }

  /** The range when the first `columns` columns are known; at least one. */
  at(columns: number): ColorRange {
    const look = Math.floor(columns / EVERY);
    while (this.found.length <= look) this.next();
    return this.found[look];
  }

  private next(): void {
    this.count(Math.max(1, this.found.length * EVERY));
    const range = colorRange(this.inSight(), this.matrix.usd);
    const before = this.found.at(-1);
    const same = before && before.code > 0 && Math.abs(range.code - before.code) < CLIP_SLACK;
    this.found.push(same ? before : range);
  }

  private count(until: number): void {
    const { matrix, counts } = this;
    const { bins, codes, candles } = matrix;
    for (; this.counted < until; this.counted++) {
      const t = this.counted;
      for (let p = 0, i = t * bins; p < bins; p++, i++) counts[256 * p + codes[i]]++;
      if (candles.low[t] < this.low) this.low = candles.low[t];
      if (candles.high[t] > this.high) this.high = candles.high[t];
    }
  }

  /** How often each code occurs between the prices of the view. */
  private inSight(): Uint32Array {
    const { matrix, counts, low, high } = this;
    const all = [0, Infinity] as const;
    const [bottom, top] = low <= high ? inView(matrix, low, high, this.counted - 1) : all;
    const first = Math.max(0, Math.floor(matrix.position(bottom)) || 0);
    const end = Math.min(matrix.bins, Math.ceil(matrix.position(top)));
    const sums = new Uint32Array(256);
    for (let p = first; p < end; p++) {
      for (let c = 1, i = 256 * p + 1; c < 256; c++, i++) sums[c] += counts[i];
    }
    return sums;
  }
}

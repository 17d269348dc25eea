/**
 * Realised liquidations as bubbles, so that anyone sees whether the map was right.
 *
 * Rows are summed per side over cells about as large as a bubble, so a cascade is one large
 * mark instead of a smear. The sums are kept until the zoom, the rows or the grid change: a
 * pan draws what is there already.
 */

import type { HeatMatrix, Side } from './matrix';

export interface Realised {
  readonly timeMs: number;
  readonly price: number;
  readonly usd: number;
  readonly side: Side;
}

export interface Bubble extends Realised {
  readonly count: number;
}

/** Rows kept; the oldest go first. */
const ROWS_MOST = 5000;

/** The smallest power of two which makes `size` pixels reach `wanted`. */
export function groupOf(size: number, wanted: number): number {
  return size > 0 ? 2 ** Math.max(0, Math.min(16, Math.ceil(Math.log2(wanted / size)))) : 1;
}

export class Tape {
  private rows: Realised[] = [];
  private key = '';
  private made: readonly Bubble[] = [];
  private revision = 0;
  private limitMs = Infinity;

  /** Nothing from this time on is shown (time travel); all by default. */
  get untilMs(): number {
    return this.limitMs;
  }

  set untilMs(timeMs: number) {
    if (timeMs === this.limitMs) return;
    this.limitMs = timeMs;
    this.revision++;
  }

  /** A copy of the rows. */
  all(): readonly Realised[] {
    return [...this.rows];
  }

  clear(): void {
    this.rows = [];
    this.revision++;
  }

  add(rows: readonly Realised[]): void {
    this.rows.push(...rows);
    if (this.rows.length > ROWS_MOST) this.rows.splice(0, this.rows.length - ROWS_MOST);
    this.revision++;
  }

  get size(): number {
    return this.rows.length;
  }

  /** Sums over `columns` x `bins` cells, the largest first. */
  bubbles(matrix: HeatMatrix, columns: number, bins: number): readonly Bubble[] {
    const { stepMs, pLo, pStep } = matrix.grid;
    const key = [this.revision, stepMs, pLo, pStep, columns, bins].join();
    if (key !== this.key) {
      this.key = key;
      this.made = this.sum(matrix, stepMs * columns, bins);
    }
    return this.made;
  }

  private sum(matrix: HeatMatrix, ms: number, bins: number): Bubble[] {
    const cells = new Map<string, { time: number; price: number; usd: number; count: number; side: Side }>();
    for (const { timeMs, price, usd, side } of this.rows) {
      if (!(usd > 0 && price > 0 && timeMs < this.limitMs)) continue;
      // Cells are anchored in time and price: they stay put while the picture scrolls.
      const key = `${side[0]}${Math.floor(timeMs / ms)}/${Math.floor(matrix.position(price) / bins)}`;
      let cell = cells.get(key);
      if (!cell) cells.set(key, (cell = { time: 0, price: 0, usd: 0, count: 0, side }));
      cell.time += timeMs * usd;
      cell.price += price * usd;
      cell.usd += usd;
      cell.count++;
    }
    return [...cells.values()]
      .map(({ time, price, usd, count, side }) => ({
        timeMs: time / usd,
        price: price / usd,
        usd,
        count,
        side,
      }))
      .sort((a, b) => b.usd - a.usd);
  }
}

/**
 * Time travel: a matrix which shows a window as it was known at the end of one of its columns.
 *
 * A column of the map uses nothing after the end of its step, so the map as known at the end
 * of column k is the columns 0..k and nothing else: no candle, no level, no liquidation, and
 * no color decided by what came later. The window is copied, for the live one goes on.
 *
 *     whole   columns 0..n-1, private                 seek(k)  -->  shown  columns 0..k
 *     rows    liquidations of the window, private               -->  tape   those before its end
 *
 * Invariant: whoever holds `shown`, `tape` and `range` cannot tell two windows apart which are
 * equal up to column k. What is known before a look is the window itself: its length, its grid
 * of prices, and the USD range of its codes.
 */

import type { Snapshot } from '../net/codec';
import type { ColorRange } from './clip';
import { KnownRange } from './known';
import { HeatMatrix } from './matrix';
import { Tape, type Realised } from './tape';

const SERIES = ['open', 'high', 'low', 'close', 'qty'] as const;

/** A copy of the first `width` columns, as if they had just come. */
export function snapshotOf(matrix: HeatMatrix, width = matrix.width): Snapshot {
  const [open, high, low, close, qty] = SERIES.map((name) => matrix.candles[name].slice(0, width));
  return {
    header: { ...matrix.grid, t0Ms: matrix.startMs, columns: width },
    codes: matrix.codes.slice(0, width * matrix.bins),
    candles: { open, high, low, close, qty },
  };
}

/** Take columns `width..end-1` of another matrix of the same grid and start. */
function extend(matrix: HeatMatrix, source: HeatMatrix, end: number): void {
  const { width: from, bins } = matrix;
  matrix.codes.set(source.codes.subarray(from * bins, end * bins), from * bins);
  for (const name of SERIES) matrix.candles[name].set(source.candles[name].subarray(from, end), from);
  matrix.width = end;
  matrix.rewritten(from, end - 1);
}

/** Keep the first `width` columns; nothing of the others is left, pooled levels included. */
function cut(matrix: HeatMatrix, width: number): void {
  const { width: before, bins } = matrix;
  matrix.codes.fill(0, width * bins, before * bins);
  for (const name of SERIES) matrix.candles[name].fill(NaN, width, before);
  matrix.width = width;
  matrix.rewritten(width, before - 1);
}

/** The columns, both included, which came, went or changed. */
export interface Moved {
  readonly first: number;
  readonly last: number;
}

export class Replay {
  readonly shown: HeatMatrix;
  readonly tape = new Tape();
  private readonly whole: HeatMatrix;
  private readonly known: KnownRange;

  /** `window` has at least one column; it is taken over and must not be used elsewhere. */
  constructor(window: Snapshot, rows: readonly Realised[]) {
    this.whole = new HeatMatrix(window);
    this.known = new KnownRange(this.whole);
    this.shown = new HeatMatrix(snapshotOf(this.whole, 1), this.columns);
    this.shown.ahead = this.columns - 1;
    this.tape.add(rows);
    this.tape.untilMs = this.asOfMs;
  }

  /** Columns of the window, known or not. */
  get columns(): number {
    return this.whole.width;
  }

  /** The last column shown. */
  get column(): number {
    return this.shown.width - 1;
  }

  /** What is shown was known at this time: the end of the last column. */
  get asOfMs(): number {
    return this.shown.timeMs(this.shown.width);
  }

  /** The first and the last time to which one can travel in this window. */
  get span(): readonly [number, number] {
    return [this.whole.timeMs(1), this.whole.timeMs(this.columns)];
  }

  /** The colors, by what is shown alone. */
  get range(): ColorRange {
    return this.known.at(this.shown.width);
  }

  /**
   * What followed, for who asks to see it: the whole window. Its liquidations are in `tape`
   * until it is hidden again, or another moment is shown.
   */
  reveal(on: boolean): HeatMatrix | null {
    this.tape.untilMs = on ? Infinity : this.asOfMs;
    return on ? this.whole : null;
  }

  /** The last column which had ended by a time; the first, or the last, where there is none. */
  columnAt(timeMs: number): number {
    return this.clamp(this.whole.columnOf(timeMs) - 1);
  }

  /** Show the columns up to k; null when they are shown already. */
  seek(k: number): Moved | null {
    const { shown } = this;
    const before = this.column;
    const to = this.clamp(k);
    if (to === before) return null;
    if (to > before) extend(shown, this.whole, to + 1);
    else cut(shown, to + 1);
    shown.ahead = this.columns - shown.width;
    this.tape.untilMs = this.asOfMs;
    return { first: Math.min(before, to) + 1, last: Math.max(before, to) };
  }

  private clamp(k: number): number {
    return Math.max(0, Math.min(this.columns - 1, k));
  }
}

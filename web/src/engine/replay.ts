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
    this.shown = new HeatMatrix(this.whole.snapshot(1), this.columns);
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
    if (to > before) shown.extend(this.whole, to + 1);
    else shown.cut(to + 1);
    shown.ahead = this.columns - shown.width;
    this.tape.untilMs = this.asOfMs;
    return { first: Math.min(before, to) + 1, last: Math.max(before, to) };
  }

  private clamp(k: number): number {
    return Math.max(0, Math.min(this.columns - 1, k));
  }
}

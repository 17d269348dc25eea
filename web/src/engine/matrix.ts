/**
 * The heat matrix the page holds: the last snapshot plus every column since.
 *
 * Columns are appended in place. When the room is used up, the oldest SCROLL columns are
 * dropped at once: a multiple of 8, so pooled groups never straddle the seam, and only
 * every 64th append costs more than one column. On the wire a column keeps the index it had
 * from the snapshot on; `dropped` turns that into ours.
 *
 * Invariant: `sideClose[t]` is the close that divides longs (below) from shorts (above),
 * carried over gaps. `codes` are the data; `drawn` is what is to be seen of them: the same, or
 * a copy without the side that is hidden.
 */

import { maskColumn } from './mask';
import { usdTable, type CandleRow, type Candles, type Header, type Snapshot } from '../net/codec';
import { Pyramid } from './pool';

export const SCROLL = 64;

export type Side = 'long' | 'short';

// Room above and below the candles: a share of their span, at least a share of the price.
const ROOM = 0.55;
const ROOM_LEAST = 0.02;

/** The prices worth showing around candles from `low` to `high`: the levels beside them. */
export function withRoom(low: number, high: number): readonly [number, number] {
  const room = Math.max(ROOM * (high - low), ROOM_LEAST * high);
  return [low - room, high + room];
}

/** The code below which `share` of the non-empty cells lie; 0 when all are empty. */
export function percentileCode(counts: Uint32Array, share: number): number {
  let total = 0;
  for (let c = 1; c < 256; c++) total += counts[c];
  if (total === 0) return 0;
  let seen = 0;
  for (let c = 1; c < 256; c++) {
    seen += counts[c];
    if (seen >= share * total) return c;
  }
  return 255;
}

export class HeatMatrix {
  readonly grid: Header;
  readonly usd: Float64Array;
  readonly codes: Uint8Array;
  readonly candles: Candles;
  readonly sideClose: Float32Array;
  /** Of what is drawn. Another one after `showSide`. */
  pyramid: Pyramid;
  readonly capacity: number;
  width: number;
  /** Columns scrolled away since the snapshot. */
  dropped = 0;
  /** Columns of the window after the last, of which nothing is known yet (time travel). */
  ahead = 0;
  private shownSide: Side | null = null;
  private drawn: Uint8Array;

  constructor(
    snapshot: Snapshot,
    readonly limit: number = snapshot.header.columns,
  ) {
    const { header } = snapshot;
    this.grid = header;
    this.width = header.columns;
    this.capacity = Math.max(this.limit, this.width) + SCROLL;
    this.usd = usdTable(header.vMin, header.vMax);
    this.codes = new Uint8Array(this.capacity * header.bins);
    this.codes.set(snapshot.codes);
    const room = (from: Float32Array): Float32Array => {
      const out = new Float32Array(this.capacity).fill(NaN);
      out.set(from);
      return out;
    };
    const { open, high, low, close, qty } = snapshot.candles;
    this.candles = {
      open: room(open),
      high: room(high),
      low: room(low),
      close: room(close),
      qty: room(qty),
    };
    this.sideClose = new Float32Array(this.capacity).fill(NaN);
    this.carryClose(0);
    this.drawn = this.codes;
    this.pyramid = new Pyramid(this.drawn, header.bins, this.capacity);
  }

  /** Draw one side only; null is both. True when that changes what is drawn. */
  showSide(side: Side | null): boolean {
    if (side === this.shownSide) return false;
    this.shownSide = side;
    this.drawn = side === null ? this.codes : new Uint8Array(this.codes.length);
    for (let t = 0; t < this.width; t++) this.mask(t);
    this.pyramid = new Pyramid(this.drawn, this.bins, this.capacity);
    return true;
  }

  get bins(): number {
    return this.grid.bins;
  }

  get startMs(): number {
    return this.grid.t0Ms + this.dropped * this.grid.stepMs;
  }

  /** Start of column t; columns beyond the last are extrapolated. */
  timeMs(t: number): number {
    return this.startMs + t * this.grid.stepMs;
  }

  columnOf(timeMs: number): number {
    return Math.floor((timeMs - this.startMs) / this.grid.stepMs);
  }

  column(t: number): Uint8Array {
    return this.codes.subarray(t * this.bins, (t + 1) * this.bins);
  }

  /** Price of edge p (p = 0..bins); fractions lie inside a bin. */
  edge(p: number): number {
    const { pLo, pStep, log } = this.grid;
    return log ? pLo * Math.exp(p * pStep) : pLo + p * pStep;
  }

  center(p: number): number {
    return this.edge(p + 0.5);
  }

  /** Fractional edge index of a price: floor gives the bin. */
  position(price: number): number {
    const { pLo, pStep, log } = this.grid;
    return log ? Math.log(price / pLo) / pStep : (price - pLo) / pStep;
  }

  isGap(t: number): boolean {
    return Number.isNaN(this.candles.close[t]);
  }

  /** The last close known at or before column t. */
  closeAt(t: number): number {
    return this.sideClose[Math.max(0, Math.min(t, this.width - 1))];
  }

  side(t: number, p: number): Side {
    return this.center(p) < this.closeAt(t) ? 'long' : 'short';
  }

  /** The first bin of column t which belongs to shorts; `bins` when none does. */
  splitAt(t: number): number {
    const close = this.closeAt(t);
    if (!(close > 0)) return 0;
    // Near enough on any grid, then exactly as `side` has it.
    let split = Math.max(0, Math.min(this.bins, Math.floor(this.position(close))));
    while (split > 0 && this.center(split - 1) >= close) split--;
    while (split < this.bins && this.center(split) < close) split++;
    return split;
  }

  /** Add a column at the right; true when the oldest columns had to make room. */
  append(candle: CandleRow, codes: Uint8Array): boolean {
    const scrolled = this.width === this.capacity;
    if (scrolled) this.scroll();
    this.width++;
    this.write(this.width - 1, candle, codes);
    return scrolled;
  }

  replace(t: number, candle: CandleRow, codes: Uint8Array): void {
    this.write(t, candle, codes);
  }

  patch(t: number, candle: CandleRow, bins: Uint16Array, codes: Uint8Array): void {
    const column = this.column(t);
    for (let i = 0; i < bins.length; i++) {
      column[bins[i]] = codes[i];
    }
    this.setCandle(t, candle);
    this.changed(t);
  }

  /** Columns `first..last` were written, or cleared where they lie beyond the width. */
  rewritten(first: number, last: number): void {
    this.carryClose(first);
    this.sideClose.fill(NaN, this.width, last + 1);
    this.drawn.fill(0, this.width * this.bins, (last + 1) * this.bins);
    for (let t = first; t < this.width; t++) this.mask(t);
    this.pyramid.touch(first, this.width, last);
  }

  /** Lowest low and highest high; null when every column is a gap. */
  priceRange(): readonly [number, number] | null {
    let low = Infinity;
    let high = -Infinity;
    for (let t = 0; t < this.width; t++) {
      if (this.candles.low[t] < low) low = this.candles.low[t];
      if (this.candles.high[t] > high) high = this.candles.high[t];
    }
    return low <= high ? [low, high] : null;
  }

  /** How often each code occurs between two prices. */
  histogram(priceLow: number, priceHigh: number): Uint32Array {
    const counts = new Uint32Array(256);
    const first = Math.max(0, Math.floor(this.position(priceLow)));
    const end = Math.min(this.bins, Math.ceil(this.position(priceHigh)));
    for (let t = 0; t < this.width; t++) {
      for (let i = t * this.bins + first, n = t * this.bins + end; i < n; i++) {
        counts[this.codes[i]]++;
      }
    }
    return counts;
  }

  private write(t: number, candle: CandleRow, codes: Uint8Array): void {
    this.column(t).set(codes.subarray(0, this.bins));
    this.setCandle(t, candle);
    this.changed(t);
  }

  /** Bring what is drawn up to date; gaps after column t divide by its close, too. */
  private changed(t: number): void {
    do {
      this.mask(t);
      this.pyramid.touch(t++, this.width);
    } while (this.shownSide !== null && t < this.width && this.isGap(t));
  }

  private mask(t: number): void {
    if (this.shownSide === null) return;
    const column = { from: t * this.bins, bins: this.bins, split: this.splitAt(t) };
    maskColumn(this.drawn, this.codes, column, this.shownSide);
  }

  private setCandle(t: number, [open, high, low, close, qty]: CandleRow): void {
    const c = this.candles;
    c.open[t] = open;
    c.high[t] = high;
    c.low[t] = low;
    c.close[t] = close;
    c.qty[t] = qty;
    this.carryClose(t);
  }

  private carryClose(from: number): void {
    const { close } = this.candles;
    for (let t = from; t < this.width; t++) {
      const gap = Number.isNaN(close[t]);
      this.sideClose[t] = gap ? (t > 0 ? this.sideClose[t - 1] : NaN) : close[t];
    }
  }

  private scroll(): void {
    this.codes.copyWithin(0, SCROLL * this.bins);
    if (this.drawn !== this.codes) this.drawn.copyWithin(0, SCROLL * this.bins);
    const { open, high, low, close, qty } = this.candles;
    for (const series of [open, high, low, close, qty, this.sideClose]) {
      series.copyWithin(0, SCROLL);
    }
    this.width -= SCROLL;
    this.dropped += SCROLL;
    this.pyramid.clear();
  }
}

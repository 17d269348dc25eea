/**
 * Down-sampling by the MAXIMUM, so that no wall is ever lost.
 *
 * When more than one column (or bin) falls on a device pixel, nearest-neighbor scaling drops
 * whole walls and makes them flicker while panning. The pyramid keeps the matrix pooled by
 * 1, 2, 4, 8 along time and 1, 2, 4 along price; each level is built when first asked for
 * and then kept up to date one column at a time.
 */

export type TimeFactor = 1 | 2 | 4 | 8;
export type BinFactor = 1 | 2 | 4;

/** The smallest factor which leaves at most one cell a pixel (or the largest there is). */
export function timeFactor(columnsPerPixel: number): TimeFactor {
  return columnsPerPixel <= 1 ? 1 : columnsPerPixel <= 2 ? 2 : columnsPerPixel <= 4 ? 4 : 8;
}

export function binFactor(binsPerPixel: number): BinFactor {
  return binsPerPixel <= 1 ? 1 : binsPerPixel <= 2 ? 2 : 4;
}

/** Pool columns `first..last` of the level out of the source, by the maximum. */
export function poolInto(
  out: Uint8Array,
  source: Uint8Array,
  shape: { readonly width: number; readonly bins: number },
  factor: { readonly t: number; readonly p: number },
  first: number,
  last: number,
): void {
  const { width, bins } = shape;
  const outBins = Math.ceil(bins / factor.p);
  for (let j = first; j <= last; j++) {
    const row = j * outBins;
    out.fill(0, row, row + outBins);
    const end = Math.min(width, (j + 1) * factor.t);
    for (let t = j * factor.t; t < end; t++) {
      const from = t * bins;
      if (factor.p === 1) {
        for (let p = 0; p < bins; p++) {
          const code = source[from + p];
          if (code > out[row + p]) out[row + p] = code;
        }
      } else {
        const shift = factor.p === 2 ? 1 : 2;
        for (let p = 0; p < bins; p++) {
          const code = source[from + p];
          const q = row + (p >> shift);
          if (code > out[q]) out[q] = code;
        }
      }
    }
  }
}

/** One level: `width` columns of `bins` codes, column-major like the matrix. */
export interface Level {
  readonly t: TimeFactor;
  readonly p: BinFactor;
  readonly bins: number;
  /** Columns there is room for. */
  readonly capacity: number;
  codes: Uint8Array;
}

/** The pooled levels of one matrix. `source` must keep its identity. */
export class Pyramid {
  private readonly levels = new Map<string, Level>();

  constructor(
    private readonly source: Uint8Array,
    private readonly bins: number,
    private readonly capacity: number,
  ) {}

  level(t: TimeFactor, p: BinFactor, width: number): Level {
    const key = `${t}/${p}`;
    const known = this.levels.get(key);
    if (known) return known;
    const capacity = Math.ceil(this.capacity / t);
    const bins = Math.ceil(this.bins / p);
    const plain = t === 1 && p === 1;
    const codes = plain ? this.source : new Uint8Array(capacity * bins);
    const level: Level = { t, p, bins, capacity, codes };
    if (!plain && width > 0) this.fill(level, width, 0, Math.ceil(width / t) - 1);
    this.levels.set(key, level);
    return level;
  }

  /** Columns `column..last` changed: redo their groups in every level built so far. */
  touch(column: number, width: number, last = column): void {
    for (const level of this.levels.values()) {
      const first = Math.floor(column / level.t);
      if (level.t !== 1 || level.p !== 1) this.fill(level, width, first, Math.floor(last / level.t));
    }
  }

  /** Every column moved (the source scrolled): forget the levels. */
  clear(): void {
    this.levels.clear();
  }

  private fill(level: Level, width: number, first: number, last: number): void {
    const shape = { width, bins: this.bins };
    poolInto(level.codes, this.source, shape, { t: level.t, p: level.p }, first, last);
  }
}

/**
 * The side profile: what rests at each price now, and how much lies between here and there.
 *
 * `buildProfile` reads the newest column of the picture: per bin the USD of its side, and the
 * running sum outward from the price (longs downward, shorts upward). `split.ts` makes the same
 * by tier or exchange. The picture's codes are too coarse to say which of two bins holds more:
 * max pain comes from exact figures or not at all. Pure; `strip.ts` draws it.
 */

import type { HeatMatrix } from './matrix';
import type { MaxPain } from './maxpain';

/** One of the groups the levels are split by. */
export interface ProfileGroup {
  readonly name: string;
  readonly color: string;
  /** Both sides, per bin [USD]. */
  readonly usd: Float64Array;
}

export interface Profile {
  /** USD per bin, all groups. */
  readonly usd: Float64Array;
  /** Sum from the price outward, this bin included. */
  readonly cumulative: Float64Array;
  /** Bins below this index are long levels, the others short. */
  readonly split: number;
  /** Empty when split by side: then a bin's side is its group. */
  readonly groups: readonly ProfileGroup[];
  /** Of exact figures. */
  readonly pain: MaxPain;
}

/** USD per bin of both sides, on one grid. */
export interface Sides {
  readonly long_usd: ArrayLike<number>;
  readonly short_usd: ArrayLike<number>;
}

/** Running sums outward from the price, into one array: the sides do not overlap. */
export function outward({ long_usd, short_usd }: Sides, split: number): Float64Array {
  const n = long_usd.length;
  const out = new Float64Array(n);
  let sum = 0;
  for (let p = n - 1; p >= 0; p--) {
    sum += long_usd[p];
    if (p < split) out[p] = sum;
  }
  sum = 0;
  for (let p = 0; p < n; p++) {
    sum += short_usd[p];
    if (p >= split) out[p] = sum;
  }
  return out;
}

export const NO_PAIN: MaxPain = { long: null, short: null };

export function buildProfile(matrix: HeatMatrix, pain: MaxPain = NO_PAIN, column = matrix.width - 1): Profile {
  const split = matrix.splitAt(column);
  const usd = Float64Array.from(matrix.column(column), (code) => matrix.usd[code]);
  const sides = {
    long_usd: usd.map((x, p) => (p < split ? x : 0)),
    short_usd: usd.map((x, p) => (p < split ? 0 : x)),
  };
  return { usd, cumulative: outward(sides, split), split, groups: [], pain };
}

/**
 * The side profile: what rests at each price now, and how much lies between here and there.
 *
 * `buildProfile` reads the newest column of the picture: per bin the USD of its side, the
 * running sum outward from the price (longs downward, shorts upward), and the max pain of each
 * side. `split.ts` makes the same by tier or exchange. Pure; `strip.ts` draws it.
 */

import type { HeatMatrix } from './matrix';
import { maxPain, type MaxPain } from './maxpain';

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

function centers(matrix: HeatMatrix): Float64Array {
  return Float64Array.from({ length: matrix.bins }, (_, p) => matrix.center(p));
}

export function buildProfile(matrix: HeatMatrix, column = matrix.width - 1): Profile {
  const split = matrix.splitAt(column);
  const usd = Float64Array.from(matrix.column(column), (code) => matrix.usd[code]);
  const sides = {
    long_usd: usd.map((x, p) => (p < split ? x : 0)),
    short_usd: usd.map((x, p) => (p < split ? 0 : x)),
  };
  const pain = maxPain(centers(matrix), sides.long_usd, sides.short_usd);
  return { usd, cumulative: outward(sides, split), split, groups: [], pain };
}

/**
 * The side profile: what rests at each price now, and how much lies between here and there.
 *
 * `buildProfile` reads the newest column of the picture (by side); `buildSplit` reads a reply
 * of `/map` (by tier of leverage, or by exchange). Both give the same thing: per bin the USD,
 * its groups, the running sum outward from the price (longs downward, shorts upward), and the
 * max pain of each side. Pure; `strip.ts` draws it.
 */

import { MEASURED_COLOR, TIERS, TIER, exchangeColors, tierColor, tierOf, type Ground } from './groups';
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

export type SplitBy = 'tier' | 'exchange';

/** What a split needs of a reply of `/map`; USD per bin. */
export interface MapReply {
  readonly price: readonly number[];
  readonly long_usd: readonly number[];
  readonly short_usd: readonly number[];
  readonly tiers: readonly {
    readonly leverage: number;
    readonly long_usd: readonly number[];
    readonly short_usd: readonly number[];
  }[];
  readonly measured: readonly Sides[];
  readonly parts: readonly (Sides & { readonly exchange: string })[] | null;
}

interface Sides {
  readonly long_usd: ArrayLike<number>;
  readonly short_usd: ArrayLike<number>;
}

/** Running sums outward from the price, into one array: the sides do not overlap. */
function outward({ long_usd, short_usd }: Sides, split: number): Float64Array {
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

function both(n: number, all: readonly Sides[]): Float64Array {
  const out = new Float64Array(n);
  for (const { long_usd, short_usd } of all) {
    for (let p = 0; p < n; p++) out[p] += long_usd[p] + short_usd[p];
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

/** Whether a reply's prices are the picture's, within a fiftieth of a bin. */
export function onGrid(matrix: HeatMatrix, { price }: Pick<MapReply, 'price'>): boolean {
  if (price.length !== matrix.bins) return false;
  const near = (p: number): boolean => {
    const [low, high] = [matrix.edge(p), matrix.edge(p + 1)];
    return Math.abs(price[p] - (low + high) / 2) < 0.02 * (high - low);
  };
  return near(0) && near(matrix.bins - 1);
}

/** Groups without levels are left out; the rest in the order of leverage, or the largest first. */
function groupsOf(reply: MapReply, by: SplitBy, ground: Ground): ProfileGroup[] {
  const n = reply.price.length;
  const total = (group: ProfileGroup): number => group.usd.reduce((a, b) => a + b, 0);
  let groups: ProfileGroup[];
  if (by === 'tier') {
    groups = TIERS.map((tier) => ({
      name: TIER[tier].text,
      color: tierColor(tier, ground),
      usd: both(n, reply.tiers.filter(({ leverage }) => tierOf(leverage) === tier)),
    }));
    groups.push({ name: 'measured', color: MEASURED_COLOR[ground], usd: both(n, reply.measured) });
  } else {
    const parts = reply.parts ?? [];
    const colors = exchangeColors(parts.map(({ exchange }) => exchange), ground);
    groups = parts.map((part, i) => ({
      name: part.exchange,
      color: colors[i],
      usd: both(n, [part]),
    }));
    groups.sort((a, b) => total(b) - total(a));
  }
  return groups.filter((group) => total(group) > 0);
}

/** The newest column split by tier or exchange; null when the reply is of another grid. */
export function buildSplit(
  matrix: HeatMatrix,
  reply: MapReply,
  by: SplitBy,
  ground: Ground,
): Profile | null {
  if (!onGrid(matrix, reply)) return null;
  const split = matrix.splitAt(matrix.width - 1);
  return {
    usd: both(matrix.bins, [reply]),
    cumulative: outward(reply, split),
    split,
    groups: groupsOf(reply, by, ground),
    pain: maxPain(reply.price, reply.long_usd, reply.short_usd),
  };
}

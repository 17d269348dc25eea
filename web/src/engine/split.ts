/**
 * The side profile split by tier of leverage or by exchange, out of a reply of `/map`.
 *
 * The groups of a bin sum to the bin. Apart from the profile by side, so that a page which
 * never splits it need not load this.
 */

import { MEASURED_COLOR, exchangeColors, tierColor, type Ground } from './groups';
import type { HeatMatrix } from './matrix';
import { maxPain, type MaxPain } from './maxpain';
import { NO_PAIN, outward, type Profile, type ProfileGroup, type Sides } from './profile';
import { TIER, TIERS, tierOf } from './tiers';

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

function both(n: number, all: readonly Sides[]): Float64Array {
  const out = new Float64Array(n);
  for (const { long_usd, short_usd } of all) {
    for (let p = 0; p < n; p++) out[p] += long_usd[p] + short_usd[p];
  }
  return out;
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

/** Max pain of a reply; nowhere when it is of another grid. */
export function painOf(matrix: HeatMatrix, reply: MapReply): MaxPain {
  return onGrid(matrix, reply) ? maxPain(reply.price, reply.long_usd, reply.short_usd) : NO_PAIN;
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
    pain: painOf(matrix, reply),
  };
}

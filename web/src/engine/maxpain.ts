/**
 * Max pain: where the most of one side would be liquidated at once.
 *
 * Of each side the price bin that holds the most USD now: longs below the price, shorts above
 * it. (CoinGlass' live replies mean the same by `long_max_pain_liq_price` and `..._level`.)
 * It is a property of the map, not a forecast: nothing draws the price there. Of equal bins
 * the one nearest to the price counts. A side without levels has none.
 *
 * Pure; the profile and the map page both read this one function.
 */

import type { Side } from './matrix';

export interface PainPoint {
  readonly side: Side;
  readonly bin: number;
  /** Center of the bin [USD per unit]. */
  readonly price: number;
  /** What rests in the bin [USD]. */
  readonly usd: number;
  /** What is met on the way there from the price, the bin included [USD]. */
  readonly cumulativeUsd: number;
}

export interface MaxPain {
  readonly long: PainPoint | null;
  readonly short: PainPoint | null;
}

/** Walk outward from the price; a later bin must hold more to count. */
function find(side: Side, prices: ArrayLike<number>, usd: ArrayLike<number>): PainPoint | null {
  const n = prices.length;
  let found: PainPoint | null = null;
  let cumulativeUsd = 0;
  for (let i = 0; i < n; i++) {
    const bin = side === 'long' ? n - 1 - i : i;
    cumulativeUsd += usd[bin];
    if (usd[bin] > (found?.usd ?? 0)) {
      found = { side, bin, price: prices[bin], usd: usd[bin], cumulativeUsd };
    }
  }
  return found;
}

/**
 * Max pain of a column.
 *
 * `prices` are bin centers, ascending; `longUsd` and `shortUsd` hold a side each [USD], as
 * `/map` and `/column` give them. Long levels lie below the price and short levels above it,
 * so the way from the price is downward for longs and upward for shorts.
 */
export function maxPain(
  prices: ArrayLike<number>,
  longUsd: ArrayLike<number>,
  shortUsd: ArrayLike<number>,
): MaxPain {
  return { long: find('long', prices, longUsd), short: find('short', prices, shortUsd) };
}

/** How much of the price axis to show around the candles: as far as the next large levels. */

import { withRoom, type HeatMatrix } from './matrix';

/** A level is large from this share of the largest one in reach. */
const LARGE = 0.6;
/** Room left when large levels are near, and beyond them, as shares of the full room. */
const LEAST = 0.3;
const BEYOND = 0.12;

/** Shares 0..1 of the full room (`withRoom`) to show on either side. */
export interface Room {
  readonly below: number;
  readonly above: number;
}

export const FULL_ROOM: Room = { below: 1, above: 1 };

/** Outer price of the nearest large level between column t's close and `limit`; NaN without. */
export function nearestLarge(matrix: HeatMatrix, limit: number, t = matrix.width - 1): number {
  const codes = matrix.column(t);
  const last = matrix.closeAt(t);
  const step = limit > last ? 1 : -1;
  const clamp = (p: number): number => Math.max(0, Math.min(matrix.bins - 1, Math.floor(p)));
  const from = clamp(matrix.position(last)) + step;
  const end = clamp(matrix.position(limit)) + step;
  let most = 0;
  for (let p = from; p !== end && p >= 0 && p < codes.length; p += step) most = Math.max(most, matrix.usd[codes[p]]);
  let inside = false;
  for (let p = from; p !== end && p >= 0 && p < codes.length; p += step) {
    const large = most > 0 && matrix.usd[codes[p]] >= LARGE * most;
    if (inside && !large) return matrix.center(p);
    inside = large;
  }
  return inside ? limit : NaN;
}

/** The prices of the first view, for candles from `low` to `high`. */
export function inView(
  matrix: HeatMatrix,
  low: number,
  high: number,
  t = matrix.width - 1,
): readonly [number, number] {
  const [bottom, top] = withRoom(low, high);
  const { below, above } = roomAround(matrix, low, high, t);
  return [low - (low - bottom) * below, high + (top - high) * above];
}

/** What a column, the newest, asks for, given the candles in sight. */
export function roomAround(matrix: HeatMatrix, low: number, high: number, t = matrix.width - 1): Room {
  const [bottom, top] = withRoom(low, high);
  const share = (level: number, edge: number, limit: number): number => {
    const wanted = Number.isNaN(level) ? 0 : (level - edge) / (limit - edge) + BEYOND;
    return Math.max(LEAST, Math.min(1, wanted));
  };
  return {
    below: share(nearestLarge(matrix, Math.max(bottom, matrix.edge(0)), t), low, bottom),
    above: share(nearestLarge(matrix, Math.min(top, matrix.edge(matrix.bins)), t), high, top),
  };
}

/** What the chart makes of its candles when it fits the price axis. */
export type Scaled = { priceRange: { minValue: number; maxValue: number } | null } | null;

/** Candles plus room for the levels around them: they are what the page is about. */
export function withLevels(info: Scaled, matrix: HeatMatrix | null, { below, above }: Room): Scaled {
  if (!info?.priceRange || !matrix) return info;
  const { minValue, maxValue } = info.priceRange;
  const [low, high] = withRoom(minValue, maxValue);
  // Never beyond the matrix, unless the candles are: an empty strip says nothing.
  const bottom = Math.max(minValue - (minValue - low) * below, Math.min(minValue, matrix.edge(0)));
  const top = Math.min(maxValue + (high - maxValue) * above, Math.max(maxValue, matrix.edge(matrix.bins)));
  return { ...info, priceRange: { minValue: bottom, maxValue: top } };
}

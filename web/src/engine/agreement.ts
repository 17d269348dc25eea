/**
 * On which exchanges does a cluster exist?
 *
 * A level that many exchanges show is worth more than one which a single exchange makes: the
 * sum hides which it is. A cluster of the whole is a run of bins which stands out in the
 * whole's column (`clusters.ts`). It EXISTS ON AN EXCHANGE when a run of the same side stands
 * out, by the same rule, in that exchange's own column, and reaches into the cluster's prices
 * widened by `SLACK_BINS` on both sides: margin rules differ, so the same entries lie a bin
 * apart. Each exchange is held to its own largest level, not to the largest exchange's: a
 * small one can agree as well as a large one.
 *
 * Pure. USD per bin, all on one grid.
 */

import { runsOf, standsOutAbove, type Run } from './clusters';
import type { Side } from './matrix';

/** A part of a whole: one exchange's levels of one column. */
export interface ExchangePart {
  readonly exchange: string;
  readonly long_usd: ArrayLike<number>;
  readonly short_usd: ArrayLike<number>;
}

/** The same, and what each exchange adds to one cluster. */
export interface Agreement {
  readonly run: Run;
  readonly on: readonly string[];
  readonly off: readonly string[];
}

/** How far the same cluster may lie apart on two exchanges. */
export const SLACK_BINS = 1;

/** A bin's side in a column of two sides: whichever holds more. */
function sideOf(long: ArrayLike<number>, short: ArrayLike<number>): (bin: number) => Side {
  return (bin) => (long[bin] >= short[bin] ? 'long' : 'short');
}

function sum(long: ArrayLike<number>, short: ArrayLike<number>): Float64Array {
  return Float64Array.from({ length: long.length }, (_, p) => long[p] + short[p]);
}

/** The cluster a bin belongs to; null where nothing stands out. */
export function clusterAt(
  long: ArrayLike<number>,
  short: ArrayLike<number>,
  bin: number,
): Run | null {
  const runs = runsOf(sum(long, short), sideOf(long, short));
  return runs.find(({ from, to }) => bin >= from && bin < to) ?? null;
}

function existsOn({ long_usd, short_usd }: ExchangePart, run: Run): boolean {
  const usd = sum(long_usd, short_usd);
  const side = sideOf(long_usd, short_usd);
  const floor = standsOutAbove(usd);
  const last = Math.min(usd.length - 1, run.to - 1 + SLACK_BINS);
  for (let p = Math.max(0, run.from - SLACK_BINS); p <= last; p++) {
    if (usd[p] > floor && side(p) === run.side) return true;
  }
  return false;
}

/** Which exchanges show a cluster, the one with the most USD in it first. */
export function agreement(run: Run, parts: readonly ExchangePart[]): Agreement {
  const held = parts.map((part) => ({ part, usd: usdWithin(part, run) }));
  held.sort((a, b) => b.usd - a.usd);
  const names = (there: boolean): string[] =>
    held.filter(({ part }) => existsOn(part, run) === there).map(({ part }) => part.exchange);
  return { run, on: names(true), off: names(false) };
}

/** What an exchange holds of a cluster's side within its bins [USD]. */
function usdWithin(part: ExchangePart, { side, from, to }: Run): number {
  const usd = side === 'long' ? part.long_usd : part.short_usd;
  let total = 0;
  for (let p = from; p < to; p++) total += usd[p];
  return total;
}

/** "on 3 of 4 exchanges: binance, okx, bybit; not on gate". */
export function agreementText({ on, off }: Agreement): string {
  const n = on.length + off.length;
  if (n === 1) return on.length === 1 ? `only ${on[0]} has this coin here` : 'stands out on no exchange';
  if (on.length === 0) return `stands out on none of ${n} exchanges alone, only in their sum`;
  const names = `on ${on.length === n ? `all ${n}` : `${on.length} of ${n}`} exchanges: ${on.join(', ')}`;
  return off.length === 0 ? names : `${names}; not on ${off.join(', ')}`;
}

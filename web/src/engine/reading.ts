/**
 * What an exact column (or a profile) says of one bin: by exchange, measured or modelled.
 *
 * Pure; the tooltip puts it into words. USD throughout.
 */

import type { ExchangePart } from './agreement';
import type { Profile } from './profile';

/** Levels read from public positions of one instrument: part of the column they come with. */
export interface MeasuredLevels {
  readonly instrument: string;
  readonly age_ms: number | null;
  readonly long_usd: ArrayLike<number>;
  readonly short_usd: ArrayLike<number>;
}

export interface Share {
  readonly name: string;
  readonly usd: number;
  /** Of the sum of all, 0 to 1. */
  readonly share: number;
}

const at = (one: Pick<ExchangePart, 'long_usd' | 'short_usd'>, bin: number): number =>
  (one.long_usd[bin] ?? 0) + (one.short_usd[bin] ?? 0);

function shares(all: readonly { readonly name: string; readonly usd: number }[]): Share[] {
  const sum = all.reduce((total, { usd }) => total + usd, 0);
  return all
    .filter(({ usd }) => usd > 0)
    .map(({ name, usd }) => ({ name, usd, share: usd / sum }))
    .sort((a, b) => b.usd - a.usd);
}

/** What each exchange holds in a bin, the largest first; those with nothing are left out. */
export function exchangesAt(parts: readonly ExchangePart[], bin: number): Share[] {
  return shares(parts.map((part) => ({ name: part.exchange, usd: at(part, bin) })));
}

/** What each group of a split profile holds in a bin, the largest first. */
export function groupsAt({ groups }: Profile, bin: number): Share[] {
  return shares(groups.map(({ name, usd }) => ({ name, usd: usd[bin] })));
}

export interface Origin {
  /** Share of the bin's USD which is measured, 0 to 1. */
  readonly measured: number;
  /** Mean age of the positions it is read from, by USD [ms]; null where unknown. */
  readonly ageMs: number | null;
}

/** Whether a bin is modelled or measured; null where it holds nothing. */
export function originAt(
  column: Pick<ExchangePart, 'long_usd' | 'short_usd'>,
  measured: readonly MeasuredLevels[],
  bin: number,
): Origin | null {
  const whole = at(column, bin);
  if (!(whole > 0)) return null;
  let usd = 0;
  let known = 0;
  let age = 0;
  for (const one of measured) {
    const here = at(one, bin);
    usd += here;
    if (one.age_ms === null) continue;
    known += here;
    age += here * one.age_ms;
  }
  return { measured: Math.min(1, usd / whole), ageMs: known > 0 ? age / known : null };
}

/** A person's choices of leverage: which tiers are drawn, and a mixture in place of the model's. */

import { TIER, TIERS, tierOf, type Tier } from './tiers';

/** The tiers shown once one is switched; "" where all or none would be left. */
export function switchTier(shown: string, tier: Tier): string {
  const now = shown === '' ? [...TIERS] : shown.split(',');
  const next = TIERS.filter((one) => (one === tier) !== now.includes(one));
  return next.length === TIERS.length ? '' : next.join(',');
}

/** A share of notional per tier, in percent of whatever they sum to. */
export type Mixture = Readonly<Record<Tier, number>>;

/** "25:.5,50:.3": what the server takes as `leverage`; null where nothing is left. */
export function formatMixture(mixture: Mixture): string | null {
  const parts = TIERS.filter((tier) => mixture[tier] > 0).map(
    (tier) => `${TIER[tier].typical}:${String(mixture[tier] / 100).replace(/^0\./, '.')}`,
  );
  return parts.length === 0 ? null : parts.join(',');
}

/** The mixture of such a text, summed by tier; null where it is not one. */
export function parseMixture(text: string | null): Mixture | null {
  if (!text) return null;
  const out: Record<Tier, number> = { L1: 0, L2: 0, L3: 0, L4: 0, L5: 0 };
  for (const part of text.split(',')) {
    const match = /^(\d{1,3}(?:\.\d+)?):(\d*\.?\d+)$/.exec(part);
    const leverage = Number(match?.[1]);
    const share = Number(match?.[2]);
    if (!(leverage > 1 && share > 0 && share <= 1)) return null;
    out[tierOf(leverage)] += Math.round(share * 1000) / 10;
  }
  return out;
}

/**
 * Tiers of leverage: the five the page speaks of, which of the model's leverages each covers,
 * and a person's own mixture over them.
 */

export const TIERS = ['L1', 'L2', 'L3', 'L4', 'L5'] as const;
export type Tier = (typeof TIERS)[number];

/** The model's own leverages, as the server's prior has them. */
const LEVERAGES = [2, 3, 5, 10, 20, 25, 50, 75, 100, 125] as const;

export interface TierFacts {
  /** "≤ 5x". */
  readonly text: string;
  /** Leverages up to this one, above the tier before. */
  readonly upTo: number;
  /** The leverage which stands for the tier in a mixture of one's own. */
  readonly typical: number;
}

export const TIER: Record<Tier, TierFacts> = {
  L1: { text: '≤ 5x', upTo: 7, typical: 5 },
  L2: { text: '10x', upTo: 15, typical: 10 },
  L3: { text: '20–25x', upTo: 37, typical: 25 },
  L4: { text: '50x', upTo: 62, typical: 50 },
  L5: { text: '≥ 75x', upTo: Infinity, typical: 100 },
};

/** The tier of a leverage; one between two tiers belongs to the nearer (by ratio). */
export function tierOf(leverage: number): Tier {
  return TIERS.find((tier) => leverage <= TIER[tier].upTo) ?? 'L5';
}

/** The server's `tiers` of what is shown ("L1,L3"); undefined for all of them. */
export function leveragesOf(shown: string): string | undefined {
  const tiers = shown.split(',');
  const some = LEVERAGES.filter((leverage) => tiers.includes(tierOf(leverage)));
  return some.length === 0 || some.length === LEVERAGES.length ? undefined : some.join(',');
}

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

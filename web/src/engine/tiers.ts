/** Tiers of leverage: the five the page speaks of, and which of the model's leverages each covers. */

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

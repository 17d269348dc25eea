/**
 * What the levels are split by besides the side: tiers of leverage, and exchanges.
 *
 * Owns the page's five leverage tiers (which of the model's leverages each covers) and the
 * colors of tiers and exchanges. The colors keep a CIE distance of at least 20 (exchanges) and
 * 13 (tiers) from each other as seen with full, red-, green- and blue-weak vision, and 3:1 to
 * their ground.
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

/** The server's `tiers` of the tiers shown; null for all of them (or none: nothing to draw). */
export function leveragesOf(shown: readonly Tier[]): string | null {
  if (shown.length === 0 || shown.length === TIERS.length) return null;
  return LEVERAGES.filter((leverage) => shown.includes(tierOf(leverage))).join(',');
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

export const TIER_COLORS = {
  dark: ['#4f63c8', '#35b5e0', '#7ad67a', '#f2e35e', '#ff8048'],
  light: ['#27408b', '#0f86b8', '#6aa121', '#8a5a00', '#8f0f2e'],
} as const;
/** What is measured belongs to no tier of the model. */
export const MEASURED_COLOR = { dark: '#d9d9d9', light: '#6b6b6b' } as const;

const EXCHANGES = ['binance', 'bybit', 'okx', 'bitget', 'gate', 'hyperliquid', 'deribit', 'dydx'];
const EXCHANGE_COLORS = {
  dark: ['#a08020', '#ff80e0', '#e0e0e0', '#a060e0', '#a0e060', '#408040', '#e0c0a0', '#c040a0'],
  light: ['#a08020', '#c06080', '#404040', '#804080', '#8080ff', '#2020a0', '#e06060', '#a02020'],
} as const;
const OTHER_COLOR = { dark: '#a0a0a0', light: '#a080c0' } as const;

export type Ground = 'dark' | 'light';

export function tierColor(tier: Tier, ground: Ground): string {
  return TIER_COLORS[ground][TIERS.indexOf(tier)];
}

/**
 * A color for each exchange of a list: its own, whatever else is in the list. Exchanges which
 * have none of their own take those nobody in the list uses, then gray.
 */
export function exchangeColors(names: readonly string[], ground: Ground): string[] {
  const known = names.map((name) => EXCHANGES.indexOf(name));
  const free = EXCHANGE_COLORS[ground].filter((_, i) => !known.includes(i));
  return known.map((i) => (i >= 0 ? EXCHANGE_COLORS[ground][i] : (free.shift() ?? OTHER_COLOR[ground])));
}

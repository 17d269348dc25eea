/**
 * Colors of what the levels are split by besides the side: tiers of leverage, and exchanges.
 *
 * They keep a CIE distance of at least 20 (exchanges) and 13 (tiers) from each other as seen
 * with full, red-, green- and blue-weak vision, and 3:1 to their ground.
 */

import { TIERS, type Tier } from './tiers';

export { TIER, TIERS, tierOf } from './tiers';

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

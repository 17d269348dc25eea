/** How a person wants the feed of liquidations: for all instruments, kept in this browser. */

import { computed } from '@preact/signals';

import type { Side } from '../engine/matrix';
import { FEED_WIDTH, prefs, setPrefs } from './prefs';

/** What stands out: found from the rows shown, from so much on [USD], or nothing. */
export type Large = 'auto' | 'off' | number;

export interface FeedPrefs {
  readonly side: Side | 'all';
  /** Smallest notional shown [USD]; one of `MIN_USD`. */
  readonly minUsd: number;
  /** Exchanges left out where a coin is shown. */
  readonly hidden: readonly string[];
  readonly large: Large;
  /** Ages instead of times of day. */
  readonly age: boolean;
  /** Width of the panel [CSS px]. */
  readonly width: number;
  /** On a phone: the feed takes the whole height. */
  readonly tall: boolean;
}

export const MIN_USD = [0, 1e3, 1e4, 1e5, 1e6] as const;
export const LARGE = ['auto', 1e5, 5e5, 1e6, 5e6, 'off'] as const;
export const WIDTH = { least: 300, usual: FEED_WIDTH, most: 560 } as const;

const DEFAULT: FeedPrefs = {
  side: 'all',
  minUsd: 0,
  hidden: [],
  large: 'auto',
  age: false,
  width: WIDTH.usual,
  tall: false,
};

export function clampWidth(width: number): number {
  return Math.round(Math.max(WIDTH.least, Math.min(WIDTH.most, width)));
}

/** What was stored, as far as it makes sense. */
function sound(stored: Partial<FeedPrefs>): FeedPrefs {
  const { side, minUsd, hidden, large, width } = stored;
  return {
    side: side === 'long' || side === 'short' ? side : 'all',
    minUsd: MIN_USD.find((usd) => usd === minUsd) ?? DEFAULT.minUsd,
    hidden: Array.isArray(hidden) ? hidden.filter((name) => typeof name === 'string') : [],
    large: LARGE.find((usd) => usd === large) ?? DEFAULT.large,
    age: stored.age === true,
    width: typeof width === 'number' && Number.isFinite(width) ? clampWidth(width) : DEFAULT.width,
    tall: stored.tall === true,
  };
}

export const feedPrefs = computed<FeedPrefs>(() => sound(prefs.value.feed ?? {}));

export function setFeedPrefs(change: Partial<FeedPrefs>): void {
  setPrefs({ feed: { ...feedPrefs.peek(), ...change } });
}

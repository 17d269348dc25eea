/**
 * The liquidation map over REST: the newest column as a profile over price.
 *
 * A poll names the body it has (`If-None-Match`); an unchanged one costs a 304 and no parsing.
 */

import { getReply } from './api';

/** One part of the whole: a leverage tier's levels, or an exchange's [USD per bin]. */
interface Sides {
  readonly long_usd: readonly number[];
  readonly short_usd: readonly number[];
}

export interface MapReply extends Sides {
  readonly mode: 'live' | 'simulated' | 'replay';
  readonly instrument: string;
  readonly model: string;
  readonly model_version: string;
  readonly as_of_ms: number;
  readonly last_price: number;
  /** Bin centers, ascending [USD]. */
  readonly price: readonly number[];
  /** Sums from the price outward, each bin's own included [USD]. */
  readonly long_cumulative_usd: readonly number[];
  readonly short_cumulative_usd: readonly number[];
  /** Modelled levels by leverage; what is measured is not among them. */
  readonly tiers: readonly (Sides & { readonly leverage: number })[];
  readonly quality: { readonly usd_scale: 'relative' | 'usd'; readonly notes: readonly string[] };
  /** Shares of the open interest whose positions are public, 0 to 1. */
  readonly measured_share_long: number;
  readonly measured_share_short: number;
  readonly measured_age_ms: number | null;
  readonly measured: readonly (Sides & { readonly instrument: string; readonly positions: number })[];
  readonly parts: readonly (Sides & { readonly exchange: string })[] | null;
}

/** What a poll brought: a new body with its tag, or the news that there is none. */
export type MapAnswer = { readonly reply: MapReply; readonly etag: string | null } | 'unchanged';

/** Ask for the map; `etag` is the tag of the body at hand. */
export async function fetchMap(
  parameters: URLSearchParams,
  etag: string | null,
  signal: AbortSignal,
): Promise<MapAnswer> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (etag !== null) headers['if-none-match'] = etag;
  const response = await getReply(`map?${parameters.toString()}`, headers, signal);
  if (response.status === 304) return 'unchanged';
  return { reply: (await response.json()) as MapReply, etag: response.headers.get('etag') };
}

/** `GET /api/v1/series`: what happened beside the map, one value a column of the same window. */

import { getJson } from './api';
import type { Subscription } from './ws';

type Numbers = (number | null)[];

/** Values by step; null is unknown, 0 is none. */
export interface SeriesColumns {
  open_interest_usd: Numbers;
  /** Instruments in the sum of open interest. */
  open_interest_of: number[];
  /** A fraction, for its own interval. */
  funding_rate: Numbers;
  qty_usd: Numbers;
  taker_buy_usd: Numbers;
  taker_sell_usd: Numbers;
  liquidated_long_usd: Numbers;
  liquidated_short_usd: Numbers;
}

export interface Series extends SeriesColumns {
  readonly mode: string;
  readonly instrument: string;
  /** The instrument whose funding it is, and whose candles are drawn. */
  readonly lead: string;
  readonly step_ms: number;
  /** One step after another, without holes. */
  start_ms: number[];
  readonly funding_interval_ms: number | null;
  readonly liquidations_completeness: string | null;
  readonly notes: readonly string[];
}

const COLUMNS: readonly (keyof SeriesColumns | 'start_ms')[] = [
  'start_ms',
  'open_interest_usd',
  'open_interest_of',
  'funding_rate',
  'qty_usd',
  'taker_buy_usd',
  'taker_sell_usd',
  'liquidated_long_usd',
  'liquidated_short_usd',
];

/** Steps kept at most; a page which is open for days forgets the oldest. */
const KEPT = 16_384;

/** Another range or step of a picture; or its window which ends at a time. */
export interface SeriesChange extends Partial<Subscription> {
  readonly as_of_ms?: number;
}

export function fetchSeries(picture: Subscription, change: SeriesChange, signal: AbortSignal): Promise<Series> {
  const { instrument, exchanges, model, range, step, bins, scale } = { ...picture, ...change };
  const facts = { instrument, exchanges, model, range, step, bins, scale, as_of_ms: change.as_of_ms ?? null };
  const known = Object.entries(facts).filter(([, value]) => value !== null);
  const q = new URLSearchParams(known.map(([key, value]) => [key, String(value)]));
  return getJson(`series?${q.toString()}`, signal);
}

/**
 * `held` with the newer values of `recent` written over its end; null when they do not touch,
 * or are of another step: then the whole must be read again.
 */
export function merged(held: Series, recent: Series): Series | null {
  if (held.step_ms !== recent.step_ms || held.start_ms.length === 0 || recent.start_ms.length === 0) return null;
  const at = (recent.start_ms[0] - held.start_ms[0]) / held.step_ms;
  if (!Number.isInteger(at) || at > held.start_ms.length) return null;
  if (at < 0) return recent;
  const from = Math.max(0, at + recent.start_ms.length - KEPT);
  const columns = COLUMNS.map((name) => [name, [...held[name].slice(from, at), ...recent[name]]]);
  // Notes and completeness of the whole window are the whole's: the recent part knows less.
  return { ...held, ...(Object.fromEntries(columns) as Pick<Series, 'start_ms'>) };
}

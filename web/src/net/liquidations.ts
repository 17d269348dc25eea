/** Recorded liquidations over REST: pages of rows, and sums of the last hours. */

import { WINDOWS, type TotalsBy, type Window, type WindowTotal } from '../engine/feedtotals';
import { getJson } from './api';
import type { LiquidationRow } from './ws';

/** Rows of a page at most; the server gives no more. */
export const PAGE_ROWS = 1000;

export interface LiquidationsAsked {
  readonly instrument: string;
  /** Of a coin: only these, comma between; null is all. */
  readonly exchanges: string | null;
  /** Only rows of at least this notional [USD]. */
  readonly minUsd: number;
  /** Only rows since this time [ms]; null is a day back. */
  readonly sinceMs: number | null;
  /** Only rows before this time [ms]; null is up to now. */
  readonly untilMs: number | null;
  readonly limit: number;
}

export interface LiquidationsReply {
  /** Newest first. */
  readonly rows: readonly LiquidationRow[];
  /** There are older ones of those asked for. */
  readonly more: boolean;
  /** Sums over all rows before `asOfMs`, of every size. */
  readonly totals: TotalsBy;
  readonly asOfMs: number;
  /** By exchange: how completely it tells; null where it publishes none. */
  readonly completeness: Readonly<Record<string, string | null>>;
}

interface WireTotal {
  readonly long_usd: number;
  readonly short_usd: number;
  readonly count: number;
  readonly complete: boolean;
}

interface WireReply {
  readonly rows: readonly LiquidationRow[];
  readonly more: boolean;
  readonly totals: Readonly<Record<Window, WireTotal>>;
  readonly as_of_ms: number;
  readonly completeness: Readonly<Record<string, string | null>>;
}

function totalOf({ long_usd, short_usd, count, complete }: WireTotal): WindowTotal {
  return { longUsd: long_usd, shortUsd: short_usd, count, complete };
}

export async function fetchLiquidations(asked: LiquidationsAsked, signal: AbortSignal): Promise<LiquidationsReply> {
  const { instrument, exchanges, minUsd, sinceMs, untilMs, limit } = asked;
  const q = new URLSearchParams({ instrument, limit: String(limit) });
  if (exchanges !== null) q.set('exchanges', exchanges);
  if (minUsd > 0) q.set('min_usd', String(minUsd));
  if (sinceMs !== null) q.set('since_ms', String(sinceMs));
  if (untilMs !== null) q.set('until_ms', String(untilMs));
  const reply = await getJson<WireReply>(`liquidations?${q.toString()}`, signal);
  const totals = Object.fromEntries(WINDOWS.map((name) => [name, totalOf(reply.totals[name])]));
  return {
    rows: reply.rows,
    more: reply.more,
    totals: totals as Record<Window, WindowTotal>,
    asOfMs: reply.as_of_ms,
    completeness: reply.completeness,
  };
}

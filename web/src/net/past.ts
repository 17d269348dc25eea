/** The past over REST: the map as known at a time, and what was liquidated till then. */

import type { Realised } from '../engine/tape';
import { getJson, getReply, parametersOf } from './api';
import { decodeSnapshot, type Snapshot } from './codec';
import type { LiquidationRow, Subscription } from './ws';

/** Rows a page, which is the most the server gives, and pages: as many as a tape keeps. */
const PAGE_ROWS = 1000;
const PAGES_MOST = 5;

export function realisedOf({ event_ms, price, notional_usd, position_side }: LiquidationRow): Realised {
  return { timeMs: event_ms, price, usd: notional_usd, side: position_side };
}

/** The window of a picture which ends at a time: nothing later is in it. */
export async function fetchWindow(
  picture: Subscription,
  asOfMs: number,
  signal: AbortSignal,
): Promise<Snapshot> {
  const q = parametersOf(picture);
  const more = { format: 'bin', candles: '1', as_of_ms: String(asOfMs) };
  for (const [key, value] of Object.entries(more)) q.set(key, value);
  const reply = await getReply(`heatmap?${q.toString()}`, { accept: 'application/octet-stream' }, signal);
  return decodeSnapshot(new Uint8Array(await reply.arrayBuffer()));
}

/** Recorded liquidations of [sinceMs, untilMs), the newest where there are too many. */
export async function fetchTape(
  { instrument, exchanges }: Subscription,
  sinceMs: number,
  untilMs: number,
  signal: AbortSignal,
): Promise<readonly Realised[]> {
  const rows: LiquidationRow[] = [];
  let until = untilMs;
  for (let page = 0; page < PAGES_MOST; page++) {
    const q = new URLSearchParams({ instrument, since_ms: String(sinceMs), until_ms: String(until) });
    q.set('limit', String(PAGE_ROWS));
    if (exchanges !== null) q.set('exchanges', exchanges);
    const reply = await getJson<{ rows: LiquidationRow[] }>(`liquidations?${q.toString()}`, signal);
    rows.push(...reply.rows);
    if (reply.rows.length < PAGE_ROWS) break;
    until = reply.rows[reply.rows.length - 1].event_ms;
  }
  return rows.reverse().map(realisedOf);
}

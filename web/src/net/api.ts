/** The few REST calls the page makes. Addresses are relative: any path prefix works. */

import type { Problem, Subscription } from './ws';

export interface Instrument {
  readonly instrument: string;
  readonly exchange: string;
  readonly coin: string;
  readonly settlement: 'linear' | 'inverse';
  readonly tick_size: number;
  readonly start_ms: number | null;
  readonly end_ms: number | null;
  readonly bars: number;
  readonly interval_ms: number | null;
  readonly kinds: readonly string[];
}

export interface Health {
  readonly status: 'ok' | 'starting' | 'stale';
  readonly mode: string;
  readonly version: string;
  readonly model_version: string;
}

export class ApiError extends Error {
  override readonly name = 'ApiError';
  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title);
  }
}

/** The reply to a path under api/v1, or that it is as before; an error of the server, or none at all, is thrown. */
export async function getReply(path: string, headers: Record<string, string>, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`api/v1/${path}`, { headers, signal: signal ?? null });
  } catch {
    throw new ApiError({ status: 0, title: 'The server cannot be reached' });
  }
  if (response.ok || response.status === 304) return response;
  const title = `The server answered ${response.status}`;
  const request_id = response.headers.get('x-request-id') ?? undefined;
  const problem = (await response.json().catch(() => ({}))) as object;
  throw new ApiError({ status: response.status, title, ...(request_id && { request_id }), ...problem });
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await getReply(path, { accept: 'application/json' }, signal)).json()) as T;
}

export async function fetchInstruments(): Promise<readonly Instrument[]> {
  return (await getJson<{ instruments: Instrument[] }>('instruments')).instruments;
}

export function fetchHealth(): Promise<Health> {
  return getJson<Health>('health');
}

/** USD per bin of both sides. */
interface Sides {
  readonly long_usd: readonly number[];
  readonly short_usd: readonly number[];
}

/** One column, not quantised. */
export interface ExactColumn extends Sides {
  readonly start_ms: number;
  readonly price_edges: readonly number[];
  /** By exchange, when asked for. */
  readonly parts?: readonly (Sides & { readonly exchange: string })[] | null;
  /** Levels read from public positions, contained in the column's. */
  readonly measured?: readonly (Sides & { readonly instrument: string; readonly age_ms: number | null })[];
}

/** A picture's parameters, as every route takes them. */
export function parametersOf(picture: Subscription): URLSearchParams {
  const { instrument, exchanges, model, range, step, bins, scale, tiers, leverage } = picture;
  const facts = { instrument, model, range, bins, scale, step, exchanges, tiers, leverage };
  const given = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined);
  return new URLSearchParams(given.map(([key, value]) => [key, String(value)]));
}

/** The column at a time, on the picture's own grid, split by exchange; `asOfMs` is where its window ends, null is now. */
export function fetchColumn(
  picture: Subscription,
  timeMs: number,
  [priceMin, priceMax]: readonly [number, number],
  asOfMs: number | null,
  signal: AbortSignal,
): Promise<ExactColumn> {
  const q = parametersOf(picture);
  const more = { t: timeMs, price_min: priceMin, price_max: priceMax, parts: 'exchange' };
  for (const [key, value] of Object.entries(more)) q.set(key, String(value));
  if (asOfMs !== null) q.set('as_of_ms', String(asOfMs));
  return getJson(`column?${q.toString()}`, signal);
}

/** ws:// or wss:// address beside the page. */
export function socketUrl(page: string): string {
  const url = new URL('ws', page);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.search = url.hash = '';
  return url.href;
}

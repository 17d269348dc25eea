/**
 * The address bar is the state: whatever a person chose is in the query string.
 *
 *     ?s=BTC&ex=binance,okx&r=3d&m=sharp&step=5m&thr=0.05-0.9&scale=sqrt&ax=log&tz=local&pal=viridis&prof=0
 *
 * Defaults are left out, unknown values fall back to them, unknown keys are kept. Dragging
 * replaces the history entry, choosing pushes one, back and forward read it again.
 */

import { signal } from '@preact/signals';

import type { PaletteName, Transfer } from '../engine/lut';
import type { Zone } from '../engine/axis';

export const RANGES = ['12h', '24h', '48h', '3d', '1w', '2w', '1M', '3M', '6M', '1Y'] as const;
export const STEPS = ['1m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '12h', '1d'] as const;
export const MODELS = ['auto', 'sharp', 'zones', 'calibrated'] as const;
export const TRANSFERS = ['sqrt', 'linear', 'log'] as const;
export const PALETTES = ['viridis', 'cividis', 'inferno', 'mako', 'greys'] as const;

export type Range = (typeof RANGES)[number];
export type Step = (typeof STEPS)[number];
export type Model = (typeof MODELS)[number];

export interface Query {
  /** A contract, or a coin over all exchanges; "" until the instrument list has chosen one. */
  readonly instrument: string;
  /** Of a coin: the exchanges shown, comma between; "" is all. */
  readonly exchanges: string;
  readonly range: Range;
  readonly model: Model;
  /** null = the server chooses. */
  readonly step: Step | null;
  /** Color window as shares of the clip value; lo null = chosen from the data. */
  readonly lo: number | null;
  readonly hi: number;
  readonly transfer: Transfer;
  readonly palette: PaletteName;
  readonly logPrice: boolean;
  readonly zone: Zone;
  readonly profile: boolean;
  /** Realised liquidations as bubbles. */
  readonly realised: boolean;
  readonly bins: number;
}

export const DEFAULTS: Query = {
  instrument: '',
  exchanges: '',
  range: '3d',
  model: 'auto',
  step: null,
  lo: null,
  hi: 1,
  transfer: 'sqrt',
  palette: 'viridis',
  logPrice: false,
  zone: 'utc',
  profile: true,
  realised: true,
  bins: 400,
};

const KEYS = ['s', 'ex', 'r', 'm', 'step', 'thr', 'scale', 'pal', 'ax', 'tz', 'prof', 'liq', 'bins'] as const;

function oneOf<T extends string>(list: readonly T[], value: string | null, fallback: T): T {
  return list.includes(value as T) ? (value as T) : fallback;
}

function parseThreshold(text: string | null): { lo: number | null; hi: number } {
  const match = /^([\d.]+)(?:-([\d.]+))?$/.exec(text ?? '');
  const lo = match ? Number(match[1]) : NaN;
  const hi = match?.[2] === undefined ? 1 : Number(match[2]);
  if (!(lo >= 0 && lo < hi && hi <= 1)) return { lo: DEFAULTS.lo, hi: DEFAULTS.hi };
  return { lo, hi };
}

export function parseQuery(search: string): Query {
  const q = new URLSearchParams(search);
  const step = q.get('step');
  const bins = Number(q.get('bins'));
  return {
    instrument: q.get('s') ?? '',
    exchanges: /^[a-z0-9_,-]{1,200}$/.test(q.get('ex') ?? '') ? q.get('ex')! : DEFAULTS.exchanges,
    range: oneOf(RANGES, q.get('r'), DEFAULTS.range),
    model: oneOf(MODELS, q.get('m'), DEFAULTS.model),
    step: STEPS.includes(step as Step) ? (step as Step) : null,
    ...parseThreshold(q.get('thr')),
    transfer: oneOf(TRANSFERS, q.get('scale'), DEFAULTS.transfer),
    palette: oneOf(PALETTES, q.get('pal'), DEFAULTS.palette),
    logPrice: q.get('ax') === 'log',
    zone: q.get('tz') === 'local' ? 'local' : 'utc',
    profile: q.get('prof') !== '0',
    realised: q.get('liq') !== '0',
    bins: Number.isInteger(bins) && bins >= 50 && bins <= 2000 ? bins : DEFAULTS.bins,
  };
}

/** Four decimals are finer than one step of the slider over most of the legend. */
function share(x: number): string {
  return String(Number(x.toFixed(4)));
}

/** The query string of a state, "" for all defaults; keys of others in `search` survive. */
export function formatQuery(query: Query, search = ''): string {
  const q = new URLSearchParams(search);
  for (const key of KEYS) q.delete(key);
  const put = (key: (typeof KEYS)[number], value: string, usual: boolean): void => {
    if (!usual) q.set(key, value);
  };
  put('s', query.instrument, query.instrument === '');
  put('ex', query.exchanges, query.exchanges === '');
  put('r', query.range, query.range === DEFAULTS.range);
  put('m', query.model, query.model === DEFAULTS.model);
  put('step', query.step ?? '', query.step === null);
  put('thr', `${share(query.lo ?? 0)}-${share(query.hi)}`, query.lo === null);
  put('scale', query.transfer, query.transfer === DEFAULTS.transfer);
  put('pal', query.palette, query.palette === DEFAULTS.palette);
  put('ax', 'log', !query.logPrice);
  put('tz', query.zone, query.zone === DEFAULTS.zone);
  put('prof', '0', query.profile);
  put('liq', '0', query.realised);
  put('bins', String(query.bins), query.bins === DEFAULTS.bins);
  // Colons and commas are legal in a query and read better than %3A.
  const text = q.toString().replaceAll('%3A', ':').replaceAll('%2C', ',');
  return text === '' ? '' : `?${text}`;
}

/** The exchanges shown once one of `all` is switched; "" where all or none would be left. */
export function switched(shown: readonly string[], all: readonly string[], name: string): string {
  const on = all.filter((one) => (one === name) !== shown.includes(one));
  return on.length === all.length ? '' : on.join(',');
}

export const query = signal<Query>({ ...DEFAULTS });

const REPLACE_EVERY_MS = 150;
let pending: number | null = null;

function write(mode: 'push' | 'replace'): void {
  const { pathname, search, hash } = window.location;
  const wanted = formatQuery(query.value, search);
  if (wanted === search) return;
  const url = `${pathname}${wanted}${hash}`;
  if (mode === 'push') window.history.pushState(null, '', url);
  else window.history.replaceState(null, '', url);
}

function flush(): void {
  if (pending === null) return;
  window.clearTimeout(pending);
  pending = null;
  write('replace');
}

/** Change the state: 'push' for a choice, 'replace' for a drag (written a few times a second). */
export function setQuery(change: Partial<Query>, mode: 'push' | 'replace'): void {
  if (mode === 'push') {
    flush();
    query.value = { ...query.value, ...change };
    write('push');
    return;
  }
  query.value = { ...query.value, ...change };
  pending ??= window.setTimeout(flush, REPLACE_EVERY_MS);
}

/** Read the address bar now and whenever the person goes back or forward. */
export function startQuery(): void {
  query.value = parseQuery(window.location.search);
  window.addEventListener('popstate', () => {
    if (pending !== null) window.clearTimeout(pending);
    pending = null;
    query.value = { ...parseQuery(window.location.search) };
  });
}

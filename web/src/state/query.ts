/**
 * The address bar is the state: whatever a person chose is in the query string.
 *
 *     ?s=BTC&ex=binance,okx&r=3d&m=sharp&step=5m&thr=0.05-0.9&scale=sqrt&ax=log&tz=local&pal=viridis&prof=0
 *
 * Defaults are left out, unknown values fall back to them, unknown keys are kept. Dragging
 * replaces the history entry, choosing pushes one, back and forward read it again.
 *
 * Further panels beside the first (`n=2` to 4) have only what they do differently, under keys
 * with their number: `?s=BTC&r=3d&n=2&s.2=binance:BTCUSDT` is two panels of three days. What
 * belongs to the page rather than to a panel (PAGE_WIDE) is read from the first alone.
 */

import { signal } from '@preact/signals';

import type { PaletteName, Transfer } from '../engine/lut';
import type { PaneKind } from '../engine/paneKinds';
import type { Zone } from '../engine/axis';

export const RANGES = ['12h', '24h', '48h', '3d', '1w', '2w', '1M', '3M', '6M', '1Y'] as const;
export const STEPS = ['1m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '12h', '1d'] as const;
export const MODELS = ['auto', 'sharp', 'zones', 'calibrated'] as const;
export const TRANSFERS = ['sqrt', 'linear', 'log'] as const;
export const PALETTES = ['viridis', 'cividis', 'inferno', 'mako', 'greys'] as const;
export const SIDES = ['both', 'long', 'short'] as const;
export const GROUPINGS = ['side', 'tier', 'exchange'] as const;
export const VIEWS = ['heatmap', 'map'] as const;
export const PANELS_MOST = 4;

/** Sub-panes under the heat, in the order in which a menu names them. */
export const SUBPANES: readonly PaneKind[] = ['oi', 'funding', 'volume', 'cvd', 'rsi', 'liq'];

export type Range = (typeof RANGES)[number];
export type Step = (typeof STEPS)[number];
export type Model = (typeof MODELS)[number];
export type Grouping = (typeof GROUPINGS)[number];
export type PageView = (typeof VIEWS)[number];

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
  /** Time travel: the map as known at this time; null is now. */
  readonly asOfMs: number | null;
  /** Which side's cells are drawn. */
  readonly side: (typeof SIDES)[number];
  /** Lines at round distances from the price. */
  readonly bands: boolean;
  /** What the profile is split by. */
  readonly split: Grouping;
  /** Tiers of leverage drawn, comma between ("L1,L3"); "" is all. */
  readonly tiers: string;
  /** Own mixture of leverage ("25:.5,50:.5"); "" is the model's. */
  readonly mixture: string;
  /** The feed of liquidations is open. */
  readonly feed: boolean;
  /** Price and time, or the newest column as bars over price. */
  readonly view: PageView;
  /** How the map's bars are split; "" is chosen from the data. */
  readonly by: Grouping | '';
  /** The price the map speaks about [USD]; null is each side's max pain. */
  readonly target: number | null;
  /** Sub-panes from top to bottom, comma between; "" is none. */
  readonly sub: string;
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
  asOfMs: null,
  side: 'both',
  bands: false,
  split: 'side',
  tiers: '',
  mixture: '',
  feed: false,
  view: 'heatmap',
  by: '',
  target: null,
  sub: '',
};

/** Chosen once for all panels. */
const PAGE_WIDE: readonly (keyof Query)[] = ['zone', 'feed', 'asOfMs'];

/** One key of the address bar. Reading an unknown value gives null: what was there before stays. */
interface Field {
  readonly key: string;
  readonly read: (text: string) => Partial<Query> | null;
  readonly write: (query: Query) => string;
}

function choice<K extends keyof Query, T extends Query[K] & string>(key: string, name: K, list: readonly T[]): Field {
  return {
    key,
    read: (text) => (list.includes(text as T) ? ({ [name]: text } as unknown as Partial<Query>) : null),
    write: (query) => query[name] as string,
  };
}

/** Any text of one form. */
function pattern(key: string, name: 'exchanges' | 'tiers' | 'mixture', form: RegExp): Field {
  return {
    key,
    read: (text) => (form.test(text) ? { [name]: text } : null),
    write: (query) => query[name],
  };
}

/** A switch: `on` and `off` are the words in the address bar. */
function flag(key: string, name: keyof Query, on: string, off: string): Field {
  return {
    key,
    read: (text) => (text === on || text === off ? ({ [name]: text === on } as Partial<Query>) : null),
    write: (query) => (query[name] ? on : off),
  };
}

/** Four decimals are finer than one step of the slider over most of the legend. */
function share(x: number): string {
  return String(Number(x.toFixed(4)));
}

function readThreshold(text: string): Partial<Query> | null {
  if (text === '') return { lo: DEFAULTS.lo, hi: DEFAULTS.hi };
  const match = /^([\d.]+)(?:-([\d.]+))?$/.exec(text);
  const lo = match ? Number(match[1]) : NaN;
  const hi = match?.[2] === undefined ? 1 : Number(match[2]);
  return lo >= 0 && lo < hi && hi <= 1 ? { lo, hi } : null;
}

function readBins(text: string): Partial<Query> | null {
  const bins = Number(text);
  return Number.isInteger(bins) && bins >= 50 && bins <= 2000 ? { bins } : null;
}

function readTarget(text: string): Partial<Query> | null {
  if (text === '') return { target: null };
  const target = Number(text);
  return target > 0 && Number.isFinite(target) ? { target } : null;
}

/** The kinds in a list like "oi,rsi", each once; what is no kind is left out. */
export function subpanesOf(sub: string): PaneKind[] {
  return [...new Set(sub.split(','))].filter((name): name is PaneKind => SUBPANES.includes(name as PaneKind));
}

const FIELDS: readonly Field[] = [
  { key: 's', read: (text) => ({ instrument: text }), write: (q) => q.instrument },
  pattern('ex', 'exchanges', /^[a-z0-9_,-]{0,200}$/),
  choice('r', 'range', RANGES),
  choice('m', 'model', MODELS),
  {
    key: 'step',
    read: (text) => ({ step: STEPS.find((step) => step === text) ?? null }),
    write: (q) => q.step ?? '',
  },
  {
    key: 'thr',
    read: readThreshold,
    write: (q) => (q.lo === null ? '' : `${share(q.lo)}-${share(q.hi)}`),
  },
  choice('scale', 'transfer', TRANSFERS),
  choice('pal', 'palette', PALETTES),
  flag('ax', 'logPrice', 'log', 'linear'),
  choice('tz', 'zone', ['utc', 'local']),
  flag('prof', 'profile', '1', '0'),
  flag('liq', 'realised', '1', '0'),
  flag('feed', 'feed', '1', '0'),
  { key: 'bins', read: readBins, write: (q) => String(q.bins) },
  {
    key: 'at',
    read: (text) => (/^\d{1,14}$/.test(text) ? { asOfMs: Number(text) } : null),
    write: (q) => String(q.asOfMs ?? ''),
  },
  choice('side', 'side', SIDES),
  flag('bands', 'bands', '1', '0'),
  choice('pf', 'split', GROUPINGS),
  pattern('lev', 'tiers', /^(L[1-5](,L[1-5]){0,4})?$/),
  pattern('mix', 'mixture', /^([\d.]{1,6}:[\d.]{1,6}(,[\d.]{1,6}:[\d.]{1,6}){0,9})?$/),
  choice('view', 'view', VIEWS),
  choice('by', 'by', ['', ...GROUPINGS]),
  { key: 'px', read: readTarget, write: (q) => (q.target === null ? '' : String(q.target)) },
  { key: 'sub', read: (text) => ({ sub: subpanesOf(text).join() }), write: (q) => q.sub },
];

/** What all panels have chosen. */
export interface Choices {
  readonly first: Query;
  /** Of each further panel, what it does differently from the first. */
  readonly others: readonly Partial<Query>[];
}

function readFields(q: URLSearchParams, suffix: string): Partial<Query> {
  let out: Partial<Query> = {};
  for (const { key, read } of FIELDS) {
    const text = q.get(key + suffix);
    if (text !== null) out = { ...out, ...read(text) };
  }
  return out;
}

/** The choices of the first panel. */
export function parseQuery(search: string): Query {
  return { ...DEFAULTS, ...readFields(new URLSearchParams(search), '') };
}

export function parseChoices(search: string): Choices {
  const q = new URLSearchParams(search);
  const first = parseQuery(search);
  const n = Number(q.get('n') ?? 1);
  const count = Number.isInteger(n) && n >= 1 && n <= PANELS_MOST ? n : 1;
  const others: Partial<Query>[] = [];
  for (let i = 2; i <= count; i++) others.push(own(first, readFields(q, `.${i}`)));
  return { first, others };
}

/** A change without what is the page's or the same as the first panel's. */
function own(first: Query, change: Partial<Query>): Partial<Query> {
  const kept = Object.entries(change).filter(
    ([name, value]) => !PAGE_WIDE.includes(name as keyof Query) && value !== first[name as keyof Query],
  );
  return Object.fromEntries(kept);
}

/** What panel `index` shows. */
export function queryOf({ first, others }: Choices, index: number): Query {
  return index === 0 ? first : { ...first, ...others[index - 1] };
}

/** The choices once panel `index` has changed; further panels follow the first where they did. */
export function changed(choices: Choices, index: number, change: Partial<Query>): Choices {
  const { first, others } = choices;
  if (index === 0) {
    const next = { ...first, ...change };
    return { first: next, others: others.map((other) => own(next, other)) };
  }
  const wide = Object.entries(change).filter(([name]) => PAGE_WIDE.includes(name as keyof Query));
  const next: Query = { ...first, ...Object.fromEntries(wide) };
  const mine = own(next, { ...others[index - 1], ...change });
  return { first: next, others: others.map((other, i) => (i === index - 1 ? mine : other)) };
}

function writeFields(q: URLSearchParams, query: Query, base: Query, suffix: string): void {
  for (const { key, write } of FIELDS) {
    const text = write(query);
    if (text !== write(base)) q.set(key + suffix, text);
  }
}

/** The query string of all panels, "" for all defaults; keys of others in `search` survive. */
export function formatChoices({ first, others }: Choices, search = ''): string {
  const q = new URLSearchParams(search);
  const suffixes = ['', ...Array.from({ length: PANELS_MOST - 1 }, (_, i) => `.${i + 2}`)];
  for (const { key } of FIELDS) for (const suffix of suffixes) q.delete(key + suffix);
  q.delete('n');
  writeFields(q, first, DEFAULTS, '');
  if (others.length > 0) q.set('n', String(others.length + 1));
  others.forEach((other, i) => writeFields(q, { ...first, ...other }, first, `.${i + 2}`));
  // Colons and commas are legal in a query and read better than %3A.
  const text = q.toString().replaceAll('%3A', ':').replaceAll('%2C', ',');
  return text === '' ? '' : `?${text}`;
}

export function formatQuery(query: Query, search = ''): string {
  return formatChoices({ first: query, others: [] }, search);
}

/** The exchanges shown once one of `all` is switched; "" where all or none would be left. */
export function switched(shown: readonly string[], all: readonly string[], name: string): string {
  const on = all.filter((one) => (one === name) !== shown.includes(one));
  return on.length === all.length ? '' : on.join(',');
}

export const choices = signal<Choices>({ first: { ...DEFAULTS }, others: [] });

const REPLACE_EVERY_MS = 150;
let pending: number | null = null;

function write(mode: 'push' | 'replace'): void {
  const { pathname, search, hash } = window.location;
  const wanted = formatChoices(choices.value, search);
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
export function setChoices(next: Choices, mode: 'push' | 'replace'): void {
  if (mode === 'push') {
    flush();
    choices.value = next;
    write('push');
    return;
  }
  choices.value = next;
  pending ??= window.setTimeout(flush, REPLACE_EVERY_MS);
}

/** Read the address bar now and whenever the person goes back or forward. */
export function startQuery(): void {
  choices.value = parseChoices(window.location.search);
  window.addEventListener('popstate', () => {
    if (pending !== null) window.clearTimeout(pending);
    pending = null;
    choices.value = parseChoices(window.location.search);
  });
}

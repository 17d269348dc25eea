/**
 * The person's position on the picture: cursor, pin, and what is open; joins URL and data.
 *
 * Effects here turn the query into a subscription and into a look-up table, so that panels
 * only read signals and write the query.
 */

import { computed, effect, signal, untracked } from '@preact/signals';

import type { Cursor, HeatChart } from '../engine/chart';
import { buildLut, contrast, type Look } from '../engine/lut';
import { priceDecimals } from '../engine/axis';
import { formatPrice, splitSymbol } from '../format';
import {
  autoLow,
  clipUsd,
  coinsOf,
  instrument,
  instruments,
  lastPrice,
  matrix,
  mode,
  recorded,
  typical,
  want,
} from './live';
import { prefs, setPrefs } from './prefs';
import { DEFAULTS, query, setQuery } from './query';
import { theme } from './theme';

export interface Pin {
  readonly timeMs: number;
  readonly price: number;
}

export type Panel = 'symbols' | 'about' | 'help' | 'controls' | 'levels';

export const chart = signal<HeatChart | null>(null);
export const cursor = signal<Cursor | null>(null);
export const pin = signal<Pin | null>(null);
export const panel = signal<Panel | null>(null);
export const atLive = signal(true);
/** Spoken by screen readers, politely. */
export const announcement = signal('');

export const symbol = computed(() => query.value.instrument);
export const zone = computed(() => query.value.zone);
export const logPrice = computed(() => query.value.logPrice);
export const profile = computed(() => query.value.profile);
export const realised = computed(() => query.value.realised);

const lookKey = computed(() => {
  const { transfer, palette, lo, hi } = query.value;
  const window = { transfer, lo: lo ?? autoLow.value, hi };
  const gamma = contrast(window, typical.value);
  return JSON.stringify({ ...window, palette, theme: theme.value, gamma });
});

/** The look as it is in the query; a new object only when it changed. */
export const look = computed<Look>(() => JSON.parse(lookKey.value) as Look);

export const lut = computed<Uint32Array>(() => {
  const m = matrix.value;
  return m ? buildLut(look.value, m.usd, clipUsd.value) : new Uint32Array(256);
});

const DEFAULT_SYMBOL = 'binance:BTCUSDT';

function chooseSymbol(): void {
  const list = instruments.value;
  if (query.value.instrument !== '' || !list || list.length === 0) return;
  const coins = coinsOf(list).map((coin) => coin.name);
  const has = (name: string): boolean => coins.includes(name) || list.some((row) => row.instrument === name);
  const bitcoin = list.find((row) => row.coin === 'BTC') ?? list[0];
  const last = prefs.peek().lastSymbol;
  const chosen = has(last) ? last : has(DEFAULT_SYMBOL) ? DEFAULT_SYMBOL : bitcoin.instrument;
  setQuery({ instrument: chosen }, 'replace');
}

const subscription = computed(() => {
  const { instrument: name, model, range, step, bins } = query.value;
  const exchanges = query.value.exchanges || null;
  return JSON.stringify({ instrument: name, exchanges, model, range, step, bins, scale: 'log' });
});

export function startView(): void {
  effect(chooseSymbol);
  effect(nameTab);
  effect(() => {
    const wanted = JSON.parse(subscription.value) as Parameters<typeof want>[0];
    if (wanted.instrument === '') return;
    untracked(() => {
      want(wanted);
      pin.value = null;
      setPrefs({ lastSymbol: wanted.instrument });
    });
  });
}

/** The tab says what a trader looks for while it is in the background. */
function nameTab(): void {
  const m = matrix.value;
  const name = splitSymbol(symbol.value).contract;
  const price = lastPrice.value;
  const digits = priceDecimals(price, instrument.value?.tick_size);
  const kind = { live: '', simulated: 'SIM ', replay: recorded.value ? 'REC ' : 'REPLAY ' }[mode.value];
  const reading = m && Number.isFinite(price) ? `${kind}${formatPrice(price, digits)} ` : '';
  const title = name ? `${reading}${name} · liqheat` : 'liqheat';
  if (document.title !== title) document.title = title;
}

/** Back to the whole range, the automatic axis and the default threshold. */
export function resetView(): void {
  setQuery({ lo: DEFAULTS.lo, hi: DEFAULTS.hi }, 'push');
  pin.value = null;
  chart.value?.clearCursor();
  chart.value?.fit();
}

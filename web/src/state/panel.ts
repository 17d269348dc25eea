/**
 * A panel: one picture, and the person's position on it. One to four stand side by side.
 *
 * `Live` brings the picture; here its choices (a view of the address bar) become a
 * subscription and a color table, so that components only read signals and call `set`.
 * `active` is the panel the toolbar and the keys act on.
 */

import { computed, effect, signal, untracked, type ReadonlySignal } from '@preact/signals';

import { priceDecimals } from '../engine/axis';
import type { Cursor, HeatChart } from '../engine/chart';
import { buildLut, contrast, type Look } from '../engine/lut';
import { leveragesOf } from '../engine/tiers';
import { formatPrice, splitSymbol } from '../format';
import { startExact, type Exact } from './exact';
import { Live } from './live';
import { coinsOf, instruments } from './page';
import { prefs, setPrefs } from './prefs';
import {
  DEFAULTS,
  PANELS_MOST,
  changed,
  choices,
  queryOf,
  setChoices,
  subpanesOf,
  type Choices,
  type Query,
} from './query';
import { theme } from './theme';

export interface Pin {
  readonly timeMs: number;
  readonly price: number;
}

/** Sliders move many times a second: how long a weighting must stand before it is asked for. */
const REWEIGH_MS = 250;

export class Panel extends Live {
  readonly chart = signal<HeatChart | null>(null);
  readonly cursor = signal<Cursor | null>(null);
  readonly pin = signal<Pin | null>(null);
  readonly atLive = signal(true);
  /** Where the profile's strip begins [CSS px]; null when there is none. */
  readonly profileLeft = signal<number | null>(null);
  /** The exact figures under a resting cursor. */
  readonly exact = signal<Exact | null>(null);
  /** The same of the pinned cell. */
  readonly exactPin = signal<Exact | null>(null);
  readonly query: ReadonlySignal<Query>;
  readonly symbol: ReadonlySignal<string>;
  /** The look as it is in the query; a new object only when it changed. */
  readonly look: ReadonlySignal<Look>;
  readonly lut: ReadonlySignal<Uint32Array>;
  private stops: (() => void)[] = [];

  constructor(readonly index: number) {
    super();
    this.query = computed(() => queryOf(choices.value, index));
    this.symbol = computed(() => this.query.value.instrument);
    const lookKey = computed(() => {
      const { transfer, palette, lo, hi } = this.query.value;
      const window = { transfer, lo: lo ?? this.autoLow.value, hi };
      const gamma = contrast(window, this.typical.value);
      return JSON.stringify({ ...window, palette, theme: theme.value, gamma });
    });
    this.look = computed(() => JSON.parse(lookKey.value) as Look);
    this.lut = computed(() => {
      const m = this.matrix.value;
      return m ? buildLut(this.look.value, m.usd, this.clipUsd.value) : new Uint32Array(256);
    });
  }

  /** Change this panel's choices: 'push' for a choice, 'replace' for a drag. */
  set(change: Partial<Query>, mode: 'push' | 'replace'): void {
    setChoices(changed(choices.value, this.index, change), mode);
  }

  /** Connect, and follow the address bar until `stop`. */
  start(): void {
    this.connect();
    const shape = computed(() => {
      const { instrument, exchanges, model, range, step, bins } = this.query.value;
      return JSON.stringify({ instrument, exchanges: exchanges || null, model, range, step, bins, scale: 'log' });
    });
    const weights = computed(() => {
      const { tiers, mixture } = this.query.value;
      return JSON.stringify({ tiers: leveragesOf(tiers), leverage: mixture || undefined });
    });
    const ask = (): void => {
      const wanted = { ...JSON.parse(shape.peek()), ...JSON.parse(weights.peek()) } as Parameters<Live['want']>[0];
      if (wanted.instrument !== '') this.want(wanted);
    };
    const online = (): void => this.retryNow();
    window.addEventListener('online', online);
    this.stops = [
      () => window.removeEventListener('online', online),
      effect(() => {
        const on = this.query.value.asOfMs !== null;
        untracked(() => this.travel(on));
      }),
      effect(() => {
        void shape.value;
        untracked(() => {
          ask();
          this.pin.value = null;
          const { instrument } = this.query.peek();
          if (this.index === 0 && instrument !== '') setPrefs({ lastSymbol: instrument });
        });
      }),
      effect(() => {
        void weights.value;
        const timer = window.setTimeout(ask, REWEIGH_MS);
        return () => window.clearTimeout(timer);
      }),
      startExact(this),
    ];
  }

  stop(): void {
    for (const stop of this.stops) stop();
    this.stops = [];
    this.disconnect();
  }

  /** Back to the whole range, the automatic axis and the default threshold. */
  resetView(): void {
    this.set({ lo: DEFAULTS.lo, hi: DEFAULTS.hi }, 'push');
    this.pin.value = null;
    this.chart.value?.clearCursor();
    this.chart.value?.fit();
  }

  /** Whether the cursor stands on the pin: one reading of a place is enough. */
  isPinned({ x, y }: Cursor): boolean {
    const pin = this.pin.value;
    const spot = pin && this.chart.value?.locate(pin.timeMs, pin.price);
    return !!spot && Math.hypot(spot.x - x, spot.y - y) < 2;
  }

  /** Pin a point; that under the cursor where none is given. A tap has no cursor. */
  pinCursor(at: Cursor | null = this.cursor.value): void {
    const m = this.matrix.value;
    if (!at || !m) return;
    this.pin.value = { timeMs: m.timeMs(Math.min(at.column, m.width - 1)), price: at.price };
  }
}

export const panels = signal<readonly Panel[]>([new Panel(0)]);
const activeIndex = signal(0);

/** The panel which the toolbar and the keys act on. */
export const active = computed<Panel>(() => panels.value[Math.min(activeIndex.value, panels.value.length - 1)]);

export function activate(panel: Panel): void {
  activeIndex.value = panel.index;
}

/** Put a panel beside the others, like the first but for `change`, and make it the active one. */
export function addPanel(change: Partial<Query>): void {
  const { first, others } = choices.value;
  if (others.length + 1 >= PANELS_MOST) return;
  const next = { first, others: [...others, {}] };
  activeIndex.value = others.length + 1;
  setChoices(changed(next, others.length + 1, change), 'push');
}

/** Take a panel away; when it is the first, the second takes its place. */
export function removePanel(index: number): void {
  const { first, others } = choices.value;
  if (others.length === 0) return;
  activeIndex.value = 0;
  if (index > 0) {
    setChoices({ first, others: others.filter((_, i) => i !== index - 1) }, 'push');
    return;
  }
  const all = others.map((other) => ({ ...first, ...other }));
  const rest: Choices = { first: all[0], others: all.slice(1).map(() => ({})) };
  setChoices(all.slice(1).reduce((held, query, i) => changed(held, i + 1, query), rest), 'push');
}

const DEFAULT_SYMBOL = 'binance:BTCUSDT';

function chooseSymbol(): void {
  const list = instruments.value;
  if (choices.value.first.instrument !== '' || !list || list.length === 0) return;
  const coins = coinsOf(list).map((coin) => coin.name);
  const has = (name: string): boolean => coins.includes(name) || list.some((row) => row.instrument === name);
  const bitcoin = list.find((row) => row.coin === 'BTC') ?? list[0];
  const last = prefs.peek().lastSymbol;
  const chosen = has(last) ? last : has(DEFAULT_SYMBOL) ? DEFAULT_SYMBOL : bitcoin.instrument;
  panels.peek()[0].set({ instrument: chosen }, 'replace');
}

/** An address which says nothing of sub-panes opens with those of the last choice. */
function choosePanes(): void {
  if (new URLSearchParams(window.location.search).has('sub')) return;
  const sub = subpanesOf(prefs.peek().subpanes).join();
  if (sub !== '') panels.peek()[0].set({ sub }, 'replace');
}

/** The tab says what a trader looks for while it is in the background. */
function nameTab(): void {
  const { matrix, symbol, lastPrice, instrument, mode, recorded } = active.value;
  const name = splitSymbol(symbol.value).contract;
  const price = lastPrice.value;
  const digits = priceDecimals(price, instrument.value?.tick_size);
  const past = active.value.asOfMs.value !== null ? 'PAST ' : '';
  const kind = { live: '', simulated: 'SIM ', replay: recorded.value ? 'REC ' : 'REPLAY ' }[mode.value];
  const reading = matrix.value && Number.isFinite(price) ? `${past}${kind}${formatPrice(price, digits)} ` : '';
  const title = name ? `${reading}${name} · liqheat` : 'liqheat';
  if (document.title !== title) document.title = title;
}

/** As many panels as the address bar has; each keeps its socket and picture while it stays. */
function countPanels(): void {
  const wanted = choices.value.others.length + 1;
  const now = panels.peek();
  if (now.length === wanted) return;
  for (const panel of now.slice(wanted)) panel.stop();
  const more = Array.from({ length: Math.max(0, wanted - now.length) }, (_, i) => new Panel(now.length + i));
  panels.value = [...now.slice(0, wanted), ...more];
  untracked(() => more.forEach((panel) => panel.start()));
}

export function startPanels(): void {
  choosePanes();
  panels.value[0].start();
  effect(chooseSymbol);
  effect(countPanels);
  effect(nameTab);
}

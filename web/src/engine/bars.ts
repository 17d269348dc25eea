/**
 * The liquidation map as numbers: which bars stand where, and what lies on the way to a price.
 *
 * Pure. A `PriceMap` is one moment's levels over price bins; long levels lie BELOW the price,
 * short levels above it. Bars are sums over neighboring bins, never samples: whatever the
 * width of the screen, no wall is dropped and the bars add up to the map.
 */

import type { MapReply } from '../net/map';
import { TIER, TIERS, tierOf } from './groups';
import type { Side } from './matrix';
import { maxPain, type PainPoint } from './maxpain';

/** What bars are split by. */
export type Grouping = 'side' | 'tier' | 'exchange';

/** A bar is at least this wide [CSS px]. */
const BAR_PX = 4.5;

export interface PriceMap {
  /** Edges of the bins, one more than bins, ascending [USD]. */
  readonly edges: Float64Array;
  readonly lastPrice: number;
  /** Per bin [USD]. */
  readonly usd: Readonly<Record<Side, ArrayLike<number>>>;
  /** From the price outward, the bin included [USD]. */
  readonly cumulative: Readonly<Record<Side, ArrayLike<number>>>;
  /** Of each side that has levels. */
  readonly pains: readonly PainPoint[];
}

export interface Part {
  readonly id: string;
  readonly label: string;
  readonly usd: Readonly<Record<Side, ArrayLike<number>>>;
  /** Both sides [USD]. */
  readonly total: number;
}

/** Edges between bin centers: exact for bins of equal ratio, which is what the page asks for. */
export function edgesOf(centers: readonly number[]): Float64Array {
  const n = centers.length;
  const edges = new Float64Array(n + 1);
  for (let i = 1; i < n; i++) edges[i] = Math.sqrt(centers[i - 1] * centers[i]);
  const ratio = n > 1 ? Math.sqrt(centers[1] / centers[0]) : 1.0005;
  edges[0] = centers[0] / ratio;
  edges[n] = centers[n - 1] * (n > 1 ? Math.sqrt(centers[n - 1] / centers[n - 2]) : ratio);
  return edges;
}

export function toPriceMap(reply: MapReply): PriceMap {
  const { long, short } = maxPain(reply.price, reply.long_usd, reply.short_usd);
  return {
    pains: [long, short].filter((one) => one !== null),
    edges: edgesOf(reply.price),
    lastPrice: reply.last_price,
    usd: { long: reply.long_usd, short: reply.short_usd },
    cumulative: { long: reply.long_cumulative_usd, short: reply.short_cumulative_usd },
  };
}

const sum = (values: ArrayLike<number>): number => {
  let all = 0;
  for (let i = 0; i < values.length; i++) all += values[i];
  return all;
};

function part(id: string, label: string, long: ArrayLike<number>, short: ArrayLike<number>): Part {
  return { id, label, usd: { long, short }, total: sum(long) + sum(short) };
}

function added(rows: readonly ArrayLike<number>[], n: number): Float64Array {
  const out = new Float64Array(n);
  for (const row of rows) for (let i = 0; i < n; i++) out[i] += row[i];
  return out;
}

/** Measured levels, whose leverage nobody says; null where nothing is measured. */
function measuredPart(reply: MapReply): Part | null {
  if (reply.measured.length === 0) return null;
  const n = reply.price.length;
  const side = (name: 'long_usd' | 'short_usd'): Float64Array => added(reply.measured.map((m) => m[name]), n);
  return part('measured', 'measured', side('long_usd'), side('short_usd'));
}

function byTier(reply: MapReply): Part[] {
  const n = reply.price.length;
  return TIERS.map((tier) => {
    const rows = reply.tiers.filter(({ leverage }) => tierOf(leverage) === tier);
    const [long, short] = [rows.map((row) => row.long_usd), rows.map((row) => row.short_usd)];
    return part(tier, TIER[tier].text, added(long, n), added(short, n));
  });
}

function bySide(reply: MapReply, measured: Part | null): Part[] {
  if (!measured) return [part('modelled', 'modelled', reply.long_usd, reply.short_usd)];
  const rest = (whole: readonly number[], of: ArrayLike<number>): Float64Array =>
    Float64Array.from(whole, (usd, p) => Math.max(0, usd - of[p]));
  const { long, short } = measured.usd;
  return [part('modelled', 'modelled', rest(reply.long_usd, long), rest(reply.short_usd, short)), measured];
}

/** The map in parts, from the bottom of a bar to its top; parts without any USD are left out. */
export function partsOf(reply: MapReply, by: Grouping): Part[] {
  const measured = measuredPart(reply);
  let parts: Part[];
  if (by === 'exchange' && reply.parts) {
    parts = reply.parts.map((one) => part(one.exchange, one.exchange, one.long_usd, one.short_usd));
    parts.sort((a, b) => b.total - a.total || (a.id < b.id ? -1 : 1));
  } else if (by === 'tier') parts = measured ? [...byTier(reply), measured] : byTier(reply);
  else parts = bySide(reply, measured);
  return parts.filter(({ total }) => total > 0);
}

/** What is cut out of the price axis, and how wide it is on the screen. */
export interface PriceView {
  readonly from: number;
  readonly to: number;
  /** CSS pixels. */
  readonly width: number;
  readonly log: boolean;
}

export function xOf(view: PriceView, price: number): number {
  const f = view.log ? Math.log : (x: number): number => x;
  return (view.width * (f(price) - f(view.from))) / (f(view.to) - f(view.from));
}

export function priceAt(view: PriceView, x: number): number {
  const share = x / view.width;
  if (view.log) return view.from * (view.to / view.from) ** share;
  return view.from + share * (view.to - view.from);
}

/** The bin of a price; -1 below the map, the number of bins above it. */
export function binAt({ edges }: PriceMap, price: number): number {
  const bins = edges.length - 1;
  if (!(price >= edges[0])) return -1;
  if (price >= edges[bins]) return bins;
  let low = 0;
  for (let high = bins; high - low > 1; ) {
    const middle = (low + high) >> 1;
    if (edges[middle] <= price) low = middle;
    else high = middle;
  }
  return low;
}

/** How many bins share a bar, so that it is wide enough to be seen. */
export function binsPerBar(map: PriceMap, view: PriceView): number {
  const bins = map.edges.length - 1;
  const middle = Math.sqrt(view.from * view.to);
  const ratio = (map.edges[bins] / map.edges[0]) ** (1 / bins);
  const px = xOf(view, middle * Math.sqrt(ratio)) - xOf(view, middle / Math.sqrt(ratio));
  return Math.max(1, Math.min(bins, Math.ceil(BAR_PX / px - 1e-6)));
}

/** One bar: bins [first, end) of one side, and the USD of each part from the bottom up. */
export interface Bar {
  readonly side: Side;
  readonly first: number;
  readonly end: number;
  readonly low: number;
  readonly high: number;
  readonly usd: number;
  readonly parts: Float64Array;
}

function barOf(map: PriceMap, parts: readonly Part[], side: Side, first: number, end: number): Bar | null {
  const each = new Float64Array(parts.length);
  let usd = 0;
  for (let k = 0; k < parts.length; k++) {
    for (let p = first; p < end; p++) each[k] += parts[k].usd[side][p];
    usd += each[k];
  }
  if (usd <= 0) return null;
  const [from, to] = [map.edges[first], map.edges[end]];
  // The bar which holds the price is one of two: longs up to it, shorts from it on.
  const cut = map.lastPrice > from && map.lastPrice < to;
  const low = cut && side === 'short' ? map.lastPrice : from;
  const high = cut && side === 'long' ? map.lastPrice : to;
  return { side, first, end, low, high, usd, parts: each };
}

/** All bars of the map, `group` bins wide, ascending by price. Zooming does not move their edges. */
export function barsOf(map: PriceMap, parts: readonly Part[], group: number): Bar[] {
  const bins = map.edges.length - 1;
  const out: Bar[] = [];
  for (let first = 0; first < bins; first += group) {
    const end = Math.min(bins, first + group);
    for (const side of ['long', 'short'] as const) {
      const bar = barOf(map, parts, side, first, end);
      if (bar) out.push(bar);
    }
  }
  return out;
}

/** Longs are liquidated when the price falls: what lies below the price is theirs. */
export function sideOf(map: PriceMap, price: number): Side {
  return price < map.lastPrice ? 'long' : 'short';
}

/** USD which lies between the price now and `price`, the bin of `price` included. */
export function cumulativeAt(map: PriceMap, price: number): number {
  const bins = map.edges.length - 1;
  const side = sideOf(map, price);
  const p = Math.max(0, Math.min(bins - 1, binAt(map, price)));
  return map.cumulative[side][p];
}

export interface Reading {
  readonly price: number;
  /** Of the price now, signed. */
  readonly distance: number;
  readonly side: Side;
  /** The bar at the price; null where nothing lies. */
  readonly bar: Bar | null;
  /** From the price now to here [USD]. */
  readonly cumulative: number;
}

/** What is to be read at a price, given the bars as drawn. */
export function readAt(map: PriceMap, bars: readonly Bar[], price: number): Reading {
  const side = sideOf(map, price);
  const bar = bars.find((one) => one.side === side && price >= one.low && price < one.high) ?? null;
  return { price, distance: price / map.lastPrice - 1, side, bar, cumulative: cumulativeAt(map, price) };
}

/** Round values between two ends, about `count` of them: steps of 1, 2 or 5 times a power of ten. */
export function niceTicks(low: number, high: number, count: number): number[] {
  const span = high - low;
  if (!(span > 0) || count < 1) return [];
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((f) => f * power).find((one) => one >= raw * 0.999) ?? raw;
  const out: number[] = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) out.push(k * step + 0);
  return out;
}

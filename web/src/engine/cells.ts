/**
 * The cells in sight as CSV and JSON, and what their files are called. Pure.
 *
 * Values come from the page's one-byte codes, so that the file holds what the picture shows;
 * the header says how coarse they are. A column without data has null, never 0.
 */

import type { HeatMatrix } from './matrix';

/** What is said beside the figures: in the head of a file and on a picture. */
export interface Facts {
  readonly instrument: string;
  readonly exchanges: string;
  readonly model: string;
  readonly modelVersion: string;
  readonly range: string;
  /** live, simulated, recorded, replay, or "as of ...". */
  readonly mode: string;
  /** USD, or a relative scale. */
  readonly unit: string;
  readonly caption: string;
}

/** Columns [first, end) and bins [low, high) which are at least partly in sight. */
export interface Cut {
  readonly first: number;
  readonly end: number;
  readonly low: number;
  readonly high: number;
}

/** What of the matrix lies in a view; `from`/`to` are logical: column t reaches from t - 0.5 to t + 0.5. */
export function cutOf(
  matrix: HeatMatrix,
  view: { readonly from: number; readonly to: number; readonly top: number | null; readonly bottom: number | null },
): Cut {
  const clamp = (x: number, most: number): number => Math.max(0, Math.min(most, x));
  const bin = (price: number | null, round: (x: number) => number, otherwise: number): number =>
    price === null || !(price > 0) ? otherwise : clamp(round(matrix.position(price)), matrix.bins);
  const first = clamp(Math.floor(view.from + 0.5), matrix.width);
  const low = bin(view.bottom, Math.floor, 0);
  return {
    first,
    end: Math.max(first, clamp(Math.ceil(view.to + 0.5), matrix.width)),
    low,
    high: Math.max(low, bin(view.top, Math.ceil, matrix.bins)),
  };
}

/** Largest relative error of a value out of a code. */
export function coarseness(matrix: HeatMatrix): number {
  const { vMin, vMax } = matrix.grid;
  return Math.exp(Math.log(vMax / vMin) / 254 / 2) - 1;
}

function number(x: number, digits: number): string {
  return String(Number(x.toPrecision(digits)));
}

const USD_DIGITS = 4;
const PRICE_DIGITS = 9;

const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');

function header(matrix: HeatMatrix, cut: Cut, facts: Facts, nowMs: number): Record<string, string | number> {
  return {
    what: 'liquidation heatmap, the part in sight: expected USD liquidated if the price touches the bin',
    instrument: facts.instrument,
    exchanges: facts.exchanges || 'all',
    mode: facts.mode,
    model: facts.model,
    model_version: facts.modelVersion,
    range: facts.range,
    step_ms: matrix.grid.stepMs,
    columns: cut.end - cut.first,
    bins: cut.high - cut.low,
    units: `start_ms: start of the step, UTC milliseconds; price_low, price_high: quote currency; long_usd, short_usd: ${facts.unit}`,
    least_usd: Number(number(matrix.grid.vMin, USD_DIGITS)),
    rounding: `to within ${(100 * coarseness(matrix)).toFixed(1)} %, as drawn; /api/v1/heatmap and /api/v1/column give every digit`,
    written: iso(nowMs),
    note: facts.caption,
  };
}

/**
 * CSV as parts, a part a column: the head as lines with #, then one line a cell with something
 * in it. Steps without data are named in the head.
 */
export function csvParts(matrix: HeatMatrix, cut: Cut, facts: Facts, nowMs: number): string[] {
  const head = Object.entries(header(matrix, cut, facts, nowMs)).map(([key, value]) => `# ${key}: ${value}`);
  const gaps: number[] = [];
  const parts: string[] = [];
  const prices = Array.from({ length: cut.high - cut.low + 1 }, (_, i) => number(matrix.edge(cut.low + i), PRICE_DIGITS));
  for (let t = cut.first; t < cut.end; t++) {
    if (matrix.isGap(t)) {
      gaps.push(matrix.timeMs(t));
      continue;
    }
    const codes = matrix.column(t);
    let lines = '';
    for (let p = cut.low; p < cut.high; p++) {
      if (codes[p] === 0) continue;
      const usd = number(matrix.usd[codes[p]], USD_DIGITS);
      const sides = matrix.side(t, p) === 'long' ? `${usd},0` : `0,${usd}`;
      lines += `${matrix.timeMs(t)},${prices[p - cut.low]},${prices[p - cut.low + 1]},${sides}\n`;
    }
    parts.push(lines);
  }
  head.push('# cells: those not listed hold less than least_usd', `# no_data_start_ms: ${gaps.join(' ') || 'none'}`);
  return [`${head.join('\n')}\nstart_ms,price_low,price_high,long_usd,short_usd\n`, ...parts];
}

/** JSON: `price_edges` [p + 1], `start_ms` [t], `long_usd` and `short_usd` [t][p]; null where there are no data. */
export function jsonText(matrix: HeatMatrix, cut: Cut, facts: Facts, nowMs: number): string {
  const edges: number[] = [];
  for (let p = cut.low; p <= cut.high; p++) edges.push(Number(number(matrix.edge(p), PRICE_DIGITS)));
  const times: number[] = [];
  const sides: Record<'long' | 'short', (number[] | null)[]> = { long: [], short: [] };
  for (let t = cut.first; t < cut.end; t++) {
    times.push(matrix.timeMs(t));
    const codes = matrix.column(t);
    for (const side of ['long', 'short'] as const) {
      const row: number[] = [];
      for (let p = cut.low; p < cut.high; p++) {
        row.push(matrix.side(t, p) === side ? Number(number(matrix.usd[codes[p]], USD_DIGITS)) : 0);
      }
      sides[side].push(matrix.isGap(t) ? null : row);
    }
  }
  const body = { start_ms: times, price_edges: edges, long_usd: sides.long, short_usd: sides.short };
  return JSON.stringify({ ...header(matrix, cut, facts, nowMs), ...body });
}

/** "liqheat_binance-BTCUSDT_3d_sharp_20261120T1905Z.png"; a mode other than live is in it. */
export function fileName(facts: Facts, ending: string, nowMs: number): string {
  const stamp = new Date(nowMs).toISOString().slice(0, 16).replaceAll(/[-:]/g, '');
  const mode = facts.mode === 'live' ? '' : facts.mode;
  const words = ['liqheat', facts.instrument, facts.range, facts.model, mode, `${stamp}Z`];
  const safe = (word: string): string => word.replaceAll(/[^A-Za-z0-9.-]+/g, '-').replaceAll(/^-+|-+$/g, '');
  return `${words.map(safe).filter(Boolean).join('_')}.${ending}`;
}

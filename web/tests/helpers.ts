/** Small matrices for tests, and the shared wire fixture. */

import { readFileSync } from 'node:fs';

import { HeatMatrix } from '../src/engine/matrix';
import type { MapReply } from '../src/net/map';
import type { CandleRow, Snapshot } from '../src/net/codec';

const GOLDEN = new URL('../../tests/golden/wire/', import.meta.url);

export interface Expected {
  columns: number;
  bins: number;
  t0_ms: number;
  step_ms: number;
  p_lo: number;
  p_step: number;
  v_min: number;
  v_max: number;
  seq: number;
  model: number;
  gap_column: number;
  empty_column: number;
  codes: number[][];
  usd: number[][];
  candles: Record<'open' | 'high' | 'low' | 'close' | 'qty', (number | null)[]>;
}

export function fixtureBytes(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL('snapshot.bin', GOLDEN)));
}

export function fixtureJson(): Expected {
  return JSON.parse(readFileSync(new URL('snapshot.json', GOLDEN), 'utf8')) as Expected;
}

/** A linear grid from 100 in steps of 1; closes given per column (NaN = gap). */
export function snapshotOf(columns: number[][], closes: number[]): Snapshot {
  const bins = columns[0].length;
  const close = Float32Array.from(closes);
  return {
    header: {
      columns: columns.length,
      bins,
      t0Ms: 1_000_000,
      stepMs: 1000,
      log: false,
      pLo: 100,
      pStep: 1,
      vMin: 10,
      vMax: 1_000_000,
      model: 1,
      seq: 1,
      simulated: false,
      replay: false,
      hasCandles: true,
    },
    codes: Uint8Array.from(columns.flat()),
    candles: { open: close, high: close, low: close, close, qty: close },
  };
}

export function matrixOf(columns: number[][], closes: number[], limit?: number): HeatMatrix {
  return new HeatMatrix(snapshotOf(columns, closes), limit);
}

export const candle = (price: number): CandleRow => [price, price, price, price, 1];

interface Levels {
  readonly bins?: number;
  /** ln of the ratio of two edges. */
  readonly step?: number;
  readonly long: Readonly<Record<number, number>>;
  readonly short: Readonly<Record<number, number>>;
  /** Of the longs, what is measured. */
  readonly measured?: Readonly<Record<number, number>>;
}

/** A map around 100: two thirds at binance, a quarter at 50x and the rest at 10x. */
export function mapReply({ bins = 20, step = 0.01, long, short, measured }: Levels): MapReply {
  const edges = Array.from({ length: bins + 1 }, (_, p) => 100 * Math.exp((p - bins / 2 + 0.4) * step));
  const row = (from: Readonly<Record<number, number>>): number[] =>
    Array.from({ length: bins }, (_, p) => from[p] ?? 0);
  const [longs, shorts, known] = [row(long), row(short), row(measured ?? {})];
  const share = (k: number, of: number[]): number[] => of.map((usd) => usd * k);
  const modelled = longs.map((usd, p) => usd - known[p]);
  const tier = (leverage: number, k: number) => ({
    leverage,
    long_usd: share(k, modelled),
    short_usd: share(k, shorts),
  });
  const running = (of: number[]): number[] => of.map((_, p) => of.slice(0, p + 1).reduce((a, b) => a + b));
  return {
    mode: 'live',
    instrument: 'BTC',
    model: 'sharp',
    model_version: 'test',
    as_of_ms: 0,
    last_price: 100,
    price: edges.slice(1).map((high, p) => (high + edges[p]) / 2),
    long_usd: longs,
    short_usd: shorts,
    long_cumulative_usd: running([...longs].reverse()).reverse(),
    short_cumulative_usd: running(shorts),
    tiers: [tier(10, 0.75), tier(25, 0), tier(50, 0.25)],
    quality: { usd_scale: 'usd', notes: [] },
    measured_share_long: measured ? 0.2 : 0,
    measured_share_short: 0,
    measured_age_ms: measured ? 1000 : null,
    measured: measured
      ? [{ instrument: 'hyperliquid:BTC', positions: 7, long_usd: known, short_usd: row({}) }]
      : [],
    parts: [
      { exchange: 'bybit', long_usd: share(1 / 3, longs), short_usd: share(1 / 3, shorts) },
      { exchange: 'binance', long_usd: share(2 / 3, longs), short_usd: share(2 / 3, shorts) },
    ],
  };
}

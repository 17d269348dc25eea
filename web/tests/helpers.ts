/** Small matrices for tests, and the shared wire fixture. */

import { readFileSync } from 'node:fs';

import { HeatMatrix } from '../src/engine/matrix';
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

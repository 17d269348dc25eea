import { describe, expect, it } from 'vitest';

import { coarseness, csvParts, cutOf, fileName, jsonText, type Facts } from '../src/engine/cells';
import { wrap } from '../src/engine/poster';
import { matrixOf } from './helpers';

const FACTS: Facts = {
  instrument: 'binance:BTCUSDT',
  exchanges: '',
  model: 'sharp',
  modelVersion: '2026.11.5',
  range: '3d',
  mode: 'simulated',
  unit: 'USD',
  caption: 'Estimate; not a prediction.',
};
const NOW = Date.UTC(2026, 10, 20, 19, 5, 33);

/** Four bins, three columns; the middle one has no data; the price is in the upper half. */
const market = () => {
  const m = matrixOf(
    [
      [10, 0, 0, 20],
      [0, 0, 0, 0],
      [255, 1, 0, 30],
    ],
    [0, 0, 0],
  );
  const close = m.edge(2);
  m.candles.close.set([close, NaN, close]);
  m.sideClose.set([close, close, close]);
  return m;
};
const WHOLE = { first: 0, end: 3, low: 0, high: 4 };
const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

describe('cutOf', () => {
  it('takes columns and bins which are partly in sight', () => {
    const m = market();
    const all = { from: -20, to: 80, top: m.edge(4) * 2, bottom: m.edge(0) / 2 };
    expect(cutOf(m, all)).toEqual(WHOLE);
    const part = { from: 0.6, to: 1.4, top: m.edge(2.5), bottom: m.edge(1.5) };
    expect(cutOf(m, part)).toEqual({ first: 1, end: 2, low: 1, high: 3 });
  });

  it('is empty when nothing is in sight, whole when the axis has no price', () => {
    const m = market();
    const beyond = cutOf(m, { from: 50, to: 60, top: null, bottom: null });
    expect([beyond.first, beyond.end, beyond.low, beyond.high]).toEqual([3, 3, 0, 4]);
    const above = cutOf(m, { from: 0, to: 1, top: m.edge(9), bottom: m.edge(8) });
    expect(above.low).toBe(above.high);
  });
});

describe('csvParts', () => {
  it('lists cells by side, names steps without data, and says unit, model, mode and rounding', () => {
    const m = market();
    const text = csvParts(m, WHOLE, FACTS, NOW).join('');
    const [names, ...rows] = lines(text);
    expect(names).toBe('start_ms,price_low,price_high,long_usd,short_usd');
    expect(rows.map((row) => row.split(',')[0])).toEqual([0, 0, 2, 2, 2].map((t) => String(m.timeMs(t))));
    const [low, high] = [rows[0], rows[1]].map((row) => row.split(',').slice(3).map(Number));
    expect(low[0]).toBeCloseTo(m.usd[10], -Math.log10(m.usd[10] / 1e3));
    expect(low[1]).toBe(0);
    expect(high[0]).toBe(0);
    expect(high[1] / m.usd[20]).toBeCloseTo(1, 3);
    expect(text).toContain(`# no_data_start_ms: ${m.timeMs(1)}\n`);
    for (const said of ['# mode: simulated', '# model: sharp', '# model_version: 2026.11.5', 'USD', 'not a prediction', '# written: 2026-11-20T19:05:33Z']) {
      expect(text).toContain(said);
    }
    expect(text).toContain(`to within ${(100 * coarseness(m)).toFixed(1)} %`);
  });
});

describe('jsonText', () => {
  it('has two matrices, null where there are no data, and edges one more than bins', () => {
    const m = market();
    const body = JSON.parse(jsonText(m, { first: 0, end: 3, low: 1, high: 4 }, FACTS, NOW));
    expect(body.start_ms).toEqual([0, 1, 2].map((t) => m.timeMs(t)));
    expect(body.price_edges).toHaveLength(4);
    expect(body.long_usd[1]).toBeNull();
    expect(body.short_usd[1]).toBeNull();
    expect(body.short_usd[0][2] / m.usd[20]).toBeCloseTo(1, 3);
    expect(body.long_usd[0]).toEqual([0, 0, 0]);
    expect(body.long_usd[2][0] / m.usd[1]).toBeCloseTo(1, 3);
    expect([body.mode, body.model, body.columns, body.bins]).toEqual(['simulated', 'sharp', 3, 3]);
  });
});

describe('fileName', () => {
  it('says what, how and when, and is safe on every system', () => {
    expect(fileName(FACTS, 'png', NOW)).toBe('liqheat_binance-BTCUSDT_3d_sharp_simulated_20261120T1905Z.png');
    const coin = { ...FACTS, instrument: 'BTC', mode: 'live' };
    expect(fileName(coin, 'csv', NOW)).toBe('liqheat_BTC_3d_sharp_20261120T1905Z.csv');
    expect(fileName({ ...coin, instrument: '../a b:/c\\', mode: 'as of 2026' }, 'json', NOW)).not.toMatch(/[\\/: ]/);
  });
});

describe('wrap', () => {
  const measure = (text: string): number => text.length;
  it('breaks between words and keeps a word which is too long', () => {
    expect(wrap('one two three', 8, measure)).toEqual(['one two', 'three']);
    expect(wrap('incomprehensibilities no', 4, measure)).toEqual(['incomprehensibilities', 'no']);
    expect(wrap('', 4, measure)).toEqual([]);
  });
});

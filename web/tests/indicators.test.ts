/** RSI against a published example, CVD and alignment where values are missing. */

import { describe, expect, test } from 'vitest';

import { align, cvd, extent, lastKnown, rsi } from '../src/engine/indicators';

/** Closes and RSI(14) of StockCharts' worked example of Wilder's index. */
const CLOSES = [
  44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931,
  46.0328, 45.614, 46.282, 46.282, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521,
  45.7137, 46.4515, 45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314,
];
const RSI_14 = [
  70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38, 54.71, 50.42, 39.99, 41.46,
  41.87, 45.46, 37.3, 33.08, 37.77,
];

const known = (column: Float64Array): (number | null)[] => [...column].map((x) => (Number.isNaN(x) ? null : x));

describe('rsi', () => {
  test('gives the published example', () => {
    const out = rsi(CLOSES, CLOSES.length);
    expect([...out.slice(0, 14)].every(Number.isNaN)).toBe(true);
    expect([...out.slice(14)].map((x) => Number(x.toFixed(2)))).toEqual(RSI_14);
  });

  test('is 100 where nothing fell, 0 where nothing rose, 50 where nothing moved', () => {
    const rise = Array.from({ length: 20 }, (_, i) => 100 + i);
    expect(rsi(rise, 20)[19]).toBe(100);
    expect(rsi(rise.toReversed(), 20)[19]).toBe(0);
    expect(rsi(new Array<number>(20).fill(7), 20)[19]).toBe(50);
  });

  test('a gap has no value and the rest is as if it were not there', () => {
    const holes = [...CLOSES.slice(0, 20), NaN, NaN, ...CLOSES.slice(20)];
    const out = rsi(holes, holes.length);
    expect(known(out.subarray(20, 22))).toEqual([null, null]);
    const whole = rsi(CLOSES, CLOSES.length);
    expect(out[out.length - 1]).toBe(whole[whole.length - 1]);
  });

  test('reads no further than the width', () => {
    const room = [...CLOSES, ...new Array<number>(10).fill(NaN)];
    expect(known(rsi(room, 20))).toEqual(known(rsi(CLOSES, 20)));
  });
});

describe('cvd', () => {
  test('sums buys less sells', () => {
    expect([...cvd(Float64Array.of(60, 10), Float64Array.of(40, 40))]).toEqual([20, -10]);
  });

  test('an unknown split is no value, and not 0 in the sum', () => {
    const out = cvd(Float64Array.of(60, NaN, 10, 5), Float64Array.of(40, 30, 40, NaN));
    expect(known(out)).toEqual([20, null, -10, null]);
  });
});

describe('align', () => {
  const steps = { width: 5, startMs: 1000, grid: { stepMs: 100 } };

  test('goes by time and keeps holes', () => {
    const rows = { startMs: [900, 1000, 1200, 1300, 1400, 1500], values: [9, 1, 3, null, 0, 6] };
    expect(known(align(rows, steps))).toEqual([1, null, 3, null, 0]);
  });

  test('rows between two columns belong to another step', () => {
    expect(known(align({ startMs: [1050, 1100], values: [7, 8] }, steps))).toEqual([null, 8, null, null, null]);
  });
});

test('lastKnown and extent skip what is unknown', () => {
  const column = Float64Array.of(NaN, 3, NaN, -2, NaN);
  expect(lastKnown(column)).toBe(3);
  expect(lastKnown(column, 2)).toBe(1);
  expect(lastKnown(column, 0)).toBe(-1);
  expect(extent(column, 0, 5)).toEqual([-2, 3]);
  expect(extent(column, 2, 3)).toBeNull();
  expect(extent(column, -10, 2)).toEqual([3, 3]);
});

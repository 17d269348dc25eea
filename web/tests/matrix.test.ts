import { describe, expect, it } from 'vitest';

import { cellAt, totals, usdBetween } from '../src/engine/levels';
import { SCROLL, percentileCode } from '../src/engine/matrix';
import { largestClusters } from '../src/engine/clusters';
import { candle, matrixOf } from './helpers';

const column = (...codes: number[]): number[] => codes;

describe('matrix', () => {
  it('says long below the close and short above', () => {
    const m = matrixOf([column(9, 9, 9, 9)], [102]);
    expect([0, 1, 2, 3].map((p) => m.side(0, p))).toEqual(['long', 'long', 'short', 'short']);
  });

  it('carries the close over a gap', () => {
    const m = matrixOf([column(1, 1), column(1, 1)], [101, NaN]);
    expect(m.isGap(1)).toBe(true);
    expect(m.closeAt(1)).toBe(101);
    m.append(candle(100), Uint8Array.of(0, 5));
    expect(m.side(2, 0)).toBe('short');
  });

  it('keeps the pooled levels through every kind of change', () => {
    const m = matrixOf([column(1, 0), column(2, 0)], [101, 101]);
    const level = m.pyramid.level(2, 1, m.width);
    m.replace(1, candle(101), Uint8Array.of(0, 7));
    m.patch(1, candle(101), Uint16Array.of(1), Uint8Array.of(8));
    m.append(candle(101), Uint8Array.of(3, 0));
    const counts = m.histogram(0, 1000);
    expect([counts[1], counts[2], counts[3], counts[8]]).toEqual([1, 0, 1, 1]);
    expect([...level.codes.subarray(0, 4)]).toEqual([1, 8, 3, 0]);
  });

  it('drops its oldest columns when it is full, and keeps the time of the others', () => {
    const m = matrixOf([column(1, 0), column(2, 0)], [101, 101]);
    const start = m.startMs;
    let scrolls = 0;
    for (let i = 0; i < 3 * SCROLL; i++) {
      if (m.append(candle(101), Uint8Array.of((i % 250) + 1, 0))) scrolls++;
      expect(m.timeMs(m.width - 1)).toBe(start + (i + 2) * 1000);
      expect(m.column(m.width - 1)[0]).toBe((i % 250) + 1);
    }
    expect(scrolls).toBe(2);
    expect(m.dropped).toBe(2 * SCROLL);
    expect(m.histogram(0, 1000).reduce((a, b) => a + b)).toBe(m.width * 2);
  });

  it('finds the percentile among the non-empty cells', () => {
    const m = matrixOf([[0, 0, ...Array.from({ length: 98 }, (_, i) => i + 1)]], [150]);
    const counts = m.histogram(100, 200);
    expect(percentileCode(counts, 0.5)).toBe(49);
    expect(percentileCode(counts, 1)).toBe(98);
    expect(percentileCode(m.histogram(100, 102), 0.995)).toBe(0);
    expect(percentileCode(m.histogram(110, 120), 1)).toBe(18);
  });
});

describe('levels', () => {
  const m = matrixOf([column(101, 0, 51, 151, 0, 201)], [103]);

  it('reads a cell with its side', () => {
    expect(cellAt(m, 0, 100.4)).toMatchObject({ bin: 0, side: 'long', usd: m.usd[101] });
    expect(cellAt(m, 7, 105.9)).toMatchObject({ column: 0, bin: 5, side: 'short' });
    expect(cellAt(m, 0, 99)).toBeNull();
    expect(cellAt(m, 0, 106)).toBeNull();
  });

  it('adds what lies between the price and the cursor, one side only', () => {
    expect(usdBetween(m, 103, 100.5)).toBeCloseTo(m.usd[101] + m.usd[51]);
    expect(usdBetween(m, 103, 105.5)).toBeCloseTo(m.usd[151] + m.usd[201]);
    expect(usdBetween(m, 103, 104.5)).toBeCloseTo(m.usd[151]);
  });

  it('adds up both sides', () => {
    const sums = totals(m, 0);
    expect(sums.long).toBeCloseTo(m.usd[101] + m.usd[51]);
    expect(sums.short).toBeCloseTo(m.usd[151] + m.usd[201]);
  });

  it('names the largest runs', () => {
    const near = matrixOf([column(205, 204, 0, 0, 0, 220)], [103]);
    const [first, second] = largestClusters(near, 5);
    expect(first).toMatchObject({ side: 'short', priceLow: 105, priceHigh: 106 });
    expect(second).toMatchObject({ side: 'long', priceLow: 100, priceHigh: 102 });
  });
});

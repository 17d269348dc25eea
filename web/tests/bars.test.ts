import { describe, expect, it } from 'vitest';

import {
  barsOf,
  binAt,
  binsPerBar,
  cumulativeAt,
  edgesOf,
  niceTicks,
  partsOf,
  priceAt,
  readAt,
  toPriceMap,
  xOf,
  type PriceView,
} from '../src/engine/bars';
import { mapReply } from './helpers';

/** 20 bins of 1 % around 100: a wall of longs at bin 4, of shorts at bin 15. */
const reply = mapReply({
  long: { 4: 30e6, 5: 2e6, 9: 1e6 },
  short: { 10: 1e6, 14: 3e6, 15: 20e6, 16: 5e6 },
});
const map = toPriceMap(reply);
const wide = (width: number, log = false): PriceView => ({
  from: map.edges[0],
  to: map.edges[20],
  width,
  log,
});
const total = 33e6 + 29e6;

describe('edges', () => {
  it('are those of the server for bins of equal ratio', () => {
    const edges = Array.from({ length: 21 }, (_, p) => 90.48 * Math.exp(p * 0.01));
    const centers = edges.slice(1).map((high, p) => (high + edges[p]) / 2);
    edgesOf(centers).forEach((edge, p) => expect(edge / edges[p]).toBeCloseTo(1, 4));
  });

  it('find the bin of a price, also at an edge and outside', () => {
    expect(binAt(map, map.edges[7])).toBe(7);
    expect(binAt(map, map.edges[7] * 0.9999)).toBe(6);
    expect([binAt(map, 1), binAt(map, 1e6), binAt(map, NaN)]).toEqual([-1, 20, -1]);
  });
});

describe('bars', () => {
  it.each(['side', 'tier', 'exchange'] as const)('of every width add up to the map, by %s', (by) => {
    const parts = partsOf(reply, by);
    for (const group of [1, 2, 3, 7, 20]) {
      const bars = barsOf(map, parts, group);
      expect(bars.reduce((sum, bar) => sum + bar.usd, 0)).toBeCloseTo(total, 3);
      for (const bar of bars) {
        expect(bar.parts.reduce((a, b) => a + b)).toBeCloseTo(bar.usd, 3);
      }
    }
  });

  it('keep a wall however few pixels there are', () => {
    for (const width of [60, 200, 1340]) {
      const group = binsPerBar(map, wide(width));
      const bars = barsOf(map, partsOf(reply, 'side'), group);
      expect(Math.max(...bars.map((bar) => bar.usd))).toBeGreaterThanOrEqual(30e6);
    }
  });

  it('are at least four and a half pixels wide', () => {
    for (const width of [20, 60, 90, 1340]) {
      const view = wide(width);
      const group = binsPerBar(map, view);
      const px = xOf(view, map.edges[group]) - xOf(view, map.edges[0]);
      expect(px).toBeGreaterThan(4.2);
      if (group > 1) expect(px / group).toBeLessThan(4.5);
    }
  });

  it('show longs below the price and shorts above, also in the bar which holds the price', () => {
    const bars = barsOf(map, partsOf(reply, 'side'), 4);
    for (const { side, low, high } of bars) {
      if (side === 'long') expect(high).toBeLessThanOrEqual(map.lastPrice);
      else expect(low).toBeGreaterThanOrEqual(map.lastPrice);
    }
    const cut = bars.filter((bar) => bar.first === 8);
    expect(cut.map(({ side }) => side)).toEqual(['long', 'short']);
    expect(cut[0].high).toBe(map.lastPrice);
    expect(cut[1].low).toBe(map.lastPrice);
  });
});

describe('parts', () => {
  it('by exchange are sorted by size and sum to the whole', () => {
    const parts = partsOf(reply, 'exchange');
    expect(parts.map(({ id }) => id)).toEqual(['binance', 'bybit']);
    expect(parts[0].total + parts[1].total).toBeCloseTo(total, 3);
  });

  it('by tier keep the measured levels apart, whose leverage nobody says', () => {
    const measured = mapReply({ long: { 4: 30e6 }, short: { 15: 20e6 }, measured: { 4: 6e6 } });
    const parts = partsOf(measured, 'tier');
    expect(parts.at(-1)).toMatchObject({ id: 'measured', total: 6e6 });
    expect(parts.reduce((sum, one) => sum + one.total, 0)).toBeCloseTo(50e6, 3);
    const sides = partsOf(measured, 'side');
    expect(sides.map(({ id, total: usd }) => [id, usd])).toEqual([
      ['modelled', 44e6],
      ['measured', 6e6],
    ]);
  });

  it('without any USD are left out', () => {
    expect(partsOf(reply, 'tier').map(({ id }) => id)).toEqual(['L2', 'L4']);
  });
});

describe('cumulative', () => {
  it('runs outward from the price, the bin of the cursor included', () => {
    const center = (p: number): number => Math.sqrt(map.edges[p] * map.edges[p + 1]);
    expect(cumulativeAt(map, center(9))).toBe(1e6);
    expect(cumulativeAt(map, center(5))).toBe(3e6);
    expect(cumulativeAt(map, center(4))).toBe(33e6);
    expect(cumulativeAt(map, center(15))).toBe(24e6);
    expect(cumulativeAt(map, 1)).toBe(33e6);
    expect(cumulativeAt(map, 1e6)).toBe(29e6);
  });

  it('is what a reading tells, with the bar under it', () => {
    const bars = barsOf(map, partsOf(reply, 'side'), 1);
    const reading = readAt(map, bars, map.edges[4] * 1.001);
    expect(reading).toMatchObject({ side: 'long', cumulative: 33e6 });
    expect(reading.bar?.usd).toBe(30e6);
    expect(reading.distance).toBeLessThan(0);
    expect(readAt(map, bars, map.edges[2]).bar).toBeNull();
  });
});

describe('max pain', () => {
  it('of longs lies below the price and of shorts above it: guides print it the wrong way round', () => {
    const [long, short] = map.pains;
    expect([long.side, short.side]).toEqual(['long', 'short']);
    expect(long.price).toBeLessThan(map.lastPrice);
    expect(short.price).toBeGreaterThan(map.lastPrice);
    expect(binAt(map, long.price)).toBe(4);
    expect(binAt(map, short.price)).toBe(15);
    expect(long).toMatchObject({ usd: 30e6, cumulativeUsd: 33e6 });
  });

  it('is missing for a side without levels', () => {
    expect(toPriceMap(mapReply({ long: {}, short: {} })).pains).toEqual([]);
  });
});

describe('view', () => {
  it.each([false, true])('goes from price to pixel and back, log %s', (log) => {
    const view = wide(1340, log);
    for (const x of [0, 333, 1340]) expect(xOf(view, priceAt(view, x))).toBeCloseTo(x, 6);
  });

  it('has round ticks', () => {
    expect(niceTicks(59_880, 76_100, 9)).toEqual([60_000, 62_000, 64_000, 66_000, 68_000, 70_000, 72_000, 74_000, 76_000]);
    expect(niceTicks(0, 2.2, 4)).toEqual([0, 1, 2]);
    expect(niceTicks(5, 5, 4)).toEqual([]);
  });
});

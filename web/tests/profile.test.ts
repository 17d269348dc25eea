import { describe, expect, it } from 'vitest';

import { strips, type HeatView } from '../src/engine/heat';
import { buildProfile } from '../src/engine/profile';
import { buildSplit, painOf } from '../src/engine/split';
import { matrixOf } from './helpers';
import { HeatMatrix } from '../src/engine/matrix';
import { decodeSnapshot } from '../src/net/codec';
import { fixtureBytes } from './helpers';

describe('profile', () => {
  it('adds outward from the price, longs down and shorts up', () => {
    const m = matrixOf([[10, 20, 30, 40, 50, 60]], [103]);
    const { usd, cumulative, split } = buildProfile(m);
    expect(split).toBe(3);
    expect(cumulative[2]).toBeCloseTo(usd[2]);
    expect(cumulative[0]).toBeCloseTo(usd[0] + usd[1] + usd[2]);
    expect(cumulative[3]).toBeCloseTo(usd[3]);
    expect(cumulative[5]).toBeCloseTo(usd[3] + usd[4] + usd[5]);
  });

  it('is all shorts when the price is below the grid', () => {
    expect(buildProfile(matrixOf([[1, 1]], [90])).split).toBe(0);
    expect(buildProfile(matrixOf([[1, 1]], [190])).split).toBe(2);
  });
});

function view(low: number, high: number, height: number, log: boolean): HeatView {
  const f = log ? Math.log : (x: number): number => x;
  return {
    width: 100,
    ratioX: 1,
    ratioY: 1,
    height,
    originX: 0,
    columnWidth: 1,
    priceTop: high,
    priceBottom: low,
    yOf: (price) => (height * (f(high) - f(price))) / (f(high) - f(low)),
  };
}

describe('strips', () => {
  const wide = new HeatMatrix({
    ...decodeSnapshot(fixtureBytes()),
    header: { ...decodeSnapshot(fixtureBytes()).header, columns: 0, bins: 400, pStep: 0.003 },
    codes: new Uint8Array(0),
  });
  const low = wide.edge(0);
  const high = wide.edge(400);

  it('is one strip when grid and axis agree', () => {
    expect(strips(wide, view(low, high, 700, true), 1)).toEqual([
      { binLow: 0, binHigh: 400, yTop: 0, yBottom: 700 },
    ]);
  });

  it.each([1, 2, 4])('follows a linear axis within a pixel, without seams (align %i)', (align) => {
    const v = view(low, high, 700, false);
    const parts = strips(wide, v, align);
    expect(parts.length).toBeGreaterThan(3);
    expect(parts.length).toBeLessThanOrEqual(64);
    parts.forEach((part, i) => {
      if (i > 0) expect([part.binLow, part.yBottom]).toEqual([parts[i - 1].binHigh, parts[i - 1].yTop]);
      const middle = (part.binLow + part.binHigh) / 2;
      const drawn = (part.yTop + part.yBottom) / 2;
      expect(Math.abs(v.yOf(wide.edge(middle)) - drawn)).toBeLessThan(1.6);
    });
    expect(parts[0].binLow).toBe(0);
    expect(parts.at(-1)?.binHigh).toBe(400);
  });

  it('covers the visible part only', () => {
    const parts = strips(wide, view(wide.edge(100.3), wide.edge(109.6), 700, true), 2);
    expect([parts[0].binLow, parts.at(-1)?.binHigh]).toEqual([100, 110]);
    expect(strips(wide, view(high * 2, high * 3, 700, true), 1)).toEqual([]);
  });
});

describe('profile split', () => {
  const m = matrixOf([[10, 20, 30, 40, 50, 60]], [103]);
  const sides = (long: number[], short: number[]) => ({
    long_usd: [...long, 0, 0, 0],
    short_usd: [0, 0, 0, ...short],
  });
  const reply = {
    price: [100.5, 101.5, 102.5, 103.5, 104.5, 105.5],
    ...sides([6, 5, 4], [1, 2, 9]),
    tiers: [
      { leverage: 20, ...sides([1, 1, 1], [0, 1, 2]) },
      { leverage: 25, ...sides([1, 2, 1], [0, 1, 3]) },
      { leverage: 100, ...sides([0, 0, 0], [1, 0, 0]) },
      { leverage: 2, ...sides([0, 0, 0], [0, 0, 0]) },
    ],
    measured: [sides([4, 2, 2], [0, 0, 4])],
    parts: [
      { exchange: 'okx', ...sides([1, 1, 1], [1, 0, 0]) },
      { exchange: 'binance', ...sides([5, 4, 3], [0, 2, 9]) },
      { exchange: 'gate', ...sides([0, 0, 0], [0, 0, 0]) },
    ],
  };

  it('groups leverages into tiers, and what is measured apart; they sum to the whole', () => {
    const split = buildSplit(m, reply, 'tier', 'dark')!;
    expect(split.groups.map(({ name }) => name)).toEqual(['20–25x', '≥ 75x', 'measured']);
    expect([...split.groups[0].usd]).toEqual([2, 3, 2, 0, 2, 5]);
    for (let p = 0; p < 6; p++) {
      expect(split.groups.reduce((sum, { usd }) => sum + usd[p], 0)).toBeCloseTo(split.usd[p]);
    }
  });

  it('puts the largest exchange first and leaves out those without levels', () => {
    const split = buildSplit(m, reply, 'exchange', 'light')!;
    expect(split.groups.map(({ name }) => name)).toEqual(['binance', 'okx']);
    expect(split.split).toBe(3);
    expect([...split.cumulative]).toEqual([15, 9, 4, 1, 3, 12]);
  });

  it('knows the max pain of exact figures only', () => {
    expect(buildSplit(m, reply, 'tier', 'dark')!.pain.short).toMatchObject({ price: 105.5, usd: 9 });
    const pain = painOf(m, reply);
    expect(pain.long).toMatchObject({ price: 100.5, usd: 6, cumulativeUsd: 15 });
    expect(buildProfile(m, pain)).toMatchObject({ pain, groups: [] });
    // The codes of the picture are too coarse to tell.
    expect(buildProfile(m).pain).toEqual({ long: null, short: null });
  });

  it('does not show a reply of another grid', () => {
    const moved = { ...reply, price: reply.price.map((x) => x + 0.1) };
    expect(buildSplit(m, moved, 'tier', 'dark')).toBeNull();
    expect(buildSplit(m, { ...reply, price: [1, 2] }, 'tier', 'dark')).toBeNull();
    expect(painOf(m, moved).long).toBeNull();
  });
});

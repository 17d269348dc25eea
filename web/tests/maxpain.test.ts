import { describe, expect, it } from 'vitest';

import { maxPain } from '../src/engine/maxpain';

describe('max pain', () => {
  const prices = [96, 97, 98, 99, 101, 102, 103, 104];
  const long = [5, 40, 10, 2, 0, 0, 0, 0];
  const short = [0, 0, 0, 0, 1, 30, 8, 12];

  it('is the largest bin of each side, with what is met on the way', () => {
    const { long: down, short: up } = maxPain(prices, long, short);
    expect(down).toEqual({ side: 'long', bin: 1, price: 97, usd: 40, cumulativeUsd: 52 });
    expect(up).toEqual({ side: 'short', bin: 5, price: 102, usd: 30, cumulativeUsd: 31 });
  });

  it('takes the nearest of equal bins', () => {
    const { long: down, short: up } = maxPain(prices, [7, 7, 0, 7, 0, 0, 0, 0], [0, 0, 0, 0, 0, 3, 0, 3]);
    expect([down?.price, up?.price]).toEqual([99, 102]);
  });

  it('has no price where a side has no level', () => {
    expect(maxPain(prices, new Float64Array(8), short).long).toBeNull();
    expect(maxPain([], [], [])).toEqual({ long: null, short: null });
  });
});

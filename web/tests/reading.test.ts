import { describe, expect, it } from 'vitest';

import { bandText, bandsIn } from '../src/engine/bands';
import { exchangesAt, originAt } from '../src/engine/reading';

const part = (exchange: string, long: number[], short: number[]) => ({
  exchange,
  instrument: `${exchange}:X`,
  long_usd: long,
  short_usd: short,
});

describe('what an exact column says of a bin', () => {
  const parts = [part('gate', [1, 0], [0, 2]), part('okx', [0, 0], [0, 0]), part('binance', [3, 0], [0, 6])];

  it('is split by exchange, the largest first', () => {
    expect(exchangesAt(parts, 0)).toEqual([
      { name: 'binance', usd: 3, share: 0.75 },
      { name: 'gate', usd: 1, share: 0.25 },
    ]);
    expect(exchangesAt([parts[1]], 0)).toEqual([]);
    expect(exchangesAt(parts, 9)).toEqual([]);
  });

  it('is modelled, unless positions stand in its place', () => {
    const whole = part('all', [10, 0], [0, 8]);
    expect(originAt(whole, [], 0)).toEqual({ measured: 0, ageMs: null });
    const read = [
      { ...part('a', [2, 0], [0, 0]), age_ms: 1000 },
      { ...part('b', [2, 0], [0, 0]), age_ms: 3000 },
    ];
    expect(originAt(whole, read, 0)).toEqual({ measured: 0.4, ageMs: 2000 });
    expect(originAt(whole, [{ ...read[0], age_ms: null }], 0)).toEqual({ measured: 0.2, ageMs: null });
    expect(originAt(whole, read, 1)).toEqual({ measured: 0, ageMs: null });
    expect(originAt(part('none', [0], [0]), read, 0)).toBeNull();
  });
});

describe('distance bands', () => {
  const view = (low: number, high: number, height: number) => ({
    priceBottom: low,
    priceTop: high,
    yOf: (price: number): number => (height * (high - price)) / (high - low),
  });
  const ratios = (low: number, high: number, height: number): number[] =>
    bandsIn(100, view(low, high, height), 20)
      .map(({ ratio }) => ratio)
      .sort((a, b) => a - b);

  it('are all there when they fit', () => {
    expect(ratios(88, 112, 800)).toEqual([-0.1, -0.05, -0.02, -0.01, 0.01, 0.02, 0.05, 0.1]);
  });

  it('leave out what is off the pane, on either side', () => {
    expect(ratios(98.5, 103, 800)).toEqual([-0.01, 0.01, 0.02]);
  });

  it('leave out the nearer ones where labels would touch', () => {
    expect(ratios(60, 140, 400)).toEqual([-0.1, -0.05, 0.05, 0.1]);
    expect(ratios(10, 500, 400)).toEqual([]);
    expect(bandsIn(NaN, view(1, 2, 100), 20)).toEqual([]);
  });

  it('are written with a sign', () => {
    expect([bandText(0.05), bandText(-0.1)]).toEqual(['+5 %', '−10 %']);
  });
});

import { describe, expect, it } from 'vitest';

import { agreement, agreementText, clusterAt, type ExchangePart } from '../src/engine/agreement';

/** Eight bins; longs in the lower four, shorts in the upper four. */
const part = (exchange: string, usd: number[]): ExchangePart => ({
  exchange,
  long_usd: usd.map((x, p) => (p < 4 ? x : 0)),
  short_usd: usd.map((x, p) => (p < 4 ? 0 : x)),
});

const PARTS = [
  part('gate', [1, 0, 0, 0, 0, 0, 0, 9]),
  // A small exchange: its own largest level is in the cluster.
  part('okx', [0, 3, 4, 0, 0, 1, 0, 0]),
  // One bin beside the cluster: the same entries under other margin rules.
  part('bybit', [50, 0, 0, 0, 0, 0, 20, 0]),
  part('binance', [0, 90, 80, 0, 0, 10, 0, 30]),
];

const whole = (side: 'long_usd' | 'short_usd'): number[] =>
  Array.from({ length: 8 }, (_, p) => PARTS.reduce((sum, one) => sum + one[side][p], 0));

describe('agreement', () => {
  const long = whole('long_usd');
  const short = whole('short_usd');

  it('finds the run of bins around the cursor which stands out', () => {
    // 51, 93, 84 of at most 93: all above 45 %.
    expect(clusterAt(long, short, 1)).toEqual({ side: 'long', from: 0, to: 3, usd: 228 });
    expect(clusterAt(long, short, 2)).toEqual(clusterAt(long, short, 0));
    expect(clusterAt(long, short, 3)).toBeNull();
    expect(clusterAt(long, short, 7)).toBeNull();
    expect(clusterAt([], [], 0)).toBeNull();
  });

  it('holds every exchange to its own largest level', () => {
    const run = { side: 'long', from: 1, to: 3, usd: 177 } as const;
    expect(agreement(run, PARTS)).toEqual({
      run,
      on: ['binance', 'okx', 'bybit'],
      off: ['gate'],
    });
  });

  it('allows one bin of difference, not two', () => {
    const at = { side: 'long', from: 2, to: 3, usd: 84 } as const;
    expect(agreement(at, PARTS).on).toEqual(['binance', 'okx']);
  });

  it('does not take the other side for the same cluster', () => {
    const at = { side: 'short', from: 4, to: 5, usd: 1 } as const;
    const long3 = part('okx', [0, 0, 0, 9, 0, 0, 0, 0]);
    expect(agreement(at, [long3]).on).toEqual([]);
  });

  it('says it in words', () => {
    const run = { side: 'long', from: 1, to: 3, usd: 177 } as const;
    expect(agreementText(agreement(run, PARTS))).toBe(
      'on 3 of 4 exchanges: binance, okx, bybit; not on gate',
    );
    expect(agreementText({ run, on: ['a', 'b'], off: [] })).toBe('on all 2 exchanges: a, b');
    expect(agreementText({ run, on: [], off: ['a', 'b'] })).toMatch(/none of 2/);
    expect(agreementText({ run, on: ['okx'], off: [] })).toMatch(/only okx/);
  });
});

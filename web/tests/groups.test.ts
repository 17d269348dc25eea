import { describe, expect, it } from 'vitest';

import { exchangeColors } from '../src/engine/groups';
import { formatMixture, parseMixture, switchTier } from '../src/engine/mixture';
import { leveragesOf, tierOf } from '../src/engine/tiers';

describe('tiers of leverage', () => {
  it('cover every leverage once', () => {
    const all = [2, 3, 5, 10, 20, 25, 50, 75, 100, 125];
    expect(all.map(tierOf)).toEqual(['L1', 'L1', 'L1', 'L2', 'L3', 'L3', 'L4', 'L5', 'L5', 'L5']);
  });

  it('name the leverages of the tiers shown, and nothing when all are', () => {
    expect(leveragesOf('L1,L3')).toBe('2,3,5,20,25');
    expect(leveragesOf('L5')).toBe('75,100,125');
    expect([leveragesOf(''), leveragesOf('L1,L2,L3,L4,L5')]).toEqual([undefined, undefined]);
  });

  it('are switched on and off, in order, and never all off', () => {
    expect(switchTier('', 'L2')).toBe('L1,L3,L4,L5');
    expect(switchTier('L1,L4', 'L3')).toBe('L1,L3,L4');
    expect(switchTier('L1,L2,L3,L4', 'L5')).toBe('');
    expect(switchTier('L4', 'L4')).toBe('');
  });
});

describe('an own mixture', () => {
  it('sends only what is above zero, and reads itself again', () => {
    const mixture = { L1: 0, L2: 0, L3: 50, L4: 30, L5: 5 };
    const text = formatMixture(mixture);
    expect(text).toBe('25:.5,50:.3,100:.05');
    expect(parseMixture(text)).toEqual(mixture);
    expect(formatMixture({ L1: 100, L2: 0, L3: 0, L4: 0, L5: 0 })).toBe('5:1');
  });

  it('is none when nothing is in it, or it makes no sense', () => {
    expect(formatMixture({ L1: 0, L2: 0, L3: 0, L4: 0, L5: 0 })).toBeNull();
    for (const text of [null, '', '25', '25:', '1:.5', '25:0', '25:2', '25:.5;50:.5', 'x:.5']) {
      expect(parseMixture(text)).toBeNull();
    }
  });

  it('adds leverages of one tier up', () => {
    expect(parseMixture('20:.25,25:.25,50:.5')).toEqual({ L1: 0, L2: 0, L3: 50, L4: 50, L5: 0 });
  });
});

describe('colors of exchanges', () => {
  it('stay with the exchange, and differ', () => {
    const few = exchangeColors(['okx', 'binance'], 'dark');
    const many = exchangeColors(['binance', 'test', 'okx', 'other'], 'dark');
    expect(many[2]).toBe(few[0]);
    expect(many[0]).toBe(few[1]);
    expect(new Set(many).size).toBe(4);
  });
});

import { describe, expect, it } from 'vitest';

import { priceDecimals } from '../src/engine/axis';
import { formatAge, formatPercent, formatPrice, formatStep, formatUsd, splitSymbol } from '../src/format';

describe('format', () => {
  it.each([
    [0, '$0'],
    [12, '$12'],
    [950, '$950'],
    [999.6, '$1.00K'],
    [12_345_678, '$12.3M'],
    [1_240_000_000, '$1.24B'],
    [142e6, '$142M'],
    [-5e3, '−$5.00K'],
    [NaN, '–'],
  ])('USD %d', (value, text) => expect(formatUsd(value)).toBe(text));

  it.each([
    [0.0241, '+2.41 %'],
    [-0.123, '−12.3 %'],
    [0, '0.00 %'],
    [NaN, '–'],
  ])('percent %d', (value, text) => expect(formatPercent(value)).toBe(text));

  it.each([
    [-50, '0 s'],
    [2_400, '2 s'],
    [240_000, '4 min'],
    [130 * 60_000, '2 h 10 min'],
    [26 * 3_600_000, '26 h'],
    [3.2 * 86_400_000, '3 d'],
  ])('age %d', (value, text) => expect(formatAge(value)).toBe(text));

  it('price, step and symbol', () => {
    expect(formatPrice(61234.5, 1)).toBe('61,234.5');
    expect([60_000, 300_000, 3_600_000, 86_400_000].map(formatStep)).toEqual(['1m', '5m', '1h', '1d']);
    expect(splitSymbol('binance:BTCUSDT')).toEqual({ exchange: 'binance', contract: 'BTCUSDT' });
  });

  it.each([
    [67_000, 0.1, 1],
    [67_000, 0.5, 1],
    [0.15, 0.00001, 5],
    [67_000, undefined, 0],
    [0.1523, undefined, 5],
    [3, undefined, 4],
  ])('decimals of %d with tick %s', (price, tick, decimals) => {
    expect(priceDecimals(price, tick)).toBe(decimals);
  });
});

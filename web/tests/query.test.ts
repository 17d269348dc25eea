import { describe, expect, it } from 'vitest';

import { DEFAULTS, formatQuery, parseQuery, switched, type Query } from '../src/state/query';

describe('URL state', () => {
  it('is empty for the defaults', () => {
    expect(formatQuery(DEFAULTS)).toBe('');
    expect(parseQuery('')).toEqual(DEFAULTS);
  });

  it('reproduces every choice', () => {
    const chosen: Query = {
      instrument: 'ETH',
      exchanges: 'bybit,okx',
      range: '1M',
      model: 'zones',
      step: '4h',
      lo: 0.0625,
      hi: 0.9,
      transfer: 'log',
      palette: 'cividis',
      logPrice: true,
      zone: 'local',
      profile: false,
    realised: false,
      bins: 800,
    };
    const text = formatQuery(chosen);
    expect(parseQuery(text)).toEqual(chosen);
    expect(text).toContain('s=ETH&ex=bybit,okx');
    expect(formatQuery({ ...DEFAULTS, instrument: 'bybit:ETHUSDT' })).toBe('?s=bybit:ETHUSDT');
    expect(text).toContain('thr=0.0625-0.9');
  });

  it('tells 1m from 1M', () => {
    expect(parseQuery('?r=1M&step=1m')).toMatchObject({ range: '1M', step: '1m' });
    expect(parseQuery('?r=1m').range).toBe(DEFAULTS.range);
  });

  it.each([
    ['?r=9y&m=best&step=7m&scale=cube&pal=rainbow&bins=7&tz=mars', DEFAULTS],
    ['?ex=<b>', DEFAULTS],
    ['?thr=0.9-0.1', DEFAULTS],
    ['?thr=a-b', DEFAULTS],
    ['?thr=0.2', { ...DEFAULTS, lo: 0.2, hi: 1 }],
    ['?thr=0-1', { ...DEFAULTS, lo: 0, hi: 1 }],
    ['?thr=0.2-2', DEFAULTS],
  ])('falls back on %s', (search, expected) => {
    expect(parseQuery(search)).toEqual(expected);
  });

  it('switches exchanges on and off, and says nothing where all are on', () => {
    const all = ['binance', 'bybit', 'okx'];
    expect(switched(all, all, 'bybit')).toBe('binance,okx');
    expect(switched(['binance', 'okx'], all, 'bybit')).toBe('');
    expect(switched(['okx'], all, 'binance')).toBe('binance,okx');
    expect(switched(['binance', 'okx', 'gone'], all, 'okx')).toBe('binance');
  });

  it('keeps the keys of others', () => {
    expect(formatQuery({ ...DEFAULTS, range: '1w' }, '?x=1&r=3M')).toBe('?x=1&r=1w');
  });
});

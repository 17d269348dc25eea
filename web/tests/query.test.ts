import { describe, expect, it } from 'vitest';

import {
  DEFAULTS,
  changed,
  formatChoices,
  formatQuery,
  parseChoices,
  parseQuery,
  queryOf,
  switched,
  type Query,
} from '../src/state/query';

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
      feed: true,
      bins: 800,
      asOfMs: 1_700_000_000_000,
      side: 'short',
      bands: true,
      split: 'exchange',
      tiers: 'L1,L3',
      mixture: '25:.5,50:.5',
      view: 'map',
      by: 'tier',
      target: 61234.5,
      sub: 'oi,rsi',
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
    ['?side=up&pf=coin&lev=L9&mix=25&bands=yes', DEFAULTS],
    ['?thr=0.9-0.1', DEFAULTS],
    ['?thr=a-b', DEFAULTS],
    ['?thr=0.2', { ...DEFAULTS, lo: 0.2, hi: 1 }],
    ['?thr=0-1', { ...DEFAULTS, lo: 0, hi: 1 }],
    ['?thr=0.2-2', DEFAULTS],
    ['?at=yesterday', DEFAULTS],
    ['?at=-5', DEFAULTS],
    ['?view=globe&by=moon&px=-3', DEFAULTS],
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

describe('panels in the URL', () => {
  it('has what a further panel does differently from the first', () => {
    const choices = parseChoices('?s=BTC&r=1w&n=3&s.2=okx:BTC-USDT-SWAP&m.3=zones&r.3=1w');
    expect(choices.others).toEqual([{ instrument: 'okx:BTC-USDT-SWAP' }, { model: 'zones' }]);
    expect(queryOf(choices, 1)).toMatchObject({ instrument: 'okx:BTC-USDT-SWAP', range: '1w' });
    expect(queryOf(choices, 2)).toMatchObject({ instrument: 'BTC', model: 'zones' });
    expect(formatChoices(choices)).toBe('?s=BTC&r=1w&n=3&s.2=okx:BTC-USDT-SWAP&m.3=zones');
  });

  it('goes back to empty and automatic values where the first panel has others', () => {
    const text = '?s=BTC&ex=okx&step=5m&thr=0.2-0.8&prof=0&n=2&ex.2=&step.2=&thr.2=&prof.2=1';
    const choices = parseChoices(text);
    expect(queryOf(choices, 1)).toMatchObject({ exchanges: '', step: null, lo: null, hi: 1, profile: true });
    expect(parseChoices(formatChoices(choices))).toEqual(choices);
  });

  it('follows the first panel in what it does not do differently', () => {
    let choices = parseChoices('?s=BTC&n=2&m.2=zones');
    choices = changed(choices, 0, { range: '1M', model: 'sharp' });
    expect(queryOf(choices, 1)).toMatchObject({ range: '1M', model: 'zones' });
    choices = changed(choices, 1, { model: 'sharp' });
    expect(choices.others).toEqual([{}]);
  });

  it('sets what belongs to the page on all panels, whoever sets it', () => {
    const choices = changed(parseChoices('?s=BTC&n=2'), 1, { zone: 'local', range: '1M' });
    expect(choices.first).toMatchObject({ zone: 'local', range: DEFAULTS.range });
    expect(queryOf(choices, 1)).toMatchObject({ zone: 'local', range: '1M' });
    expect(parseChoices('?n=2&tz.2=local').others).toEqual([{}]);
  });

  it.each(['?n=0', '?n=5', '?n=1.5', '?n=x', '?m.2=zones'])('falls back to one panel on %s', (search) => {
    expect(parseChoices(search).others).toEqual([]);
  });
});

describe('sub-panes', () => {
  it('are read in their order, each once, without what is none', () => {
    expect(parseQuery('?sub=rsi,oi,rsi,nonsense').sub).toBe('rsi,oi');
    expect(parseQuery('?sub=').sub).toBe('');
    expect(formatQuery({ ...DEFAULTS, sub: 'rsi,oi' })).toBe('?sub=rsi,oi');
  });
});

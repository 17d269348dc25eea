/** What sub-panes draw and say: by time, with holes, and with each side on its own way. */

import { describe, expect, test } from 'vitest';

import { columnsOf, drawn } from '../src/engine/paneColumns';
import { SPECS, capacity, formatRate } from '../src/engine/paneKinds';
import { farthest, groupsIn } from '../src/engine/paneLayer';
import { sharesOf } from '../src/engine/panes';
import { merged, type Series } from '../src/net/series';
import { readingAt, strengthAt } from '../src/ui/paneText';

const STEP = 1000;
const steps = { width: 4, startMs: 10_000, grid: { stepMs: STEP } };

function seriesOf(change: Partial<Series> = {}): Series {
  return {
    ...{ mode: 'live', instrument: 'test:BTCUSDT', lead: 'test:BTCUSDT', step_ms: STEP },
    start_ms: [10_000, 11_000, 12_000, 13_000],
    open_interest_usd: [1e9, null, 1.1e9, 1.2e9],
    open_interest_of: [1, 0, 1, 1],
    funding_rate: [1e-4, 1e-4, -5e-5, null],
    funding_interval_ms: 28_800_000,
    qty_usd: [100, 200, 300, 400],
    taker_buy_usd: [60, null, 100, 100],
    taker_sell_usd: [40, null, 200, 300],
    liquidated_long_usd: [0, null, 7e6, 0],
    liquidated_short_usd: [0, null, 2e6, 0],
    liquidations_completeness: 'full',
    notes: [],
    ...change,
  };
}

const facts = (change: Partial<Series> = {}, coin = false) => {
  const series = seriesOf(change);
  return { series, columns: columnsOf(series, steps), coin };
};

const said = (parts: readonly { text: string }[] | null): string | null => parts && parts.map((x) => x.text).join(' | ');

describe('columns', () => {
  test('lie on the matrix by time, holes stay holes', () => {
    const { columns } = facts();
    expect([...columns.oi]).toEqual([1e9, NaN, 1.1e9, 1.2e9]);
    expect([...columns.cvd]).toEqual([20, NaN, -80, -280]);
    expect([...columns.funding]).toEqual([1e-4, 1e-4, -5e-5, NaN]);
  });

  test('shorts are liquidated upwards and longs downwards', () => {
    const { columns } = facts();
    expect(SPECS.liq.shape).toBe('mirror');
    const { main, down } = drawn('liq', columns);
    expect(main[2]).toBe(2e6); // up: shorts
    expect(down![2]).toBe(7e6); // down: longs
    expect(Number.isNaN(main[1]) && Number.isNaN(down![1])).toBe(true);
    expect(main[0]).toBe(0);
  });
});

describe('legends', () => {
  test('name each side of liquidations with its own sum', () => {
    expect(said(readingAt('liq', facts(), 2))).toBe('▲ shorts $2.00M | ▼ longs $7.00M');
    expect(said(readingAt('liq', facts(), 0))).toBe('▲ shorts $0 | ▼ longs $0');
    expect(said(readingAt('liq', facts(), 1))).toBe('unknown');
  });

  test('say that sampled liquidations are a lower bound', () => {
    const sampled = facts({ liquidations_completeness: 'sampled_1s_largest' });
    expect(said(readingAt('liq', sampled, 2))).toContain('lower bound');
    expect(said(readingAt('liq', facts({ liquidations_completeness: 'unknown' }), 2))).toContain('completeness unknown');
  });

  test('take the newest known value without a crosshair, and never 0 for unknown', () => {
    expect(said(readingAt('funding', facts(), null))).toBe('−0.0050 % | per 8 h | shorts pay');
    expect(said(readingAt('funding', facts(), 3))).toBe('unknown');
    expect(said(readingAt('oi', facts(), 1))).toBe('unknown');
    expect(said(readingAt('oi', facts(), 99))).toBe('$1.20B | +$100M in the step');
  });

  test('do not call it a change when another contract came into the sum', () => {
    const more = facts({ open_interest_of: [1, 0, 1, 2] }, true);
    expect(said(readingAt('oi', more, 3))).toBe('$1.20B | 2 contracts');
  });

  test('say whose funding and whose candles, of a coin', () => {
    expect(said(readingAt('funding', facts({}, true), 0))).toContain('of test:BTCUSDT');
    expect(said(strengthAt(Float64Array.of(NaN, 71.26), 'test:BTCUSDT', null))).toBe('71.3 | above 70 | of test:BTCUSDT');
  });

  test('are none where nothing is known in the whole window', () => {
    const none = [null, null, null, null];
    expect(readingAt('cvd', facts({ taker_buy_usd: none, taker_sell_usd: none }), 2)).toBeNull();
    expect(readingAt('liq', facts({ liquidated_long_usd: none, liquidated_short_usd: none }), null)).toBeNull();
    expect(strengthAt(new Float64Array(3).fill(NaN), null, null)).toBeNull();
  });

  test('formatRate has a sign and four decimals', () => {
    expect([1e-4, -1.25e-5, 0, -1e-9].map(formatRate)).toEqual(['+0.0100 %', '−0.0013 %', '0.0000 %', '0.0000 %']);
  });
});

describe('merged', () => {
  test('writes the newest over the end and goes on', () => {
    const recent = seriesOf({ start_ms: [13_000, 14_000], qty_usd: [444, 5], notes: ['part'] });
    const out = merged(seriesOf(), { ...recent, open_interest_usd: [1, 2] });
    expect(out!.start_ms).toEqual([10_000, 11_000, 12_000, 13_000, 14_000]);
    expect(out!.qty_usd).toEqual([100, 200, 300, 444, 5]);
    expect(out!.notes).toEqual([]);
  });

  test('asks for all again after a hole or on another step', () => {
    expect(merged(seriesOf(), seriesOf({ start_ms: [15_000] }))).toBeNull();
    expect(merged(seriesOf(), seriesOf({ start_ms: [12_500] }))).toBeNull();
    expect(merged(seriesOf(), seriesOf({ step_ms: 500 }))).toBeNull();
  });

  test('a longer answer replaces a shorter one', () => {
    const longer = seriesOf({ start_ms: [9000, 10_000, 11_000, 12_000] });
    expect(merged(seriesOf(), longer)).toBe(longer);
  });
});

describe('layout', () => {
  test('leaves the heat 55 % whatever was remembered', () => {
    const all = ['oi', 'funding', 'volume', 'cvd', 'rsi', 'liq'] as const;
    expect(sharesOf(all, {}, 760).reduce((a, b) => a + b)).toBeCloseTo(0.45);
    expect(sharesOf(['oi', 'rsi'], { oi: 0.6, rsi: 0.3 }, 760)).toEqual([expect.closeTo(0.3), expect.closeTo(0.15)]);
    expect(sharesOf(['oi'], {}, 800)[0]).toBeCloseTo(96 / 800);
    expect(sharesOf([], {}, 800)).toEqual([]);
  });

  test('a phone holds two, a low chart as many as have room', () => {
    expect(capacity(390, 650)).toBe(2);
    expect(capacity(1300, 760)).toBeGreaterThanOrEqual(6);
    expect(capacity(1300, 300)).toBe(3);
    expect(capacity(1300, 60)).toBe(1);
  });
});

describe('drawing', () => {
  test('columns are grouped from the first on where they are narrower than a pixel', () => {
    expect(groupsIn({ originX: 0, columnWidth: 0.25, width: 100 }, 400)).toMatchObject({ size: 4, first: 0, end: 100 });
    expect(groupsIn({ originX: -500, columnWidth: 10, width: 100 }, 400)).toEqual({ size: 1, first: 49, end: 61 });
  });

  test('of a group the value farthest from zero is seen, and holes are not', () => {
    expect(farthest(Float64Array.of(1, -3, NaN, 2), 0, 4)).toBe(-3);
    expect(farthest(Float64Array.of(NaN, 0, NaN), 0, 3)).toBe(0);
    expect(farthest(Float64Array.of(NaN, NaN), 0, 2)).toBeNaN();
  });
});

import { describe, expect, it } from 'vitest';

import {
  Feed,
  SHELF_MOST,
  SHELF_ROWS,
  SIZES,
  compareRows,
  largeFrom,
  sizeOf,
  spanOf,
  type FeedFilter,
  type FeedRow,
} from '../src/engine/feed';
import { FeedTotals, type TotalsBy } from '../src/engine/feedtotals';

const ALL: FeedFilter = { side: 'all', minUsd: 0, hidden: [], untilMs: Infinity };
const EVER = { fromMs: -Infinity, toMs: Infinity };

const row = (timeMs: number, usd = 500, change: Partial<FeedRow> = {}): FeedRow => ({
  timeMs,
  instrument: 'bybit:BTCUSDT',
  exchange: 'bybit',
  contract: 'BTCUSDT',
  side: 'long',
  price: 100,
  qty: usd / 100,
  usd,
  priceKind: 'bankruptcy',
  ...change,
});
const before = (toMs: number) => ({ fromMs: -Infinity, toMs });
const times = (rows: readonly FeedRow[]): number[] => rows.map((one) => one.timeMs);
/** A feed which knows that nothing happened before. */
const open = (): Feed => {
  const feed = new Feed();
  feed.addPage([], 0, EVER);
  return feed;
};
const series = (from: number, count: number, usd = 500): FeedRow[] =>
  Array.from({ length: count }, (_, i) => row(from + i, usd, { price: 100 + (i % 7) }));

describe('feed', () => {
  it('shows the newest first, whatever order they came in', () => {
    const feed = open();
    feed.add([row(5), row(3)]);
    feed.add([row(9), row(4), row(1)]);
    expect(times(feed.view(ALL))).toEqual([9, 5, 4, 3, 1]);
  });

  it('knows rows which come again, and keeps two alike which came together', () => {
    const feed = open();
    expect(feed.add([row(1), row(1), row(2)])).toHaveLength(3);
    expect(feed.add([row(1), row(1), row(2), row(3)])).toHaveLength(1);
    expect(feed.add([row(1)])).toHaveLength(0);
    expect(times(feed.view(ALL))).toEqual([3, 2, 1, 1]);
    const near = [row(1, 500, { price: 101 }), row(1, 500, { side: 'short' })];
    expect(feed.add([...near, row(1, 500, { instrument: 'okx:BTCUSDT' })])).toHaveLength(3);
  });

  it('filters by size, side, exchange and time without losing rows', () => {
    const feed = open();
    const okx = { exchange: 'okx', instrument: 'okx:BTCUSDT' };
    feed.add([row(1, 999), row(2, 1000, { side: 'short' }), row(3, 2e6, okx), row(4, 5e4)]);
    expect(times(feed.view({ ...ALL, minUsd: 1000 }))).toEqual([4, 3, 2]);
    expect(times(feed.view({ ...ALL, minUsd: 1e6 }))).toEqual([3]);
    expect(times(feed.view({ ...ALL, side: 'short' }))).toEqual([2]);
    expect(times(feed.view({ ...ALL, hidden: ['okx'] }))).toEqual([4, 2, 1]);
    expect(times(feed.view({ ...ALL, untilMs: 3 }))).toEqual([2, 1]);
    expect(times(feed.view(ALL))).toEqual([4, 3, 2, 1]);
  });

  it('gives the same array until something changes', () => {
    const feed = open();
    feed.add([row(1)]);
    const before = feed.view(ALL);
    feed.add([row(1)]);
    expect(feed.view({ ...ALL })).toBe(before);
    feed.add([row(2)]);
    expect(feed.view(ALL)).not.toBe(before);
  });

  it('keeps large rows through a flood of small ones, and ends where small ones are lost', () => {
    const feed = open();
    feed.add([row(10, 2e6), row(20, 5e5)]);
    feed.add(series(1000, 4 * SHELF_ROWS));
    expect(times(feed.view({ ...ALL, minUsd: 1e5 }))).toEqual([20, 10]);
    const small = feed.view(ALL);
    expect(small.length).toBeGreaterThanOrEqual(SHELF_ROWS - 1);
    expect(small.length).toBeLessThanOrEqual(SHELF_ROWS + 500);
    // Not the two large ones: between them and the last small one, small ones are missing.
    expect(small.every((one) => one.timeMs >= 1000)).toBe(true);
    expect(feed.fromMs(0)).toBeGreaterThan(1000);
    expect(feed.fromMs(1e5)).toBe(-Infinity);
  });

  it('takes a thousand rows a second for a minute and stays bounded', () => {
    const feed = open();
    const sizes = [50, 700, 3000, 40_000, 250_000, 3e6];
    let held = 0;
    for (let frame = 0; frame < 600; frame++) {
      const at = frame * 100;
      feed.add(
        Array.from({ length: 100 }, (_, i) =>
          // Every tenth comes late, by up to half a second.
          row(at + i - (i % 10 === 0 ? 500 : 0), sizes[(frame + i) % 6], { price: 100 + i }),
        ),
      );
      held = Math.max(held, feed.view(ALL).length);
    }
    expect(held).toBeLessThanOrEqual(SIZES.length * (SHELF_ROWS + 500));
    expect(feed.since(-Infinity).length).toBeLessThanOrEqual(SIZES.length * (SHELF_ROWS + 500));
    const shown = feed.view(ALL);
    for (let i = 1; i < shown.length; i++) expect(compareRows(shown[i - 1], shown[i])).toBeGreaterThan(0);
    expect(shown[0].timeMs).toBe(59_999);
  });

  it('stands still while paused, counts what is new, and goes on with all of it', () => {
    const feed = open();
    feed.add([row(1), row(2)]);
    feed.pause();
    const before = feed.view(ALL);
    feed.add([row(3), row(4, 2e5), row(2)]);
    expect(feed.view(ALL)).toEqual(before);
    expect(feed.news(ALL)).toEqual({ count: 2, more: false });
    expect(feed.news({ ...ALL, minUsd: 1e5 })).toEqual({ count: 1, more: false });
    expect(times(feed.view({ ...ALL, side: 'short' }))).toEqual([]);
    feed.resume();
    expect(feed.news(ALL).count).toBe(0);
    expect(times(feed.view(ALL))).toEqual([4, 3, 2, 1]);
    expect(feed.fromMs(0)).toBe(-Infinity);
  });

  it('after a long pause in a flood shows only what is complete', () => {
    const feed = open();
    feed.add(series(0, 100));
    feed.pause();
    for (let k = 0; k < 80; k++) feed.add(series(1000 + 100 * k, 100));
    expect(feed.news(ALL).more).toBe(true);
    expect(feed.view(ALL)).toHaveLength(100);
    feed.resume();
    const shown = feed.view(ALL);
    expect(shown[0].timeMs).toBe(8999);
    const oldest = shown[shown.length - 1].timeMs;
    expect(shown).toHaveLength(8999 - oldest + 1);
    expect(feed.fromMs(0)).toBe(oldest);
  });

  it('tells nothing as complete before the first page', () => {
    const feed = new Feed();
    feed.add([row(5)]);
    expect(feed.view(ALL)).toHaveLength(0);
    expect(feed.fromMs(0)).toBe(Infinity);
    feed.pause();
    feed.resume();
    expect(feed.fromMs(0)).toBe(Infinity);
    feed.addPage([row(5), row(4)], 0, spanOf([row(5), row(4)], true, EVER));
    // Page of two, full: another row of time 4 may be missing.
    expect(times(feed.view(ALL))).toEqual([5]);
    expect(feed.fromMs(0)).toBe(5);
  });

  it('reads older pages on, also in the middle of an instant', () => {
    const feed = new Feed();
    const every = [row(4), row(4, 501), row(4, 502), row(3), row(2)];
    feed.addPage(every.slice(0, 2), 0, spanOf(every.slice(0, 2), true, EVER));
    expect(feed.fromMs(0)).toBe(4);
    const next = every.slice(0, 4);
    feed.addPage(next, 0, spanOf(next, true, before(5)));
    expect(times(feed.view(ALL))).toEqual([4, 4, 4]);
    const last = every.slice(3);
    feed.addPage(last, 0, spanOf(last, false, before(4)));
    expect(times(feed.view(ALL))).toEqual([4, 4, 4, 3, 2]);
    expect(feed.fromMs(0)).toBe(-Infinity);
  });

  it('a page of large rows says nothing of the small ones', () => {
    const feed = new Feed();
    feed.addPage([row(900)], 0, { fromMs: 800, toMs: Infinity });
    feed.addPage([row(100, 2e6)], 1e6, EVER);
    expect(times(feed.view({ ...ALL, minUsd: 1e6 }))).toEqual([100]);
    expect(times(feed.view(ALL))).toEqual([900]);
  });

  it('grows for older pages up to a bound, and shrinks when it goes on', () => {
    const feed = open();
    feed.add(series(100_000, 3 * SHELF_ROWS));
    feed.pause();
    let pages = 0;
    while (feed.canGrow) {
      feed.grow(1000);
      const until = feed.fromMs(0);
      const page = series(until - 1000, 1000);
      feed.addPage(page, 0, spanOf(page, true, before(until)));
      if (++pages > 20) break;
    }
    expect(pages).toBe((SHELF_MOST - SHELF_ROWS) / 1000);
    expect(feed.view(ALL).length).toBeGreaterThan(SHELF_MOST - 100);
    expect(feed.view(ALL).length).toBeLessThanOrEqual(SHELF_MOST + 500);
    feed.add([row(200_000)]);
    feed.resume();
    expect(feed.view(ALL).length).toBeLessThanOrEqual(SHELF_ROWS + 500);
    expect(feed.view(ALL)[0].timeMs).toBe(200_000);
  });

  it('after a lost link ends at the hole until a page closes it', () => {
    const feed = open();
    feed.add([row(10), row(11)]);
    feed.lost();
    const near = [row(20), row(11)];
    feed.addPage(near, 0, spanOf(near, true, EVER));
    expect(feed.fromMs(0)).toBe(-Infinity);
    feed.lost();
    const far = [row(90), row(80)];
    feed.addPage(far, 0, spanOf(far, true, EVER));
    expect(feed.fromMs(0)).toBe(81);
    expect(times(feed.view(ALL))).toEqual([90]);
  });

  it('a page which comes during a pause waits too', () => {
    const feed = open();
    feed.add([row(10)]);
    feed.pause();
    feed.lost();
    const page = [row(20), row(10), row(9)];
    feed.addPage(page, 0, spanOf(page, true, EVER));
    // What lies before the rows shown may come in; what is later waits.
    expect(times(feed.view(ALL))).toEqual([10, 9]);
    expect(feed.news(ALL).count).toBe(1);
    feed.resume();
    expect(times(feed.view(ALL))).toEqual([20, 10, 9]);
  });

  it('without any page shows what comes from then on', () => {
    const feed = new Feed();
    feed.add([row(5), row(9)]);
    feed.openFrom(7);
    feed.add([row(12)]);
    expect(times(feed.view(ALL))).toEqual([12]);
    expect(feed.fromMs(0)).toBe(10);
    expect(feed.newestMs()).toBe(12);
  });

  it('clears a pause with everything else', () => {
    const feed = open();
    feed.add([row(1)]);
    feed.pause();
    feed.clear();
    expect(feed.paused).toBe(false);
    expect(feed.view(ALL)).toHaveLength(0);
    expect(feed.fromMs(0)).toBe(Infinity);
  });

  it('puts sizes on shelves and says what is large', () => {
    expect([0, 999, 1000, 99_999, 1e5, 1e6, 1e9].map(sizeOf)).toEqual([0, 0, 1, 2, 3, 4, 4]);
    expect(largeFrom([])).toBe(1e5);
    expect(largeFrom(Array.from({ length: 100 }, (_, i) => row(i, i)))).toBe(1e5);
    expect(largeFrom(Array.from({ length: 100 }, (_, i) => row(i, i * 1e5)))).toBe(95e5);
  });
});

describe('totals of the feed', () => {
  const base = (longUsd: number, shortUsd: number): TotalsBy => {
    const one = { longUsd, shortUsd, count: 2, complete: true };
    return { '1h': one, '4h': one, '24h': { ...one, complete: false } };
  };

  it('adds what comes after the sums and nothing twice', () => {
    const feed = open();
    const totals = new FeedTotals();
    expect(totals.read()).toBeNull();
    totals.add(feed.add([row(10, 100), row(12, 50)]));
    totals.rebase(base(1000, 2000), 12, feed.since(12));
    expect(totals.read()?.['1h']).toEqual({ longUsd: 1050, shortUsd: 2000, count: 3, complete: true });
    // A late row is in the server's next sums; one that comes again adds nothing.
    totals.add(feed.add([row(11, 7), row(12, 50), row(13, 30, { side: 'short' })]));
    expect(totals.read()?.['24h']).toEqual({ longUsd: 1050, shortUsd: 2030, count: 4, complete: false });
    totals.rebase(base(1087, 2030), 14, feed.since(14));
    expect(totals.read()?.['4h']).toMatchObject({ longUsd: 1087, shortUsd: 2030 });
  });

  it('counts what waits during a pause once', () => {
    const feed = open();
    const totals = new FeedTotals();
    totals.rebase(base(0, 0), 0, []);
    totals.add(feed.add([row(1, 10)]));
    feed.pause();
    totals.add(feed.add([row(1, 10), row(2, 5)]));
    expect(totals.read()?.['1h'].longUsd).toBe(15);
    totals.rebase(base(0, 0), 0, feed.since(0));
    expect(totals.read()?.['1h'].longUsd).toBe(15);
  });
});

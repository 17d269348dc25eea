import { describe, expect, it } from 'vitest';

import { SCROLL, type HeatMatrix } from '../src/engine/matrix';
import { candle, matrixOf } from './helpers';

/** The codes drawn at full size. */
const drawn = (m: HeatMatrix): number[][] =>
  Array.from({ length: m.width }, (_, t) => [
    ...m.pyramid.level(1, 1, m.width).codes.subarray(t * m.bins, (t + 1) * m.bins),
  ]);

describe('one side only', () => {
  // The close divides: bins 0 to 2 are long at 103, bins 0 and 1 at 102.
  const make = (): HeatMatrix => matrixOf([[9, 1, 200, 100, 1, 8], [9, 1, 200, 100, 1, 8]], [103, 102]);

  it("hides the other side's cells, by each column's own close", () => {
    const m = make();
    expect(m.showSide('long')).toBe(true);
    expect(drawn(m)).toEqual([[9, 1, 200, 0, 0, 0], [9, 1, 0, 0, 0, 0]]);
    expect(m.showSide('short')).toBe(true);
    expect(drawn(m)).toEqual([[0, 0, 0, 100, 1, 8], [0, 0, 200, 100, 1, 8]]);
    expect(m.showSide('short')).toBe(false);
  });

  it('leaves the data as they are, and gives them back', () => {
    const m = make();
    const before = [...m.codes];
    m.showSide('short');
    expect([...m.codes]).toEqual(before);
    expect(m.column(0)[2]).toBe(200);
    m.showSide(null);
    expect(drawn(m)).toEqual([[9, 1, 200, 100, 1, 8], [9, 1, 200, 100, 1, 8]]);
  });

  it('pools what is drawn, never the hidden wall', () => {
    const m = make();
    const pooled = (): number[] => [...m.pyramid.level(2, 2, m.width).codes.subarray(0, 3)];
    expect(pooled()).toEqual([9, 200, 8]);
    m.showSide('long');
    expect(pooled()).toEqual([9, 200, 0]);
    m.replace(0, candle(102), Uint8Array.of(7, 0, 201, 100, 0, 0));
    expect(pooled()).toEqual([9, 0, 0]);
    m.showSide('short');
    expect(pooled()).toEqual([0, 201, 8]);
  });

  it('follows appended, replaced and patched columns', () => {
    const m = make();
    m.showSide('long');
    m.append(candle(101), Uint8Array.of(50, 60, 70, 0, 0, 0));
    expect(drawn(m)[2]).toEqual([50, 0, 0, 0, 0, 0]);
    m.replace(2, candle(105), Uint8Array.of(50, 60, 70, 0, 5, 6));
    expect(drawn(m)[2]).toEqual([50, 60, 70, 0, 5, 0]);
    // The close moves: what was long is short now, though its code did not change.
    m.patch(2, candle(102), Uint16Array.of(5), Uint8Array.of(9));
    expect(drawn(m)[2]).toEqual([50, 60, 0, 0, 0, 0]);
  });

  it('divides gaps by the last close before them, also when that changes', () => {
    const m = matrixOf([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]], [102, NaN, NaN]);
    m.showSide('long');
    expect(drawn(m)[2]).toEqual([1, 2, 0, 0]);
    m.replace(0, candle(103), Uint8Array.of(1, 2, 3, 4));
    expect(drawn(m)).toEqual([[1, 2, 3, 0], [1, 2, 3, 0], [1, 2, 3, 0]]);
  });

  it('hides everything or nothing when the price is off the grid', () => {
    const m = matrixOf([[1, 2]], [90]);
    expect([m.splitAt(0), matrixOf([[1, 2]], [NaN]).splitAt(0)]).toEqual([0, 0]);
    expect(matrixOf([[1, 2]], [500]).splitAt(0)).toBe(2);
    m.showSide('long');
    expect(drawn(m)).toEqual([[0, 0]]);
  });

  it('stays right when the oldest columns are dropped, also pooled', () => {
    const m = make();
    m.showSide('short');
    for (let i = 0; i < 2 * SCROLL + 5; i++) {
      m.append(candle(103), Uint8Array.of(255, 255, 255, (i % 250) + 1, 0, 0));
      const level = m.pyramid.level(4, 2, m.width);
      const last = level.codes.subarray(Math.floor((m.width - 1) / 4) * level.bins);
      expect(last[0]).toBe(0);
      expect(last[1]).toBeGreaterThan(0);
    }
    const rows = drawn(m);
    expect(rows.slice(1).every(([a, b, c, d]) => a + b + c === 0 && d > 0)).toBe(true);
    expect(m.dropped).toBeGreaterThan(0);
    m.showSide(null);
    expect(drawn(m).at(-1)?.slice(0, 3)).toEqual([255, 255, 255]);
  });
});

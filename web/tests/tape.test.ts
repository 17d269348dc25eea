import { describe, expect, it } from 'vitest';

import { groupOf, Tape, type Realised } from '../src/engine/tape';
import { matrixOf } from './helpers';

const row = (timeMs: number, price: number, usd: number, side: Realised['side'] = 'long'): Realised => ({
  timeMs,
  price,
  usd,
  side,
});
// Four columns of 1 s from 1,000,000 ms; bins of 1 from 100.
const m = matrixOf([[1, 1], [1, 1], [1, 1], [1, 1]], [101, 101, 101, 101]);

describe('tape', () => {
  it('sums what falls into one cell, by side, the largest first', () => {
    const tape = new Tape();
    tape.add([row(1_000_000, 100.2, 100), row(1_000_500, 100.6, 300), row(1_000_200, 100.5, 900, 'short')]);
    const [first, second] = tape.bubbles(m, 1, 1);
    expect(first).toMatchObject({ side: 'short', usd: 900, count: 1 });
    expect(second).toMatchObject({ side: 'long', usd: 400, count: 2 });
    expect(second.price).toBeCloseTo(100.5);
    expect(second.timeMs).toBeCloseTo(1_000_375);
  });

  it('keeps cells in place when the group grows, and makes them anew only then', () => {
    const tape = new Tape();
    tape.add([row(1_000_000, 100.5, 1), row(1_001_000, 100.5, 1), row(1_002_000, 100.5, 1)]);
    expect(tape.bubbles(m, 1, 1)).toHaveLength(3);
    const coarse = tape.bubbles(m, 2, 1);
    expect(coarse).toHaveLength(2);
    expect(tape.bubbles(m, 2, 1)).toBe(coarse);
    tape.add([row(1_003_000, 100.5, 1)]);
    expect(tape.bubbles(m, 2, 1)).not.toBe(coarse);
  });

  it('drops rows which are no measurement, and the oldest of too many', () => {
    const tape = new Tape();
    tape.add([row(1_000_000, NaN, 1), row(1_000_000, 100, 0)]);
    expect(tape.bubbles(m, 1, 1)).toHaveLength(0);
    for (let i = 0; i < 6; i++) tape.add(Array.from({ length: 1000 }, () => row(1_000_000, 100, 1)));
    expect(tape.size).toBe(5000);
    tape.clear();
    expect(tape.bubbles(m, 1, 1)).toHaveLength(0);
  });

  it('groups by powers of two', () => {
    expect([0.5, 3, 8, 20].map((size) => groupOf(size, 8))).toEqual([16, 4, 1, 1]);
    expect(groupOf(0, 8)).toBe(1);
  });
});

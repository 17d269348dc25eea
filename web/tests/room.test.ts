import { describe, expect, it } from 'vitest';

import { nearestLarge, roomAround } from '../src/engine/room';
import { pickCell } from '../src/state/exact';
import { matrixOf } from './helpers';

// Bins of 1 from 100; the price is 110 in the middle.
function market(levels: Record<number, number>) {
  const column = Array.from({ length: 20 }, (_, p) => levels[p] ?? 1);
  return matrixOf([column], [110]);
}

describe('room', () => {
  it('finds the outer edge of the nearest large level on either side', () => {
    const m = market({ 4: 255, 5: 255, 13: 250, 18: 255 });
    expect(nearestLarge(m, 100)).toBeCloseTo(103.5);
    expect(nearestLarge(m, 120)).toBeCloseTo(114.5);
  });

  it('is nothing where nothing is', () => {
    expect(nearestLarge(matrixOf([[0, 0, 0, 0]], [102]), 104)).toBeNaN();
  });

  it('is small when large levels are near and full when they are far', () => {
    const near = roomAround(market({ 9: 255, 11: 255 }), 106, 114);
    expect(near.above).toBeLessThan(0.5);
    const far = roomAround(market({ 0: 255, 19: 255 }), 105, 115);
    expect(far.above).toBe(1);
    expect(far.below).toBe(1);
  });
});

describe('exact cell', () => {
  const m = market({ 4: 200 });
  const edges = Array.from({ length: 21 }, (_, p) => 100 + p);
  const usd = edges.slice(1).map((_, p) => 10 * p);
  const reply = { start_ms: 1_000_000, price_edges: edges, long_usd: usd, short_usd: usd };

  it('is taken from the same grid', () => {
    expect(pickCell(reply, m, 4)).toMatchObject({ timeMs: 1_000_000, bin: 4, longUsd: 40, shortUsd: 40 });
  });

  it('is refused from another grid', () => {
    expect(pickCell({ ...reply, price_edges: edges.slice(1) }, m, 4)).toBeNull();
    expect(pickCell({ ...reply, price_edges: edges.map((x) => x + 0.1) }, m, 4)).toBeNull();
  });
});

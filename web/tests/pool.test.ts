import { describe, expect, it } from 'vitest';

import { Pyramid, binFactor, poolInto, timeFactor } from '../src/engine/pool';

function pooled(source: number[], width: number, bins: number, t: number, p: number): number[] {
  const w = Math.ceil(width / t);
  const out = new Uint8Array(w * Math.ceil(bins / p));
  poolInto(out, Uint8Array.from(source), { width, bins }, { t, p }, 0, w - 1);
  return [...out];
}

describe('pooling', () => {
  it('takes the maximum along time', () => {
    expect(pooled([1, 9, 5, 2, 7, 0], 3, 2, 2, 1)).toEqual([5, 9, 7, 0]);
  });

  it('takes the maximum along price, with a short last group', () => {
    expect(pooled([1, 9, 5, 2, 7, 0], 2, 3, 1, 2)).toEqual([9, 5, 7, 0]);
  });

  it.each([
    [2, 1],
    [4, 2],
    [8, 4],
  ])('never drops a wall (%i x %i)', (t, p) => {
    const [width, bins] = [37, 29];
    for (let at = 0; at < width * bins; at += 13) {
      const source = new Array<number>(width * bins).fill(1);
      source[at] = 255;
      const out = pooled(source, width, bins, t, p);
      const column = Math.floor(Math.floor(at / bins) / t);
      const row = Math.floor((at % bins) / p);
      expect(out[column * Math.ceil(bins / p) + row]).toBe(255);
      expect(out.filter((code) => code === 255)).toHaveLength(1);
    }
  });

  it('leaves at most one cell a pixel, up to the largest factor', () => {
    expect([0.4, 1, 1.2, 3, 5, 50].map(timeFactor)).toEqual([1, 1, 2, 4, 8, 8]);
    expect([0.4, 1.5, 3, 9].map(binFactor)).toEqual([1, 2, 4, 4]);
  });
});

describe('pyramid', () => {
  it('follows a changed column in the levels built so far', () => {
    const source = new Uint8Array(6 * 2);
    const pyramid = new Pyramid(source, 2, 6);
    const level = pyramid.level(2, 1, 5);
    source[4 * 2 + 1] = 9;
    pyramid.touch(4, 5);
    expect([...level.codes]).toEqual([0, 0, 0, 0, 0, 9]);
    source[4 * 2 + 1] = 3;
    pyramid.touch(4, 5);
    expect([...level.codes]).toEqual([0, 0, 0, 0, 0, 3]);
  });

  it('shares the source at full size', () => {
    const source = new Uint8Array(4);
    expect(new Pyramid(source, 2, 2).level(1, 1, 2).codes).toBe(source);
  });
});

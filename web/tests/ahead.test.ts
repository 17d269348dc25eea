import { expect, it } from 'vitest';

import { runsOf } from '../src/engine/ahead';

it('joins neighbors of one color and leaves out what is clear', () => {
  const lut = new Uint32Array(256);
  lut.fill(0xff000011, 10);
  lut.fill(0xff000022, 20);
  const codes = Uint8Array.of(0, 10, 12, 19, 20, 3, 0, 21);
  expect(runsOf(codes, lut)).toEqual([
    [1, 4, 0xff000011],
    [4, 5, 0xff000022],
    [7, 8, 0xff000022],
  ]);
  expect(runsOf(new Uint8Array(5), lut)).toEqual([]);
});

import { describe, expect, it } from 'vitest';

import {
  backward,
  buildLut,
  colorOf,
  contrast,
  forward,
  groundColor,
  paletteColor,
  type Look,
} from '../src/engine/lut';
import { usdTable } from '../src/net/codec';

const look: Look = { transfer: 'sqrt', palette: 'viridis', lo: 0.01, hi: 1, gamma: 1 };
const usd = usdTable(10, 1e6);
const pixel = ([r, g, b]: readonly number[]): number =>
  ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
const ground = pixel(groundColor('viridis'));

describe('transfer', () => {
  it.each(['sqrt', 'linear', 'log'] as const)('%s goes there and back', (transfer) => {
    for (const share of [0.002, 0.01, 0.2, 0.85, 1]) {
      expect(backward(transfer, forward(transfer, share))).toBeCloseTo(share, 10);
    }
    expect(forward(transfer, 0)).toBe(0);
    expect(backward(transfer, 0)).toBe(0);
  });
});

describe('palette', () => {
  it('has the ends of viridis', () => {
    expect(paletteColor('viridis', 0)).toEqual([0x44, 0x01, 0x54]);
    expect(paletteColor('viridis', 1)).toEqual([0xfd, 0xe7, 0x25]);
    expect(paletteColor('viridis', 2)).toEqual([0xfd, 0xe7, 0x25]);
  });
});

describe('table', () => {
  it('leaves the ground for code 0 and below the threshold', () => {
    const lut = buildLut({ ...look, lo: 0.5 }, usd, 1e5);
    usd.forEach((value, code) => {
      if (value < 0.5e5) expect(lut[code]).toBe(ground);
    });
    expect(lut[255]).not.toBe(ground);
  });

  it('rises from the threshold and saturates at the upper end', () => {
    const lut = buildLut({ ...look, lo: 0.1, hi: 0.5 }, usd, 1e5);
    const first = lut.findIndex((color) => color !== ground);
    expect((lut[first] & 0xff) - (ground & 0xff)).toBeLessThan(12);
    const top = lut[255];
    expect(top & 0xff).toBe(0xfd);
    usd.forEach((value, code) => {
      if (value >= 0.5e5) expect(lut[code]).toBe(top);
    });
  });

  it('hides the same cells under every transfer', () => {
    const hidden = (['sqrt', 'linear', 'log'] as const).map((transfer) =>
      [...buildLut({ ...look, lo: 0.2, transfer }, usd, 1e6)].filter((x) => x === ground).length,
    );
    expect(new Set(hidden).size).toBeLessThanOrEqual(2); // the first shade may round to 0
    expect(Math.max(...hidden) - Math.min(...hidden)).toBeLessThanOrEqual(1);
  });

  it('is empty for an empty map', () => {
    expect([...buildLut(look, usd, 0)].every((color) => color === ground)).toBe(true);
  });

  it('stores bytes as R, G, B, A', () => {
    const lut = buildLut(look, usd, usd[255]);
    expect([...new Uint8Array(lut.buffer, 255 * 4, 4)]).toEqual([...colorOf(look, 1), 255]);
  });
});

describe('contrast', () => {
  it('puts what is typical into the dark third, whatever the map', () => {
    for (const typical of [0.5, 0.6, 0.7]) {
      const window = { transfer: 'sqrt', lo: 0.2, hi: 1 } as const;
      const gamma = contrast(window, typical);
      const [r, g] = colorOf({ ...look, ...window, gamma }, typical);
      expect(g).toBeLessThan(120);
      expect(r).toBeLessThan(80);
    }
  });

  it('never brightens and never blackens', () => {
    expect(contrast({ transfer: 'linear', lo: 0, hi: 1 }, 0.05)).toBe(1);
    expect(contrast({ transfer: 'log', lo: 0, hi: 1 }, 0.99)).toBe(3);
    expect(contrast({ transfer: 'sqrt', lo: 0.5, hi: 1 }, 0.3)).toBe(1);
    expect(contrast({ transfer: 'sqrt', lo: 0, hi: 1 }, 0)).toBe(1);
  });
});

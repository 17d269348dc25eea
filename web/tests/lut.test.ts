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
  type PaletteName,
  type Rgb,
  type Theme,
} from '../src/engine/lut';
import { chartTheme } from '../src/engine/theme';
import { usdTable } from '../src/net/codec';

const look: Look = { transfer: 'sqrt', palette: 'viridis', theme: 'dark', lo: 0.01, hi: 1, gamma: 1 };
const usd = usdTable(10, 1e6);
const pixel = ([r, g, b]: readonly number[]): number =>
  ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
const ground = pixel(groundColor('viridis', 'dark'));

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

const NAMES = ['viridis', 'cividis', 'inferno', 'mako', 'greys'] as const;
const THEMES = ['dark', 'light'] as const;
const RAMPS = THEMES.flatMap((theme) => NAMES.map((name) => [theme, name] as const));

/** Light of a channel or of a color, as a share of white's (WCAG). */
function linear(channel: number): number {
  const v = channel / 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
}
function luminance([r, g, b]: readonly number[]): number {
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}
/** CIE L*: what an eye calls light, 0..100; steps below about 1 are not seen. */
function lightness(color: readonly number[]): number {
  const y = luminance(color);
  return y > 0.008856 ? 116 * Math.cbrt(y) - 16 : 903.3 * y;
}
/** How a deuteranope sees a color (Machado et al. 2009, severity 1), each channel 0..255. */
function withoutGreen([r, g, b]: readonly number[]): number[] {
  const l = [linear(r), linear(g), linear(b)];
  const rows = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ];
  return rows.map((row) => {
    const v = Math.max(0, Math.min(1, row[0] * l[0] + row[1] * l[1] + row[2] * l[2]));
    return 255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);
  });
}
/** WCAG contrast of a hex color on another. */
function contrastOf(hex: string, ground: readonly number[]): number {
  const own = luminance([1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  const other = luminance(ground);
  return (Math.max(own, other) + 0.05) / (Math.min(own, other) + 0.05);
}
const ramp = (theme: Theme, palette: PaletteName): Rgb[] =>
  Array.from({ length: 129 }, (_, i) => colorOf({ ...look, lo: 0, theme, palette, transfer: 'linear' }, i / 128));

describe('every palette in both themes', () => {
  it.each(RAMPS)('%s %s goes one way from its ground, in steps which are seen', (theme, name) => {
    const sign = theme === 'dark' ? 1 : -1;
    const light = ramp(theme, name).map(lightness);
    for (let i = 1; i < light.length; i++) {
      // A rounded channel may take back a fifth of what an eye can tell apart.
      expect(sign * (light[i] - light[i - 1])).toBeGreaterThan(-0.25);
      if (i >= 8) expect(sign * (light[i] - light[i - 8])).toBeGreaterThan(0.5);
    }
    expect(Math.abs(light[128] - light[0])).toBeGreaterThan(70);
  });

  it.each(RAMPS)('%s %s keeps its order for who sees no green', (theme, name) => {
    const sign = theme === 'dark' ? 1 : -1;
    const light = ramp(theme, name).map((color) => lightness(withoutGreen(color)));
    for (let i = 8; i < light.length; i++) expect(sign * (light[i] - light[i - 8])).toBeGreaterThan(0);
  });

  it.each(RAMPS)('%s %s lies on a ground of the theme', (theme, name) => {
    const light = lightness(groundColor(name, theme));
    if (theme === 'dark') expect(light).toBeLessThan(10);
    else expect(light).toBeGreaterThan(97);
  });

  it.each(RAMPS)('%s %s lets the candles stand out, 3:1, from the ground', (theme, name) => {
    const { candles } = chartTheme(theme, name);
    for (const hex of [candles.up, candles.down]) {
      expect(contrastOf(hex, groundColor(name, theme))).toBeGreaterThan(3);
    }
  });
});

describe('the theme', () => {
  const parse = (hex: string): number[] => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  it.each(THEMES)('%s has legible words on its background', (theme) => {
    const { text, muted, long, short, background } = chartTheme(theme, 'viridis');
    for (const hex of [text, muted, long, short]) {
      expect(contrastOf(hex, parse(background))).toBeGreaterThan(4.5);
    }
    const bars = chartTheme('light', 'viridis');
    for (const hex of [bars.longBar, bars.shortBar]) expect(contrastOf(hex, [255, 255, 255])).toBeGreaterThan(3);
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
  it('puts what is typical into the dark third, unless most of the map is nearly as large', () => {
    for (const typical of [0.25, 0.35, 0.45]) {
      const window = { transfer: 'sqrt', lo: 0.2, hi: 1 } as const;
      const gamma = contrast(window, typical);
      const [r, g] = colorOf({ ...look, ...window, gamma }, typical);
      expect(g).toBeLessThan(120);
      expect(r).toBeLessThan(80);
    }
  });

  it('never brightens and never blackens', () => {
    expect(contrast({ transfer: 'linear', lo: 0, hi: 1 }, 0.05)).toBe(1);
    expect(contrast({ transfer: 'log', lo: 0, hi: 1 }, 0.99)).toBe(2);
    expect(contrast({ transfer: 'sqrt', lo: 0.5, hi: 1 }, 0.3)).toBe(1);
    expect(contrast({ transfer: 'sqrt', lo: 0, hi: 1 }, 0)).toBe(1);
  });
});

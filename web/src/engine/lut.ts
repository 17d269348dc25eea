/**
 * One table from code to color: threshold, transfer, contrast and palette in 256 entries.
 *
 * The heat layer, the legend and the tests all read this one function, so they cannot
 * disagree. A value passes three stages:
 *
 *     USD --(transfer over 0..clip)--> position on the legend 0..1
 *         --(window lo..hi, gamma)---> 0..1, ground below lo, strongest above hi
 *         --(palette out of ground)--> RGB
 *
 * The window is kept as shares of `clip` USD, not as legend positions: changing the transfer
 * then changes the colors, never which cells are hidden.
 */

export type Transfer = 'sqrt' | 'linear' | 'log';
export type PaletteName = 'viridis' | 'cividis' | 'inferno' | 'mako' | 'greys';
/** What the map lies on: dark ground with bright levels, or paper with dark ones. */
export type Theme = 'dark' | 'light';

/** The share of the non-empty cells which the color range covers; the rest is brightest. */
export const CLIP_SHARE = 0.995;
/** Decades which the log transfer shows. */
const LOG_DECADES = 3;
/**
 * Part of the palette over which the color rises out of the ground. On paper it is long: the
 * pale end of a palette is a strong yellow, and most cells of a map are small.
 */
const GROUND_RAMP: Record<Theme, number> = { dark: 0.1, light: 0.65 };
/** The ground, on which levels lie: the page's own, with a part of the palette's near end. */
const GROUND: Record<Theme, Rgb> = { dark: [7, 9, 13], light: [250, 251, 253] };
const GROUND_SHARE: Record<Theme, number> = { dark: 0.5, light: 0.02 };
/** On paper the palette runs backwards, and stops before black: dark candles lie on it. */
const PAPER_END: Record<PaletteName, number> = {
  viridis: 0.06,
  cividis: 0.06,
  inferno: 0.2,
  mako: 0.22,
  greys: 0.12,
};
/**
 * Where the ordinary cells (`typical`, a high quantile) belong on the palette: in its dark
 * third, so that only what stands out is bright, however flat or steep the market's map is.
 */
const TYPICAL_AT = 0.3;
const GAMMA_MOST = 2;

// 17 stops each, sampled from matplotlib's maps (CC0) and, for mako, seaborn's (BSD).
const STOPS: Record<PaletteName, string> = {
  viridis:
    '440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725',
  cividis:
    '00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838',
  inferno:
    '000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 d24644 e45a31 f1731d f98e09 fcac11 f9cb35 f2ea69 fcffa4',
  mako: '0b0405 1c101c 2b1c35 37284f 3e356b 414387 3b5698 36699f 357ba3 348da7 359fab 3cb1ad 4bc2ad 6ad2ad 99ddb6 c0e9cc def5e5',
  greys: '15171b f4f5f6',
};

export type Rgb = readonly [number, number, number];

function parseStops(name: PaletteName): Rgb[] {
  return STOPS[name].split(' ').map((hex) => {
    const n = parseInt(hex, 16);
    return [n >> 16, (n >> 8) & 255, n & 255];
  });
}

const palettes = new Map<PaletteName, Rgb[]>();

/** The color `share` of the way from one to another. */
function mixed(from: Rgb, to: Rgb, share: number): Rgb {
  const at = (k: 0 | 1 | 2): number => Math.round(from[k] + (to[k] - from[k]) * share);
  return [at(0), at(1), at(2)];
}

/** Color at x in 0..1, linear between the stops; on paper 1 is the dark end. */
export function paletteColor(name: PaletteName, x: number, theme: Theme = 'dark'): Rgb {
  let stops = palettes.get(name);
  if (!stops) palettes.set(name, (stops = parseStops(name)));
  const share = Math.max(0, Math.min(1, x));
  const at = (theme === 'dark' ? share : 1 - share * (1 - PAPER_END[name])) * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(at));
  return mixed(stops[i], stops[i + 1], at - i);
}

/** Legend position 0..1 of a share of the clip value. */
export function forward(transfer: Transfer, share: number): number {
  if (!(share > 0)) return 0;
  if (transfer === 'linear') return Math.min(1, share);
  if (transfer === 'sqrt') return Math.min(1, Math.sqrt(share));
  return Math.max(0, Math.min(1, 1 + Math.log10(share) / LOG_DECADES));
}

/** Share of the clip value at a legend position. */
export function backward(transfer: Transfer, position: number): number {
  if (position <= 0) return 0;
  if (transfer === 'linear') return position;
  if (transfer === 'sqrt') return position * position;
  return 10 ** ((position - 1) * LOG_DECADES);
}

export interface Look {
  readonly transfer: Transfer;
  readonly palette: PaletteName;
  readonly theme: Theme;
  /** Window as shares of the clip value, 0 <= lo < hi <= 1. */
  readonly lo: number;
  readonly hi: number;
  /** Contrast: exponent on the position in the window; see `contrast`. */
  readonly gamma: number;
}

type Window = Pick<Look, 'transfer' | 'lo' | 'hi'>;

/** Position 0..1 in the window. */
function within({ transfer, lo, hi }: Window, share: number): number {
  const from = forward(transfer, lo);
  const to = Math.max(forward(transfer, hi), from + 1e-6);
  return Math.max(0, Math.min(1, (forward(transfer, share) - from) / (to - from)));
}

/** The exponent which puts a `typical` share where it belongs on the palette. */
export function contrast(window: Window, typical: number): number {
  const x = within(window, typical);
  if (!(x > 0 && x < 1)) return 1;
  return Math.max(1, Math.min(GAMMA_MOST, Math.log(TYPICAL_AT) / Math.log(x)));
}

/** Color of what is hidden or empty. */
export function groundColor(palette: PaletteName, theme: Theme): Rgb {
  return mixed(GROUND[theme], paletteColor(palette, 0, theme), GROUND_SHARE[theme]);
}

/** Color of a share of the clip value. */
export function colorOf(look: Look, share: number): Rgb {
  const { palette, theme } = look;
  const ground = groundColor(palette, theme);
  if (!(share > 0) || share < look.lo) return ground;
  const x = within(look, share) ** look.gamma;
  return mixed(ground, paletteColor(palette, x, theme), Math.min(1, x / GROUND_RAMP[theme]));
}

/**
 * Bake the table: entry c is the pixel of code c, as ImageData wants it in a Uint32Array
 * (bytes R, G, B, A on a little-endian machine, which every browser's is).
 */
export function buildLut(look: Look, usd: Float64Array, clipUsd: number): Uint32Array {
  const lut = new Uint32Array(256);
  for (let c = 0; c < 256; c++) {
    const [r, g, b] = colorOf(look, c > 0 && clipUsd > 0 ? usd[c] / clipUsd : 0);
    lut[c] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  }
  return lut;
}

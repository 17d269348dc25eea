/**
 * One table from code to color: threshold, transfer, contrast and palette in 256 entries.
 *
 * The heat layer, the legend and the tests all read this one function, so they cannot
 * disagree. A value passes three stages:
 *
 *     USD --(transfer over 0..clip)--> position on the legend 0..1
 *         --(window lo..hi, gamma)---> 0..1, ground below lo, brightest above hi
 *         --(palette out of ground)--> RGB
 *
 * The window is kept as shares of `clip` USD, not as legend positions: changing the transfer
 * then changes the colors, never which cells are hidden.
 */

export type Transfer = 'sqrt' | 'linear' | 'log';
export type PaletteName = 'viridis' | 'inferno' | 'cividis';

/** The share of the non-empty cells which the color range covers; the rest is brightest. */
export const CLIP_SHARE = 0.995;
/** Decades which the log transfer shows. */
const LOG_DECADES = 3;
/** Part of the palette over which the color rises out of the ground. */
const GROUND_RAMP = 0.1;
/** The ground, on which levels lie: the page's black, with half of the palette's dark end. */
const GROUND_BLACK: Rgb = [7, 9, 13];
const GROUND_SHARE = 0.5;
/**
 * Where the ordinary cells (`typical`, a high quantile) belong on the palette: in its dark
 * third, so that only what stands out is bright, however flat or steep the market's map is.
 */
const TYPICAL_AT = 0.3;
const GAMMA_MOST = 3;

// 17 stops each, sampled from matplotlib's maps (CC0).
const STOPS: Record<PaletteName, string> = {
  viridis:
    '440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725',
  inferno:
    '000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 d24644 e45a31 f1731d f98e09 fcac11 f9cb35 f2ea69 fcffa4',
  cividis:
    '00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838',
};

export type Rgb = readonly [number, number, number];

function parseStops(name: PaletteName): Rgb[] {
  return STOPS[name].split(' ').map((hex) => {
    const n = parseInt(hex, 16);
    return [n >> 16, (n >> 8) & 255, n & 255];
  });
}

const palettes = new Map<PaletteName, Rgb[]>();

/** Color at x in 0..1, linear between the stops. */
export function paletteColor(name: PaletteName, x: number): Rgb {
  let stops = palettes.get(name);
  if (!stops) palettes.set(name, (stops = parseStops(name)));
  const at = Math.max(0, Math.min(1, x)) * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(at));
  const f = at - i;
  const mix = (k: 0 | 1 | 2): number => Math.round(stops[i][k] * (1 - f) + stops[i + 1][k] * f);
  return [mix(0), mix(1), mix(2)];
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
export function groundColor(palette: PaletteName): Rgb {
  const dark = paletteColor(palette, 0);
  const mix = (k: 0 | 1 | 2): number =>
    Math.round(GROUND_BLACK[k] + (dark[k] - GROUND_BLACK[k]) * GROUND_SHARE);
  return [mix(0), mix(1), mix(2)];
}

/** Color of a share of the clip value. */
export function colorOf(look: Look, share: number): Rgb {
  const ground = groundColor(look.palette);
  if (!(share > 0) || share < look.lo) return ground;
  const x = within(look, share) ** look.gamma;
  const color = paletteColor(look.palette, x);
  const ramp = Math.min(1, x / GROUND_RAMP);
  const mix = (k: 0 | 1 | 2): number => Math.round(ground[k] + (color[k] - ground[k]) * ramp);
  return [mix(0), mix(1), mix(2)];
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

/**
 * How the parts of a bar are told apart: a color AND a hatching AND a name, in one place for
 * the canvas and the legend. Long and short are told by their place left and right of the
 * price, and by words.
 *
 * Colors differ in lightness along each list, so that they stay apart for color-blind eyes;
 * leverage runs from dark to bright (on a light ground from light to dark): more is stronger.
 */

import type { Grouping, Part } from './bars';

export interface BarTheme {
  readonly dark: boolean;
  readonly background: string;
  readonly text: string;
  readonly muted: string;
  readonly line: string;
  readonly long: string;
  readonly short: string;
  readonly font: string;
}

export const HATCHES = ['none', 'lines', 'diagonal', 'dots'] as const;
export type Hatch = (typeof HATCHES)[number];

export interface PartStyle {
  /** One color, or one a side. */
  readonly long: string;
  readonly short: string;
  readonly hatch: Hatch;
}

const TIERS = {
  dark: ['#5a55c8', '#2f86a8', '#2fae86', '#a5cf3e', '#fde725'],
  light: ['#b9a7e6', '#7f9fd6', '#3f8f97', '#2c6b5a', '#1d2b53'],
} as const;

const EXCHANGES = {
  dark: ['#f2d14b', '#2fb8a6', '#a184f2', '#e8ecf4', '#e2679f', '#9bbf45', '#7f93b8', '#c9513f'],
  light: ['#b98a00', '#00796b', '#7c4dff', '#3b4252', '#c2186b', '#5d8a00', '#5c76a8', '#a83224'],
} as const;

/** Houses keep their color whatever else is shown; others take what is left, in order. */
const KNOWN = ['binance', 'bybit', 'okx', 'bitget', 'gate', 'hyperliquid', 'deribit', 'dydx'];

function nameIndex(name: string): number {
  const known = KNOWN.indexOf(name);
  if (known >= 0) return known;
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + letter.charCodeAt(0)) >>> 0;
  return hash % KNOWN.length;
}

const TIER_IDS = ['L1', 'L2', 'L3', 'L4', 'L5'];

/** The style of one part of a bar. */
export function styleOf(part: Part, by: Grouping, theme: BarTheme): PartStyle {
  const tone = theme.dark ? 'dark' : 'light';
  if (part.id === 'measured') {
    if (by === 'side') return { long: theme.long, short: theme.short, hatch: 'diagonal' };
    return { long: theme.text, short: theme.text, hatch: 'diagonal' };
  }
  if (by === 'tier' && TIER_IDS.includes(part.id)) {
    const k = TIER_IDS.indexOf(part.id);
    const color = TIERS[tone][k];
    return { long: color, short: color, hatch: k % 2 === 0 ? 'none' : 'lines' };
  }
  if (by === 'exchange') {
    const k = nameIndex(part.id);
    const color = EXCHANGES[tone][k];
    return { long: color, short: color, hatch: HATCHES[k % HATCHES.length] };
  }
  return { long: theme.long, short: theme.short, hatch: 'none' };
}

/** The hatching of a legend's swatch, as a CSS background. */
export function swatch({ long, short, hatch }: PartStyle, theme: BarTheme): string {
  const ink = `color-mix(in srgb, ${theme.background} 60%, transparent)`;
  const over: Record<Hatch, string> = {
    none: '',
    lines: `repeating-linear-gradient(0deg, ${ink} 0 1.5px, transparent 1.5px 4px), `,
    diagonal: `repeating-linear-gradient(45deg, ${ink} 0 1.5px, transparent 1.5px 4px), `,
    dots: `radial-gradient(circle at 2px 2px, ${ink} 1.2px, transparent 1.4px) 0 0 / 4px 4px, `,
  };
  return `${over[hatch]}linear-gradient(90deg, ${long} 50%, ${short} 50%)`;
}

const TILE = 4;

/** Draw one tile of a hatching over a part already filled; null where there is none. */
export function hatchTile(hatch: Hatch, theme: BarTheme, ratio: number): HTMLCanvasElement | null {
  if (hatch === 'none') return null;
  const size = Math.round(TILE * ratio);
  const tile = document.createElement('canvas');
  tile.width = tile.height = size;
  const pen = tile.getContext('2d')!;
  pen.globalAlpha = 0.55;
  pen.fillStyle = pen.strokeStyle = theme.background;
  if (hatch === 'lines') pen.fillRect(0, 0, size, Math.max(1, size * 0.35));
  else if (hatch === 'dots') pen.fillRect(size * 0.25, size * 0.25, size * 0.5, size * 0.5);
  else {
    pen.lineWidth = size * 0.36;
    pen.beginPath();
    for (const shift of [-size, 0, size]) {
      pen.moveTo(shift, size);
      pen.lineTo(shift + size, 0);
    }
    pen.stroke();
  }
  return tile;
}

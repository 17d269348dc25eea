/**
 * How the parts of a bar are told apart: a color AND a hatching AND a name, in one place for
 * the canvas and the legend. Long and short are told by their place left and right of the
 * price, and by words.
 *
 */

import type { Grouping, Part } from './bars';
import { MEASURED_COLOR, TIERS, exchangeColors, tierColor } from './groups';

export interface BarTheme {
  readonly dark: boolean;
  readonly background: string;
  readonly text: string;
  readonly muted: string;
  readonly line: string;
  readonly long: string;
  readonly short: string;
  /** The same sides as bars, quieter than the curves over them. */
  readonly longBar: string;
  readonly shortBar: string;
  readonly font: string;
}

export const HATCHES = ['none', 'lines', 'diagonal', 'dots'] as const;
export type Hatch = (typeof HATCHES)[number];
const TIER_HATCH: readonly Hatch[] = ['none', 'lines', 'none', 'dots', 'none'];

export interface PartStyle {
  /** One color, or one a side. */
  readonly long: string;
  readonly short: string;
  readonly hatch: Hatch;
}

/** The styles of all parts, in their order. */
export function stylesOf(parts: readonly Part[], by: Grouping, theme: BarTheme): PartStyle[] {
  const ground = theme.dark ? 'dark' : 'light';
  const houses = exchangeColors(parts.map(({ id }) => id), ground);
  return parts.map(({ id }, k): PartStyle => {
    if (id === 'measured') {
      const color = MEASURED_COLOR[ground];
      return by === 'side'
        ? { long: theme.longBar, short: theme.shortBar, hatch: 'diagonal' }
        : { long: color, short: color, hatch: 'diagonal' };
    }
    if (by === 'side') return { long: theme.longBar, short: theme.shortBar, hatch: 'none' };
    const tier = TIERS.find((one) => one === id);
    const color = tier ? tierColor(tier, ground) : houses[k];
    // Neighbors in a bar never have the same hatching.
    const hatch = tier ? TIER_HATCH[TIERS.indexOf(tier)] : HATCHES[k % HATCHES.length];
    return { long: color, short: color, hatch };
  });
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

const TILE = 5;

/** Draw one tile of a hatching over a part already filled; null where there is none. */
export function hatchTile(hatch: Hatch, theme: BarTheme, ratio: number): HTMLCanvasElement | null {
  if (hatch === 'none') return null;
  const size = Math.round(TILE * ratio);
  const tile = document.createElement('canvas');
  tile.width = tile.height = size;
  const pen = tile.getContext('2d')!;
  pen.globalAlpha = 0.4;
  pen.fillStyle = pen.strokeStyle = theme.background;
  if (hatch === 'lines') pen.fillRect(0, 0, size, Math.max(1, size * 0.25));
  else if (hatch === 'dots') pen.fillRect(size * 0.3, size * 0.3, size * 0.4, size * 0.4);
  else {
    pen.lineWidth = size * 0.26;
    pen.beginPath();
    for (const shift of [-size, 0, size]) {
      pen.moveTo(shift, size);
      pen.lineTo(shift + size, 0);
    }
    pen.stroke();
  }
  return tile;
}

/**
 * The chart's colors, one object a theme: everything drawn on a canvas reads them here.
 *
 * What CSS draws has its colors in `style.css`; the two lists hold the same hues. Candles must
 * stand out on the heat below them, so no theme uses the usual green and red: bright ones on
 * the dark ground, ink and crimson on paper. On greys any hue stands out, and gets one.
 */

import type { PaletteName, Theme } from './lut';

export const FONT =
  "Inter, 'Segoe UI Variable', 'Segoe UI', system-ui, -apple-system, Roboto, 'Helvetica Neue', sans-serif";

export interface CandleColors {
  readonly up: string;
  readonly down: string;
  /** Body of a rising candle; the others are filled with their own color. */
  readonly upBody: string;
}

export interface ChartTheme {
  readonly name: Theme;
  /** The page under the chart, where it must be painted. */
  readonly background: string;
  readonly text: string;
  /** Figures which are less than text. */
  readonly muted: string;
  readonly grid: string;
  readonly border: string;
  readonly crosshair: string;
  readonly label: string;
  readonly accent: string;
  readonly priceLine: string;
  readonly candles: CandleColors;
  /** The two sides: words, curves. */
  readonly long: string;
  readonly short: string;
  /** The same sides as bars: 3:1 is enough for an area. */
  readonly longBar: string;
  readonly shortBar: string;
  /** Ground of what floats over the heat: the profile's strip, labels. */
  readonly veil: string;
  readonly bubbles: { readonly long: string; readonly short: string; readonly edge: string };
  readonly pin: { readonly ring: string; readonly halo: string };
  /** Lines at round distances from the price, and their labels. */
  readonly bands: { readonly line: string; readonly text: string; readonly ground: string };
  /** Steps without data. */
  readonly hatch: { readonly fill: string; readonly line: string };
  /** The moment shown, in time travel. */
  readonly asOf: string;
}

const DARK: ChartTheme = {
  name: 'dark',
  background: '#07090d',
  text: '#98a2b3',
  muted: '#8590a3',
  grid: 'rgba(148, 163, 184, 0.07)',
  border: '#1b2230',
  crosshair: 'rgba(226, 232, 240, 0.55)',
  label: '#2a3446',
  accent: '#35c98f',
  priceLine: '#e2e8f0',
  candles: { up: '#f8fafc', down: '#ff4d8d', upBody: '#f8fafc' },
  long: '#56b4f9',
  short: '#ff9f43',
  longBar: 'rgba(86, 180, 249, 0.72)',
  shortBar: 'rgba(255, 159, 67, 0.72)',
  veil: 'rgba(9, 12, 18, 0.92)',
  bubbles: { long: '#8fd0ff', short: '#ffb870', edge: 'rgba(4, 6, 10, 0.85)' },
  pin: { ring: '#ffffff', halo: 'rgba(6, 8, 12, 0.9)' },
  bands: { line: 'rgba(226, 232, 240, 0.4)', text: '#cbd5e1', ground: 'rgba(9, 12, 18, 0.72)' },
  hatch: { fill: 'rgba(130, 140, 160, 0.10)', line: 'rgba(170, 180, 200, 0.28)' },
  asOf: '#c4b5fd',
};

const LIGHT: ChartTheme = {
  name: 'light',
  background: '#ffffff',
  text: '#4a5364',
  muted: '#5d6778',
  grid: 'rgba(15, 23, 42, 0.06)',
  border: '#d9dee7',
  crosshair: 'rgba(15, 23, 42, 0.6)',
  label: '#1e293b',
  accent: '#0a7f56',
  priceLine: '#0f172a',
  candles: { up: '#0f172a', down: '#e6005c', upBody: '#ffffff' },
  long: '#0d4fa3',
  short: '#963f08',
  longBar: '#3f8ce8',
  shortBar: '#e07414',
  veil: 'rgba(255, 255, 255, 0.93)',
  bubbles: { long: '#1a73e8', short: '#e8590c', edge: 'rgba(255, 255, 255, 0.95)' },
  pin: { ring: '#0f172a', halo: 'rgba(255, 255, 255, 0.95)' },
  bands: { line: 'rgba(15, 23, 42, 0.45)', text: '#334155', ground: 'rgba(255, 255, 255, 0.8)' },
  hatch: { fill: 'rgba(71, 85, 105, 0.08)', line: 'rgba(71, 85, 105, 0.38)' },
  asOf: '#6d28d9',
};

const THEMES: Record<Theme, ChartTheme> = { dark: DARK, light: LIGHT };
const ON_GREYS: Record<Theme, ChartTheme> = {
  dark: { ...DARK, candles: { up: '#2fd6b4', down: '#ff5c8f', upBody: '#2fd6b4' } },
  light: { ...LIGHT, candles: { up: '#00796b', down: '#e6005c', upBody: '#ffffff' } },
};

/** The colors of a theme; the palette of the heat decides which candles are seen on it. */
export function chartTheme(theme: Theme, palette: PaletteName): ChartTheme {
  return (palette === 'greys' ? ON_GREYS : THEMES)[theme];
}

/** The page's colors, for the canvas: read from the style sheet, so that the two cannot differ. */

import type { BarTheme } from '../../engine/barstyle';
import { FONT } from '../../engine/chart';

/** Perceived lightness of "#rrggbb", 0 to 255. */
function lightness(hex: string): number {
  const n = parseInt(hex.slice(1), 16);
  return 0.299 * (n >> 16) + 0.587 * ((n >> 8) & 255) + 0.114 * (n & 255);
}

export function readTheme(element: HTMLElement): BarTheme {
  const style = getComputedStyle(element);
  const color = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const background = color('bg');
  return {
    dark: lightness(background) < 128,
    background,
    text: color('text'),
    muted: color('muted'),
    line: color('line'),
    long: color('long'),
    short: color('short'),
    font: FONT,
  };
}

/**
 * What a heat renderer is: the one interface between the chart and a drawing backend.
 *
 * `bitmap.ts` (canvas 2D, no GPU needed) draws into the chart's own pane; `gl.ts` (WebGL2) on
 * a canvas of its own under the chart, and ignores `context`. `backend.ts` chooses.
 */

import type { HeatMatrix } from './matrix';

/** Where the matrix lies on the pane, in device pixels. */
export interface HeatView {
  readonly width: number;
  readonly height: number;
  /** x of the left edge of column 0, and the width of a column. */
  readonly originX: number;
  readonly columnWidth: number;
  /** y of a price (down is positive); monotone, not always linear. */
  readonly yOf: (price: number) => number;
  readonly priceTop: number;
  readonly priceBottom: number;
  /** Device pixels per CSS pixel. */
  readonly ratioX: number;
  readonly ratioY: number;
}

export type HeatKind = 'canvas2d' | 'webgl2';

export interface HeatRenderer {
  readonly kind: HeatKind;
  /** Show another matrix, or none. */
  setMatrix(matrix: HeatMatrix | null): void;
  /** Recolor: threshold, transfer, palette and alpha are all in the table. */
  setLut(lut: Uint32Array): void;
  /** One column was appended or rewritten. */
  columnChanged(column: number): void;
  /** The matrix dropped its oldest columns: all indices moved. */
  scrolled(): void;
  draw(context: CanvasRenderingContext2D, view: HeatView): void;
  dispose(): void;
}

/** A run of rows whose mapping to the screen is straight within half a pixel. */
export interface Strip {
  readonly binLow: number;
  readonly binHigh: number;
  readonly yTop: number;
  readonly yBottom: number;
}

const MAX_STRIPS = 64;
const TOLERANCE = 0.5;

/**
 * Cut the visible bins into strips. A grid and an axis of the same kind need one; a log grid
 * on a linear axis (or the reverse) needs a few, more the wider the prices span. Borders are
 * whole pixels and whole multiples of `align` bins, so strips meet without a seam.
 */
export function strips(matrix: HeatMatrix, view: HeatView, align: number): Strip[] {
  const clamp = (p: number): number => Math.max(0, Math.min(matrix.bins, p));
  const low = clamp(Math.floor(matrix.position(view.priceBottom) / align) * align);
  const high = clamp(Math.ceil(matrix.position(view.priceTop) / align) * align);
  if (!(high > low)) return [];
  const y = (p: number): number => view.yOf(matrix.edge(p));
  const bow = Math.abs(y((low + high) / 2) - (y(low) + y(high)) / 2);
  // The error of a chord falls with the square of the number of chords.
  const wanted = bow <= TOLERANCE ? 1 : Math.ceil(Math.sqrt(bow / TOLERANCE));
  const count = Math.max(1, Math.min(MAX_STRIPS, wanted, Math.floor((high - low) / align)));
  const out: Strip[] = [];
  let from = low;
  for (let i = 1; i <= count; i++) {
    const cut = low + Math.round(((high - low) * i) / count / align) * align;
    const to = i === count ? high : cut;
    if (to > from) {
      out.push({ binLow: from, binHigh: to, yTop: Math.round(y(to)), yBottom: Math.round(y(from)) });
    }
    from = to;
  }
  return out;
}

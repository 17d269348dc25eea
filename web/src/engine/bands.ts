/** Faint lines at round distances from the price: how far is that level, at a glance. */

import type { HeatView } from './heat';
import { Layer, type Scope } from './layer';
import type { HeatMatrix } from './matrix';

/** Distances from the last price, as ratios. */
const DISTANCES = [0.01, 0.02, 0.05, 0.1] as const;
/** Least distance between two lines, so that their labels can be read [CSS px]. */
const APART = 20;
/** The corner at the lower left in which the chart library has its mark [CSS px]. */
const MARK_TOP = 44;
const MARK_RIGHT = 52;

export interface Band {
  /** Signed distance, such as -0.05. */
  readonly ratio: number;
  readonly price: number;
}

/**
 * The bands of a view that fit. From the price outward, each must lie `apart` pixels beyond
 * the last one kept (or the price); what is off the pane is left out.
 */
export function bandsIn(
  lastPrice: number,
  { yOf, priceTop, priceBottom }: Pick<HeatView, 'yOf' | 'priceTop' | 'priceBottom'>,
  apart: number,
): Band[] {
  if (!(lastPrice > 0)) return [];
  const out: Band[] = [];
  for (const sign of [1, -1]) {
    let y = yOf(lastPrice);
    for (const distance of DISTANCES) {
      const ratio = sign * distance;
      const price = lastPrice * (1 + ratio);
      const at = yOf(price);
      if (price > priceTop || price < priceBottom || Math.abs(at - y) < apart) continue;
      out.push({ ratio, price });
      y = at;
    }
  }
  return out;
}

/** "+5 %", with a minus sign where it is one. */
export function bandText(ratio: number): string {
  return `${ratio < 0 ? '−' : '+'}${Math.round(Math.abs(ratio) * 100)} %`;
}

export interface BandStyle {
  readonly line: string;
  readonly text: string;
  readonly ground: string;
  readonly font: string;
}

export class BandLayer extends Layer {
  private matrix: HeatMatrix | null = null;

  constructor(private readonly style: () => BandStyle) {
    super('normal');
  }

  setMatrix(matrix: HeatMatrix | null): void {
    this.matrix = matrix;
  }

  protected override paint(scope: Scope): void {
    const { matrix } = this;
    if (!matrix || matrix.width === 0) return;
    const view = this.view(scope);
    if (!view) return;
    const { context, horizontalPixelRatio: ratio } = scope;
    const { line, text, ground, font } = this.style();
    context.font = `600 ${11 * ratio}px ${font}`;
    context.textAlign = 'left';
    context.textBaseline = 'middle';
    context.lineWidth = Math.max(1, Math.round(ratio));
    for (const band of bandsIn(matrix.closeAt(matrix.width - 1), view, APART * ratio)) {
      const y = Math.round(view.yOf(band.price)) + 0.5;
      context.strokeStyle = line;
      context.setLineDash([2 * ratio, 4 * ratio]);
      context.beginPath();
      context.moveTo(0, y);
      context.lineTo(view.width, y);
      context.stroke();
      context.setLineDash([]);
      const label = bandText(band.ratio);
      const { width } = context.measureText(label);
      context.fillStyle = ground;
      // The lowest would lie on the chart library's mark.
      const x = (y > view.height - MARK_TOP * ratio ? MARK_RIGHT : 6) * ratio;
      context.fillRect(x, y - 8 * ratio, width + 10 * ratio, 16 * ratio);
      context.fillStyle = text;
      context.fillText(label, x + 5 * ratio, y + 0.5 * ratio);
    }
  }
}

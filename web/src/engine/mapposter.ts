/**
 * The map as a picture to pass on, with all a reader needs to judge it burnt in: what it is,
 * what its colors mean, what stands to be liquidated, and when it was known.
 *
 * Lengths are CSS pixels; the canvas has the chart's own device pixels.
 */

import { hatchTile, type BarTheme, type PartStyle } from './barstyle';

export interface MapPoster {
  readonly title: string;
  readonly details: string;
  readonly parts: readonly { readonly label: string; readonly style: PartStyle }[];
  /** Sentences, caption and stamp, from top to bottom. */
  readonly foot: readonly string[];
  /** Across the picture: "SIMULATED"; "" for live data. */
  readonly watermark: string;
}

const PAD = 14;
const LINE = 17;
const TITLE = 26;
const SWATCH = 11;

type Pen = CanvasRenderingContext2D;

/** The text in lines which fit. */
function wrapped(pen: Pen, text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const longer = lines.length === 0 ? word : `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && pen.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function paintParts(pen: Pen, { parts }: MapPoster, theme: BarTheme, y: number, ratio: number): void {
  let x = PAD;
  for (const { label, style } of parts) {
    for (const [color, shift] of [[style.long, 0], [style.short, SWATCH / 2]] as const) {
      pen.fillStyle = color;
      pen.fillRect(x + shift, y - SWATCH + 1, SWATCH / 2, SWATCH);
    }
    const tile = hatchTile(style.hatch, theme, ratio);
    const over = tile && pen.createPattern(tile, 'repeat');
    if (over) {
      over.setTransform(new DOMMatrix([1 / ratio, 0, 0, 1 / ratio, 0, 0]));
      pen.fillStyle = over;
      pen.fillRect(x, y - SWATCH + 1, SWATCH, SWATCH);
    }
    pen.fillStyle = theme.text;
    pen.fillText(label, x + SWATCH + 5, y);
    x += SWATCH + 5 + pen.measureText(label).width + 16;
  }
}

function paintWatermark(pen: Pen, text: string, theme: BarTheme, x: number, y: number, width: number): void {
  pen.save();
  pen.translate(x, y);
  pen.rotate(-Math.PI / 10);
  pen.textAlign = 'center';
  pen.font = `800 ${Math.min(120, (1.4 * width) / Math.max(6, text.length))}px ${theme.font}`;
  pen.globalAlpha = 0.13;
  pen.fillStyle = theme.text;
  pen.fillText(text, 0, 0);
  pen.restore();
}

/** Compose the picture around the chart's, which has `ratio` device pixels per CSS pixel. */
export function drawMapPoster(
  chart: HTMLCanvasElement,
  ratio: number,
  poster: MapPoster,
  theme: BarTheme,
): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  const pen = canvas.getContext('2d')!;
  const [width, height] = [chart.width / ratio, chart.height / ratio];
  const small = `500 12px ${theme.font}`;
  pen.font = small;
  const head = wrapped(pen, poster.details, width - 2 * PAD);
  const foot = poster.foot.flatMap((text) => wrapped(pen, text, width - 2 * PAD));
  const top = PAD + TITLE + (head.length + 1) * LINE + 6;
  canvas.width = chart.width;
  canvas.height = Math.round((top + height + foot.length * LINE + PAD) * ratio);
  pen.fillStyle = theme.background;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  // Device pixels meet device pixels: the picture is not scaled.
  pen.drawImage(chart, 0, Math.round(top * ratio));
  pen.scale(ratio, ratio);
  pen.fillStyle = theme.text;
  pen.font = `700 17px ${theme.font}`;
  pen.fillText(poster.title, PAD, PAD + 17);
  pen.font = small;
  pen.fillStyle = theme.muted;
  head.forEach((line, k) => pen.fillText(line, PAD, PAD + TITLE + 12 + k * LINE));
  paintParts(pen, poster, theme, PAD + TITLE + 14 + head.length * LINE, ratio);
  foot.forEach((line, k) => pen.fillText(line, PAD, top + height + 12 + k * LINE));
  if (poster.watermark) paintWatermark(pen, poster.watermark, theme, width / 2, top + height / 2, width);
  return canvas;
}

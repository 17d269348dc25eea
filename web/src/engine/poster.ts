/**
 * A picture to pass on: the chart with everything a reader needs to judge it burnt in.
 *
 * Title, model, range and step above; the color scale with its USD and threshold at the left;
 * the caption and a UTC stamp below; across the picture what it is, when it is not live.
 * Lengths are CSS pixels; the canvas has the screen's own.
 */

import { backward, colorOf, forward, type Look } from './lut';
import type { ChartTheme } from './theme';

export interface Tick {
  /** Legend position 0..1, from the bottom. */
  readonly position: number;
  readonly label: string;
}

export interface PosterText {
  readonly title: string;
  readonly details: string;
  readonly caption: string;
  readonly stamp: string;
  /** Across the picture: "SIMULATED", "REPLAY", "AS OF ..."; "" for live data. */
  readonly watermark: string;
  readonly font: string;
}

export interface PosterLegend {
  readonly look: Look;
  readonly ticks: readonly Tick[];
  readonly top: string;
  readonly threshold: string;
  readonly unit: string;
}

const PAD = 12;
const LEGEND = 74;
const RAMP = 14;
const TITLE_PX = 16;
const SMALL_PX = 11;
const LINE = 1.4;

/** Break a text into lines of at most `width`, between words. */
export function wrap(text: string, width: number, measure: (text: string) => number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && measure(longer) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return line === '' ? lines : [...lines, line];
}

type Context = CanvasRenderingContext2D;

/** Write lines from y down; returns the y below them. */
function write(context: Context, lines: readonly string[], x: number, y: number, px: number): number {
  context.textBaseline = 'top';
  for (const line of lines) {
    context.fillText(line, x, y);
    y += px * LINE;
  }
  return y;
}

function drawLegend(context: Context, legend: PosterLegend, theme: ChartTheme, top: number, height: number): void {
  const { look } = legend;
  const from = top + 2 * SMALL_PX;
  const tall = height - 6 * SMALL_PX;
  for (let y = 0; y < tall; y++) {
    const [r, g, b] = colorOf(look, backward(look.transfer, 1 - (y + 0.5) / tall));
    context.fillStyle = `rgb(${r} ${g} ${b})`;
    context.fillRect(PAD, from + y, RAMP, 1.5);
  }
  context.strokeStyle = theme.border;
  context.lineWidth = 1;
  context.strokeRect(PAD - 0.5, from - 0.5, RAMP + 1, tall + 1);
  const at = (position: number): number => from + (1 - position) * tall;
  context.fillStyle = theme.text;
  context.textBaseline = 'middle';
  context.fillText(legend.top, PAD, top + SMALL_PX * 0.7);
  const threshold = at(forward(look.transfer, look.lo));
  for (const { position, label } of legend.ticks) {
    const y = at(position);
    if (Math.abs(y - threshold) < SMALL_PX) continue;
    context.fillRect(PAD + RAMP, y - 0.5, 4, 1);
    context.fillText(label, PAD + RAMP + 7, y);
  }
  context.fillStyle = theme.accent;
  context.fillRect(PAD - 3, threshold - 1, RAMP + 9, 2);
  context.fillText(legend.threshold, PAD, from + tall + 1.3 * SMALL_PX);
  context.fillStyle = theme.text;
  context.fillText(legend.unit, PAD, from + tall + 2.7 * SMALL_PX);
}

function drawWatermark(context: Context, text: PosterText, theme: ChartTheme, x: number, y: number, width: number): void {
  if (text.watermark === '') return;
  context.save();
  context.translate(x, y);
  context.rotate(-Math.PI / 9);
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  const px = Math.min(120, (1.5 * width) / Math.max(6, text.watermark.length));
  context.font = `800 ${px}px ${text.font}`;
  context.globalAlpha = theme.name === 'dark' ? 0.16 : 0.14;
  context.fillStyle = theme.priceLine;
  context.fillText(text.watermark, 0, 0);
  context.restore();
}

/** Compose the picture; `chart` is the chart's canvas at `ratio` device pixels per CSS pixel. */
export function drawPoster(
  chart: HTMLCanvasElement,
  ratio: number,
  text: PosterText,
  legend: PosterLegend,
  theme: ChartTheme,
): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d')!;
  const chartWidth = chart.width / ratio;
  const chartHeight = chart.height / ratio;
  const width = chartWidth + LEGEND + PAD;
  const fit = (words: string): string[] => wrap(words, width - 2 * PAD, (s) => context.measureText(s).width);
  const fonts = { title: `700 ${TITLE_PX}px ${text.font}`, small: `500 ${SMALL_PX}px ${text.font}` };
  context.font = fonts.title;
  const title = fit(text.title);
  context.font = fonts.small;
  const details = fit(text.details);
  const foot = [...fit(text.caption), ...fit(text.stamp)];
  const head = PAD + title.length * TITLE_PX * LINE + details.length * SMALL_PX * LINE + PAD / 2;
  const height = head + chartHeight + PAD / 2 + foot.length * SMALL_PX * LINE + PAD;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.fillStyle = theme.background;
  context.fillRect(0, 0, canvas.width, canvas.height);
  // Device pixels meet device pixels: the picture is not scaled.
  const left = Math.round(LEGEND * ratio);
  const top = Math.round(head * ratio);
  context.drawImage(chart, left, top);
  context.scale(ratio, ratio);
  context.font = fonts.title;
  context.fillStyle = theme.priceLine;
  const below = write(context, title, PAD, PAD, TITLE_PX);
  context.font = fonts.small;
  context.fillStyle = theme.text;
  write(context, details, PAD, below, SMALL_PX);
  write(context, foot, PAD, head + chartHeight + PAD / 2, SMALL_PX);
  drawLegend(context, legend, theme, head, chartHeight);
  drawWatermark(context, text, theme, LEGEND + chartWidth / 2, head + chartHeight / 2, chartWidth);
  return canvas;
}

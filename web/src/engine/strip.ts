/**
 * Draws a profile as a strip at the right edge of the pane, on the pane's own price axis.
 *
 * Bars (stacked when the profile is split), the cumulative curve of each side, the max pain of
 * each side as a dashed line, and the sums of what is visible. Bars and curves are scaled to
 * what is visible.
 */

import { formatUsd } from '../format';
import type { HeatView } from './heat';
import type { HeatMatrix } from './matrix';
import type { Profile } from './profile';

export interface ProfileStyle {
  /** Width of the strip in CSS pixels. */
  readonly width: number;
  readonly long: string;
  readonly short: string;
  /** Of the bars. */
  readonly longBar: string;
  readonly shortBar: string;
  readonly background: string;
  readonly border: string;
  readonly text: string;
  readonly font: string;
}

interface Frame {
  readonly view: HeatView;
  readonly left: number;
  readonly width: number;
  readonly first: number;
  readonly last: number;
  /** Edge p -> y. */
  readonly y: Float64Array;
}

export function drawProfile(
  context: CanvasRenderingContext2D,
  view: HeatView,
  matrix: HeatMatrix,
  profile: Profile,
  style: ProfileStyle,
  ratio: number,
): void {
  const width = Math.round(style.width * ratio);
  const left = view.width - width;
  context.fillStyle = style.background;
  context.fillRect(left, 0, width, view.height);
  context.fillStyle = style.border;
  context.fillRect(left, 0, Math.max(1, Math.round(ratio)), view.height);
  const first = Math.max(0, Math.floor(matrix.position(view.priceBottom)));
  const last = Math.min(matrix.bins - 1, Math.floor(matrix.position(view.priceTop)));
  if (last < first) return;
  const y = new Float64Array(matrix.bins + 1);
  for (let p = first; p <= last + 1; p++) y[p] = view.yOf(matrix.edge(p));
  const frame = { view, left: left + 2 * ratio, width: width - 6 * ratio, first, last, y };
  drawBars(context, frame, profile, style);
  drawCurves(context, frame, profile, style, ratio);
  drawPain(context, frame, profile, style, ratio);
  drawTotals(context, frame, profile, style, ratio);
}

interface Pile {
  readonly color: string;
  readonly usd: Float64Array;
  readonly from: number;
  readonly to: number;
}

/** What is piled up from left to right: the groups, or of each side its bins. */
function piles({ first, last }: Frame, { usd, split, groups }: Profile, style: ProfileStyle): Pile[] {
  if (groups.length > 0) return groups.map((group) => ({ ...group, from: first, to: last }));
  return [
    { color: style.longBar, usd, from: first, to: Math.min(last, split - 1) },
    { color: style.shortBar, usd, from: Math.max(first, split), to: last },
  ];
}

function drawBars(
  context: CanvasRenderingContext2D,
  frame: Frame,
  profile: Profile,
  style: ProfileStyle,
): void {
  const { left, width, first, last, y } = frame;
  let max = 0;
  for (let p = first; p <= last; p++) if (profile.usd[p] > max) max = profile.usd[p];
  if (max === 0) return;
  // A hairline between bars keeps neighbors apart, once every bar has room for one.
  const gap = (y[first] - y[last + 1]) / (last + 1 - first) >= 5 ? 1 : 0;
  const piled = new Float64Array(profile.usd.length);
  context.globalAlpha = profile.groups.length > 0 ? 0.9 : 1;
  for (const { color, usd, from, to } of piles(frame, profile, style)) {
    context.beginPath();
    for (let p = from; p <= to; p++) {
      if (usd[p] === 0) continue;
      const top = Math.round(y[p + 1]);
      const height = Math.max(1, Math.round(y[p]) - top);
      const x = left + (piled[p] / max) * width;
      piled[p] += usd[p];
      // Only a bar's first piece is widened to be seen: the others would lie.
      const length = (usd[p] / max) * width;
      context.rect(x, top, x === left ? Math.max(1, length) : length, height - gap);
    }
    context.fillStyle = color;
    context.fill();
  }
  context.globalAlpha = 1;
}

function drawCurves(
  context: CanvasRenderingContext2D,
  { left, width, first, last, y }: Frame,
  { cumulative, split }: Profile,
  style: ProfileStyle,
  ratio: number,
): void {
  let max = 0;
  for (let p = first; p <= last; p++) if (cumulative[p] > max) max = cumulative[p];
  if (max === 0) return;
  for (const long of [true, false]) {
    context.beginPath();
    const from = long ? Math.min(last, split - 1) : Math.max(first, split);
    const step = long ? -1 : 1;
    const start = y[long ? from + 1 : from];
    context.moveTo(left, start);
    for (let p = from; p >= first && p <= last; p += step) {
      context.lineTo(left + (cumulative[p] / max) * width, (y[p] + y[p + 1]) / 2);
    }
    context.lineWidth = 1.5 * ratio;
    context.strokeStyle = long ? style.long : style.short;
    context.stroke();
    context.lineTo(left, long ? y[first] : y[last + 1]);
    context.closePath();
    context.globalAlpha = 0.1;
    context.fillStyle = context.strokeStyle;
    context.fill();
    context.globalAlpha = 1;
  }
}

/** A dashed line and a word at the price where the most of a side rests. */
function drawPain(
  context: CanvasRenderingContext2D,
  { view, left, width }: Frame,
  { pain }: Profile,
  style: ProfileStyle,
  ratio: number,
): void {
  context.font = `600 ${10 * ratio}px ${style.font}`;
  context.textAlign = 'right';
  context.textBaseline = 'alphabetic';
  for (const point of [pain.long, pain.short]) {
    if (!point || point.price < view.priceBottom || point.price > view.priceTop) continue;
    const at = Math.round(view.yOf(point.price)) + 0.5;
    context.strokeStyle = context.fillStyle = point.side === 'long' ? style.long : style.short;
    context.lineWidth = Math.max(1, ratio);
    context.setLineDash([4 * ratio, 3 * ratio]);
    context.beginPath();
    context.moveTo(left, at);
    context.lineTo(left + width + 4 * ratio, at);
    context.stroke();
    context.setLineDash([]);
    label(context, 'max pain', left + width, at - 4 * ratio, style.background, ratio);
  }
}

/** Right-aligned text on a ground of its own; `fillStyle` is the text's. */
function label(
  context: CanvasRenderingContext2D,
  text: string,
  right: number,
  base: number,
  background: string,
  ratio: number,
): void {
  const color = context.fillStyle;
  const { width } = context.measureText(text);
  context.fillStyle = background;
  context.fillRect(right - width - 4 * ratio, base - 11 * ratio, width + 8 * ratio, 14 * ratio);
  context.fillStyle = color;
  context.fillText(text, right, base);
}

/** "shorts $1.2B" at the top, "longs $0.9B" at the bottom: sums of what is visible. */
function drawTotals(
  context: CanvasRenderingContext2D,
  { view, left, width, first, last }: Frame,
  { cumulative, split }: Profile,
  style: ProfileStyle,
  ratio: number,
): void {
  const sums = [
    { long: false, sum: split <= last ? cumulative[last] : 0, y: 14 * ratio },
    { long: true, sum: split - 1 >= first ? cumulative[first] : 0, y: view.height - 8 * ratio },
  ];
  context.font = `600 ${11 * ratio}px ${style.font}`;
  context.textAlign = 'right';
  context.textBaseline = 'alphabetic';
  for (const { long, sum, y } of sums) {
    context.fillStyle = long ? style.long : style.short;
    const text = `${long ? 'longs ▼' : 'shorts ▲'} ${formatUsd(sum)}`;
    label(context, text, left + width, y, style.background, ratio);
  }
}

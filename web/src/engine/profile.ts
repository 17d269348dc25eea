/**
 * The side profile: what rests at each price now, and how much lies between here and there.
 *
 * `buildProfile` is pure: per bin the USD of its side, and the running sum outward from the
 * price (longs downward, shorts upward). `drawProfile` paints it in a strip at the right edge
 * of the pane, on the pane's own price axis. Bars and curves are scaled to what is visible.
 */

import { formatUsd } from '../format';
import type { HeatView } from './heat';
import type { HeatMatrix } from './matrix';

export interface Profile {
  /** USD per bin; a bin holds one side only. */
  readonly usd: Float64Array;
  /** Sum from the price outward, this bin included. */
  readonly cumulative: Float64Array;
  /** Bins below this index are long levels, the others short. */
  readonly split: number;
}

export function buildProfile(matrix: HeatMatrix, column = matrix.width - 1): Profile {
  const codes = matrix.column(column);
  const n = matrix.bins;
  const usd = new Float64Array(n);
  const cumulative = new Float64Array(n);
  // Bin p is long when its center is below the close: p + 0.5 < position (near enough on a log grid).
  let split = 0;
  const close = matrix.closeAt(column);
  while (split < n && matrix.center(split) < close) split++;
  for (let p = 0; p < n; p++) usd[p] = matrix.usd[codes[p]];
  for (let p = split - 1, sum = 0; p >= 0; p--) cumulative[p] = sum += usd[p];
  for (let p = split, sum = 0; p < n; p++) cumulative[p] = sum += usd[p];
  return { usd, cumulative, split };
}

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
  drawTotals(context, frame, profile, style, ratio);
}

function drawBars(
  context: CanvasRenderingContext2D,
  { left, width, first, last, y }: Frame,
  { usd, split }: Profile,
  style: ProfileStyle,
): void {
  let max = 0;
  for (let p = first; p <= last; p++) if (usd[p] > max) max = usd[p];
  if (max === 0) return;
  // A hairline between bars keeps neighbors apart, once every bar has room for one.
  const gap = (y[first] - y[last + 1]) / (last + 1 - first) >= 5 ? 1 : 0;
  for (const long of [true, false]) {
    context.beginPath();
    const from = long ? first : Math.max(first, split);
    const to = long ? Math.min(last, split - 1) : last;
    for (let p = from; p <= to; p++) {
      if (usd[p] === 0) continue;
      const top = Math.round(y[p + 1]);
      const height = Math.max(1, Math.round(y[p]) - top);
      context.rect(left, top, Math.max(1, (usd[p] / max) * width), height - gap);
    }
    context.fillStyle = long ? style.longBar : style.shortBar;
    context.fill();
  }
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
    const text = `${long ? 'longs ▼' : 'shorts ▲'} ${formatUsd(sum)}`;
    const { width: length } = context.measureText(text);
    context.fillStyle = style.background;
    context.fillRect(left + width - length - 5 * ratio, y - 12 * ratio, length + 9 * ratio, 17 * ratio);
    context.fillStyle = long ? style.long : style.short;
    context.fillText(text, left + width, y);
  }
}

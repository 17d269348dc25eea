/**
 * Painting the liquidation map on a canvas: bars, curves, axes, the price and the max pains.
 *
 * `Scene` is all a picture depends on. Coordinates are CSS pixels; the context is scaled by
 * the device's ratio before. `paintScene` draws what changes with data and view, `paintCursor`
 * what follows the pointer, on a canvas of its own.
 */

import { formatPercent, formatPrice, formatUsd } from '../format';
import { cumulativeAt, niceTicks, sideOf, xOf, type Bar, type Part, type PriceMap, type PriceView, type Reading } from './bars';
import { hatchTile, stylesOf, type BarTheme, type Hatch } from './barstyle';
import type { Grouping } from './bars';
import type { Side } from './matrix';
import type { PainPoint } from './maxpain';

/** The pane within its axes. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Scene {
  readonly map: PriceMap;
  readonly parts: readonly Part[];
  readonly by: Grouping;
  readonly bars: readonly Bar[];
  readonly view: PriceView;
  readonly box: Box;
  /** Tops of the two scales [USD]. */
  readonly barTop: number;
  readonly curveTop: number;
  readonly decimals: number;
  readonly theme: BarTheme;
  /** The part which stands out, by id. */
  readonly highlight: string | null;
  /** Axis labels lie within the pane. */
  readonly narrow: boolean;
}

type Pen = CanvasRenderingContext2D;

const SIDES = ['long', 'short'] as const;
const BAR_SHARE = 0.9;
const CURVE_SHARE = 0.97;

const barY = ({ box, barTop }: Scene, usd: number): number =>
  box.top + box.height - (BAR_SHARE * box.height * usd) / barTop;
const curveY = ({ box, curveTop }: Scene, usd: number): number =>
  box.top + box.height - (CURVE_SHARE * box.height * usd) / curveTop;
const atX = ({ box, view }: Scene, price: number): number => box.left + xOf(view, price);

export function paintScene(pen: Pen, scene: Scene, width: number, height: number, ratio: number): void {
  pen.fillStyle = scene.theme.background;
  pen.fillRect(0, 0, width, height);
  paintGrid(pen, scene);
  pen.save();
  pen.beginPath();
  pen.rect(scene.box.left, 0, scene.box.width, scene.box.top + scene.box.height);
  pen.clip();
  paintBars(pen, scene, ratio);
  for (const side of SIDES) paintCurve(pen, scene, side);
  for (const pain of scene.map.pains) paintPain(pen, scene, pain);
  for (const side of SIDES) nameCurve(pen, scene, side);
  paintPrice(pen, scene);
  pen.restore();
  paintScales(pen, scene);
}

function priceTicks({ view, box }: Scene): number[] {
  return niceTicks(view.from, view.to, Math.max(2, Math.floor(box.width / 96)));
}

/** About how many labels a vertical scale has room for. */
function rowsOf({ box }: Scene): number {
  return Math.max(2, Math.floor(box.height / 70));
}

function paintGrid(pen: Pen, scene: Scene): void {
  const { box, theme, map, decimals } = scene;
  const bottom = box.top + box.height;
  pen.fillStyle = theme.line;
  for (const usd of niceTicks(0, scene.barTop / BAR_SHARE, rowsOf(scene))) {
    pen.fillRect(box.left, Math.round(barY(scene, usd)), box.width, 1);
  }
  pen.textAlign = 'center';
  pen.textBaseline = 'top';
  for (const price of priceTicks(scene)) {
    const x = Math.round(atX(scene, price));
    pen.fillStyle = theme.line;
    pen.fillRect(x, box.top, 1, box.height + 4);
    if (x < box.left + 24 || x > box.left + box.width - 24) continue;
    pen.font = `11px ${theme.font}`;
    pen.fillStyle = theme.text;
    pen.fillText(shortPrice(price, decimals), x, bottom + 6);
    pen.font = `10px ${theme.font}`;
    pen.fillStyle = theme.muted;
    pen.fillText(formatPercent(price / map.lastPrice - 1), x, bottom + 21);
  }
  pen.fillStyle = theme.line;
  pen.fillRect(box.left, bottom, box.width, 1);
}

/** Ticks are round: their last zeros say nothing. */
function roundUsd(usd: number): string {
  return formatUsd(usd).replace(/(\.\d*?)0+(?=\D|$)/, '$1').replace(/\.(?=\D|$)/, '');
}

function shortPrice(price: number, decimals: number): string {
  return formatPrice(price, decimals).replace(/\.0+$/, '');
}

function paintBars(pen: Pen, scene: Scene, ratio: number): void {
  const tiles = new Map<Hatch, CanvasPattern | null>();
  const pattern = (hatch: Hatch): CanvasPattern | null => {
    if (!tiles.has(hatch)) {
      const tile = hatchTile(hatch, scene.theme, ratio);
      const made = tile && pen.createPattern(tile, 'repeat');
      // A pattern is scaled with the context: back to device pixels.
      made?.setTransform(new DOMMatrix([1 / ratio, 0, 0, 1 / ratio, 0, 0]));
      tiles.set(hatch, made);
    }
    return tiles.get(hatch)!;
  };
  const styles = stylesOf(scene.parts, scene.by, scene.theme);
  for (let k = 0; k < scene.parts.length; k++) {
    const style = styles[k];
    const dim = scene.highlight !== null && scene.highlight !== scene.parts[k].id;
    pen.globalAlpha = dim ? 0.18 : 1;
    for (const side of SIDES) {
      pen.beginPath();
      for (const bar of scene.bars) if (bar.side === side) addPart(pen, scene, bar, k, ratio);
      pen.fillStyle = style[side];
      pen.fill();
      const over = pattern(style.hatch);
      if (!over) continue;
      pen.fillStyle = over;
      pen.fill();
    }
  }
  pen.globalAlpha = 1;
}

/** Add the rectangle of one part of one bar to the path, on whole device pixels. */
function addPart(pen: Pen, scene: Scene, bar: Bar, k: number, ratio: number): void {
  if (bar.parts[k] <= 0) return;
  const snap = (x: number): number => Math.round(x * ratio) / ratio;
  const left = snap(atX(scene, bar.low));
  const right = snap(atX(scene, bar.high));
  if (right < scene.box.left || left > scene.box.left + scene.box.width) return;
  let below = 0;
  for (let i = 0; i < k; i++) below += bar.parts[i];
  const foot = snap(barY(scene, below));
  const top = snap(barY(scene, below + bar.parts[k]));
  // What is there is seen: at least a line at the foot of an otherwise empty bar.
  const height = below === 0 ? Math.max(foot - top, 1 / ratio) : foot - top;
  const gap = right - left >= 3 ? 1 : 0;
  pen.rect(left, foot - height, Math.max(1 / ratio, right - left - gap), height);
}

/** Bins of a side from the price outward. */
function* outward({ map }: Scene, side: Side): Generator<number> {
  const bins = map.edges.length - 1;
  let split = 0;
  while (split < bins && Math.sqrt(map.edges[split] * map.edges[split + 1]) < map.lastPrice) split++;
  if (side === 'long') for (let p = split - 1; p >= 0; p--) yield p;
  else for (let p = split; p < bins; p++) yield p;
}

function curvePath(scene: Scene, side: Side): { path: Path2D; endX: number; endY: number } {
  const { map, box } = scene;
  const path = new Path2D();
  let endX = atX(scene, map.lastPrice);
  let endY = curveY(scene, 0);
  path.moveTo(endX, endY);
  for (const p of outward(scene, side)) {
    const x = atX(scene, map.edges[side === 'long' ? p : p + 1]);
    endY = curveY(scene, map.cumulative[side][p]);
    path.lineTo(x, endY);
    endX = x;
    if (x < box.left - 20 || x > box.left + box.width + 20) break;
  }
  return { path, endX, endY };
}

function paintCurve(pen: Pen, scene: Scene, side: Side): void {
  const { box, theme } = scene;
  const { path, endX } = curvePath(scene, side);
  const bottom = box.top + box.height;
  const area = new Path2D(path);
  area.lineTo(endX, bottom);
  area.lineTo(atX(scene, scene.map.lastPrice), bottom);
  area.closePath();
  const shade = pen.createLinearGradient(0, box.top, 0, bottom);
  shade.addColorStop(0, theme[side]);
  shade.addColorStop(1, 'transparent');
  pen.globalAlpha = 0.16;
  pen.fillStyle = shade;
  pen.fill(area);
  pen.globalAlpha = 0.75;
  pen.lineJoin = 'round';
  pen.strokeStyle = theme.background;
  pen.lineWidth = 5;
  pen.stroke(path);
  pen.globalAlpha = 1;
  pen.strokeStyle = theme[side];
  pen.lineWidth = 2;
  // Another stroke for another side: color is never alone.
  pen.setLineDash(side === 'long' ? [] : [7, 2.5]);
  pen.stroke(path);
  pen.setLineDash([]);
}

/** What a curve is, where it is highest: at its outer end. */
function nameCurve(pen: Pen, scene: Scene, side: Side): void {
  const { map, box, view, theme, narrow } = scene;
  const end = side === 'long' ? view.from : view.to * 0.999999;
  const share = side === 'long' ? 'longs ▼' : 'shorts ▲';
  const usd = cumulativeAt(map, end);
  if (usd <= 0 || sideOf(map, end) !== side) return;
  const text = `${narrow ? '' : 'Cumulative '}${share} ${formatUsd(usd)}`;
  const y = Math.max(box.top + 4, Math.min(box.top + box.height - 24, curveY(scene, usd) - 24));
  const x = side === 'long' ? box.left + 4 : box.left + box.width - 4;
  const look = { fill: theme.background, ink: theme[side], align: side === 'long' ? 'left' : 'right' } as const;
  plate(pen, scene, text, x, y, look);
}

/** Text on a plate, so that it is read over anything; `x` is clamped into the pane. */
function plate(
  pen: Pen,
  { box, theme }: Scene,
  text: string,
  x: number,
  y: number,
  look: { fill: string; ink: string; align?: 'left' | 'right' | 'center'; weight?: number },
): void {
  pen.font = `${look.weight ?? 600} 11px ${theme.font}`;
  const width = pen.measureText(text).width + 12;
  const align = look.align ?? 'center';
  const wanted = align === 'center' ? x - width / 2 : align === 'right' ? x - width : x;
  const left = Math.max(box.left, Math.min(box.left + box.width - width, wanted));
  pen.globalAlpha = look.fill === theme.background ? 0.8 : 1;
  pen.fillStyle = look.fill;
  pen.beginPath();
  pen.roundRect(left, y, width, 18, 3);
  pen.fill();
  pen.globalAlpha = 1;
  pen.fillStyle = look.ink;
  pen.textAlign = 'left';
  pen.textBaseline = 'middle';
  pen.fillText(text, left + 6, y + 9.5);
}

function dashed(pen: Pen, x: number, top: number, bottom: number, color: string, dash: number[]): void {
  pen.strokeStyle = color;
  pen.lineWidth = 1;
  pen.setLineDash(dash);
  pen.beginPath();
  pen.moveTo(Math.round(x) + 0.5, top);
  pen.lineTo(Math.round(x) + 0.5, bottom);
  pen.stroke();
  pen.setLineDash([]);
}

function paintPain(pen: Pen, scene: Scene, pain: PainPoint): void {
  const { box, theme, narrow, decimals, map } = scene;
  const x = atX(scene, pain.price);
  if (x < box.left || x > box.left + box.width) return;
  dashed(pen, x, box.top - 4, box.top + box.height, theme[pain.side], [2, 3]);
  const distance = formatPercent(pain.price / map.lastPrice - 1);
  const text = narrow
    ? `max pain ${formatPrice(pain.price, Math.min(decimals, 0))}`
    : `Max pain ${pain.side}s ${formatPrice(pain.price, decimals)}  ${distance}`;
  const align = pain.side === 'long' ? 'right' : 'left';
  plate(pen, scene, text, x, box.top - 22, { fill: theme.background, ink: theme[pain.side], align });
}

function paintPrice(pen: Pen, scene: Scene): void {
  const { box, theme, map, decimals } = scene;
  const x = atX(scene, map.lastPrice);
  if (x < box.left || x > box.left + box.width) return;
  dashed(pen, x, 20, box.top + box.height, theme.text, [5, 3]);
  const text = `Price ${formatPrice(map.lastPrice, decimals)}`;
  plate(pen, scene, text, x, 3, { fill: theme.text, ink: theme.background, weight: 650 });
}

function paintScales(pen: Pen, scene: Scene): void {
  const { box, theme, narrow } = scene;
  const rows = rowsOf(scene);
  pen.font = `11px ${theme.font}`;
  pen.textBaseline = 'middle';
  const write = (text: string, y: number, side: 'left' | 'right'): void => {
    const edge = side === 'left' ? box.left : box.left + box.width;
    const out = (side === 'left') === narrow ? 6 : -6;
    pen.textAlign = out > 0 ? 'left' : 'right';
    const x = edge + out;
    pen.lineWidth = 3;
    pen.strokeStyle = theme.background;
    if (narrow) pen.strokeText(text, x, y);
    pen.fillStyle = theme.muted;
    pen.fillText(text, x, y);
  };
  for (const usd of niceTicks(0, scene.barTop / BAR_SHARE, rows)) {
    const y = barY(scene, usd);
    if (usd > 0 && y > box.top + 8) write(roundUsd(usd), y, 'left');
  }
  for (const usd of niceTicks(0, scene.curveTop / CURVE_SHARE, rows)) {
    const y = curveY(scene, usd);
    if (usd > 0 && y > box.top + 8) write(roundUsd(usd), y, 'right');
  }
}

/** What follows the pointer; `kept` is a price chosen before. */
export function paintCursor(pen: Pen, scene: Scene, reading: Reading, strong: boolean): void {
  const { box, theme, decimals, map } = scene;
  const bottom = box.top + box.height;
  const x = atX(scene, reading.price);
  if (x < box.left || x > box.left + box.width) return;
  const now = Math.max(box.left, Math.min(box.left + box.width, atX(scene, map.lastPrice)));
  pen.globalAlpha = 0.09;
  pen.fillStyle = theme[reading.side];
  pen.fillRect(Math.min(x, now), box.top, Math.abs(now - x), box.height);
  pen.globalAlpha = 1;
  dashed(pen, x, box.top, bottom, theme.text, strong ? [] : [4, 3]);
  const y = curveY(scene, reading.cumulative);
  pen.strokeStyle = theme[reading.side];
  pen.setLineDash([2, 3]);
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(box.left + box.width, y);
  pen.stroke();
  pen.setLineDash([]);
  pen.beginPath();
  pen.arc(x, y, 4.5, 0, 2 * Math.PI);
  pen.fillStyle = theme[reading.side];
  pen.fill();
  pen.strokeStyle = theme.background;
  pen.lineWidth = 2;
  pen.stroke();
  const look = { fill: theme[reading.side], ink: theme.background };
  plate(pen, scene, formatPrice(reading.price, decimals), x, bottom + 3, look);
}

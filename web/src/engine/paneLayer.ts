/**
 * How one sub-pane is drawn: a line, a stepped area, bars, or bars up and down.
 *
 * Drawn from our own columns rather than by the chart library's series, because those join a
 * line across a hole as if it had been measured. Here a hole is a hole, and hatched like a step
 * without data in the heat. Where several columns share a pixel the line keeps its least and
 * greatest value and bars keep the greatest, so no spike is lost by zooming out.
 */

import type { HeatView } from './heat';
import { Layer, hatching, type Scope } from './layer';
import type { HeatMatrix } from './matrix';
import type { ChartTheme } from './theme';

export type Shape = 'line' | 'step' | 'bars' | 'mirror';

/** Values by column of the matrix; NaN where unknown. */
export interface PaneColumns {
  readonly main: Float64Array;
  /** `mirror`: what is drawn downwards, as positive numbers. */
  readonly down?: Float64Array;
  /** `line`: a number by column; where it changes the line is broken. */
  readonly of?: Float64Array;
}

export interface PaneColors {
  readonly line: string;
  /** Above and below zero, or rising and falling candles. */
  readonly up: string;
  readonly down: string;
  readonly guide: string;
  /** Steps about which nothing is known. */
  readonly hatch: ChartTheme['hatch'];
}

/** What a pane looks like apart from its values. */
export interface PaneLook {
  readonly shape: Shape;
  readonly colors: PaneColors;
  /** Values with a dashed line across the pane. */
  readonly guides: readonly number[];
}

/** Whole columns which are drawn as one, and the ones in sight: [first, end) are groups. */
interface Groups {
  readonly size: number;
  readonly first: number;
  readonly end: number;
}

interface Brush {
  readonly context: CanvasRenderingContext2D;
  readonly view: HeatView;
  readonly ratio: number;
  readonly groups: Groups;
  /** Device pixels from the top of a value. */
  readonly y: (value: number) => number;
}

/** Columns are grouped from column 0 on, so that panning moves the picture and not its shape. */
export function groupsIn(view: Pick<HeatView, 'originX' | 'columnWidth' | 'width'>, width: number): Groups {
  const size = Math.max(1, Math.ceil(1 / view.columnWidth));
  const from = Math.max(0, Math.floor(-view.originX / view.columnWidth));
  const to = Math.min(width, Math.ceil((view.width - view.originX) / view.columnWidth));
  // One more on each side: a line enters and leaves the pane.
  return {
    size,
    first: Math.max(0, Math.floor(from / size) - 1),
    end: Math.min(Math.ceil(width / size), Math.ceil(Math.max(to, 0) / size) + 1),
  };
}

/** The known value farthest from zero in columns [from, to); NaN when none is known. */
export function farthest(column: Float64Array, from: number, to: number): number {
  let out = NaN;
  for (let t = from; t < to && t < column.length; t++) {
    if (!(Math.abs(column[t]) <= Math.abs(out))) out = Number.isNaN(column[t]) ? out : column[t];
  }
  return out;
}

export class PaneLayer extends Layer {
  private matrix: HeatMatrix | null = null;
  private columns: PaneColumns | null = null;
  private hatch: CanvasPattern | null = null;

  constructor(
    private look: PaneLook,
    private readonly onPaint: () => void,
  ) {
    super('normal');
  }

  setLook(look: PaneLook): void {
    this.look = look;
    this.hatch = null;
    this.requestUpdate();
  }

  setMatrix(matrix: HeatMatrix | null): void {
    this.matrix = matrix;
  }

  setColumns(columns: PaneColumns | null): void {
    this.columns = columns;
  }

  protected override paint(scope: Scope): void {
    this.onPaint();
    const { matrix, columns, look } = this;
    const view = this.view(scope);
    if (!view || !matrix || !columns || !(view.columnWidth > 0)) return;
    const { context, horizontalPixelRatio: ratio } = scope;
    const perUsd = view.height / (view.priceTop - view.priceBottom);
    const brush: Brush = {
      ...{ context, view, ratio },
      groups: groupsIn(view, columns.main.length),
      y: (value) => (view.priceTop - value) * perUsd,
    };
    this.drawUnknown(brush, columns);
    drawGuides(brush, look);
    if (look.shape === 'line') drawLine(brush, columns, look.colors.line);
    else if (look.shape === 'step') drawSteps(brush, columns.main, look.colors);
    else if (look.shape === 'bars') drawVolume(brush, columns.main, matrix, look.colors);
    else drawMirror(brush, columns, look.colors);
  }

  /** The newest column is still being written: what is not known of it yet is no hole. */
  private drawUnknown({ context, view, groups }: Brush, { main, down }: PaneColumns): void {
    const unknown = (t: number): boolean => Number.isNaN(main[t]) || (!!down && Number.isNaN(down[t]));
    const end = Math.min(main.length - 1, groups.end * groups.size);
    for (let t = groups.first * groups.size; t < end; t++) {
      if (!unknown(t)) continue;
      const from = t;
      while (t + 1 < end && unknown(t + 1)) t++;
      context.fillStyle = this.hatch ??= hatching(context, this.look.colors.hatch);
      context.fillRect(view.originX + from * view.columnWidth, 0, (t + 1 - from) * view.columnWidth, view.height);
    }
  }
}

function drawGuides({ context, view, ratio, y }: Brush, { guides, colors }: PaneLook): void {
  context.strokeStyle = colors.guide;
  context.lineWidth = Math.max(1, Math.floor(ratio));
  context.setLineDash([4 * ratio, 3 * ratio]);
  for (const value of guides) {
    const at = Math.round(y(value)) + (context.lineWidth % 2) / 2;
    if (at < 0 || at > view.height) continue;
    context.beginPath();
    context.moveTo(0, at);
    context.lineTo(view.width, at);
    context.stroke();
  }
  context.setLineDash([]);
}

/** Add a group's values to the path at x: in, least, greatest, out; false when none is known. */
function tracePoint({ context, y, groups }: Brush, column: Float64Array, group: number, x: number, joined: boolean): boolean {
  let first = NaN;
  let last = NaN;
  let low = Infinity;
  let high = -Infinity;
  const end = Math.min(column.length, (group + 1) * groups.size);
  for (let t = group * groups.size; t < end; t++) {
    const value = column[t];
    if (Number.isNaN(value)) continue;
    if (Number.isNaN(first)) first = value;
    last = value;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (Number.isNaN(first)) return false;
  if (joined) context.lineTo(x, y(first));
  else context.moveTo(x - 0.5, y(first)); // a lone value is a dot
  if (low < high) {
    context.lineTo(x, y(low));
    context.lineTo(x, y(high));
  }
  context.lineTo(x, y(last));
  return true;
}

/** Whether the line goes on into a group: what it adds up is what was added up before. */
function goesOn(of: Float64Array | undefined, { size }: Groups, group: number): boolean {
  if (!of) return true;
  const from = Math.max(1, group * size);
  for (let t = from; t < Math.min(of.length, from + size); t++) if (of[t] !== of[t - 1]) return false;
  return true;
}

function drawLine(brush: Brush, { main, of }: PaneColumns, color: string): void {
  const { context, view, ratio, groups } = brush;
  const width = view.columnWidth * groups.size;
  context.beginPath();
  let joined = false;
  for (let g = groups.first; g < groups.end; g++) {
    const on = joined && goesOn(of, groups, g);
    joined = tracePoint(brush, main, g, view.originX + (g + 0.5) * width, on);
  }
  context.lineWidth = 1.5 * ratio;
  context.lineJoin = 'round';
  context.lineCap = 'round';
  context.strokeStyle = color;
  context.stroke();
  context.lineCap = 'butt';
}

/** Left and right of a group, on whole pixels; neighbors share no pixel. */
function sides({ view, groups }: Brush, group: number, gap: number): readonly [number, number] {
  const width = view.columnWidth * groups.size;
  const left = Math.round(view.originX + group * width);
  const right = Math.round(view.originX + (group + 1) * width) - gap;
  return [left, Math.max(left + 1, right)];
}

/** An area against zero, flat over each step; color says the sign. */
function drawSteps(brush: Brush, column: Float64Array, colors: PaneColors): void {
  const { context, ratio, groups, y } = brush;
  const zero = Math.round(y(0));
  const line = Math.max(1, Math.round(1.5 * ratio));
  for (const [color, sign] of [[colors.up, 1], [colors.down, -1]] as const) {
    const area = new Path2D();
    const edge = new Path2D();
    for (let g = groups.first; g < groups.end; g++) {
      const value = farthest(column, g * groups.size, (g + 1) * groups.size);
      if (!(value * sign > 0) && !(value === 0 && sign > 0)) continue;
      const [left, right] = sides(brush, g, 0);
      const at = Math.round(y(value));
      area.rect(left, Math.min(zero, at), right - left, Math.abs(at - zero));
      edge.rect(left, at - (sign > 0 ? 0 : line), right - left, line);
    }
    context.fillStyle = color;
    context.globalAlpha = 0.28;
    context.fill(area);
    context.globalAlpha = 1;
    context.fill(edge);
  }
}

/** Bars from zero upwards or downwards, at least a pixel high where the value is not 0. */
function bars(brush: Brush, column: Float64Array, down: boolean, only: (group: number) => boolean): Path2D {
  const { view, ratio, groups, y } = brush;
  const path = new Path2D();
  const zero = Math.round(y(0));
  const gap = view.columnWidth * groups.size >= 4 * ratio ? Math.round(ratio) : 0;
  for (let g = groups.first; g < groups.end; g++) {
    const value = farthest(column, g * groups.size, (g + 1) * groups.size);
    if (!(value > 0) || !only(g)) continue;
    const [left, right] = sides(brush, g, gap);
    const height = Math.max(1, Math.abs(Math.round(y(down ? -value : value)) - zero));
    path.rect(left, down ? zero : zero - height, right - left, height);
  }
  return path;
}

function drawVolume(brush: Brush, column: Float64Array, { candles }: HeatMatrix, colors: PaneColors): void {
  const { context, groups } = brush;
  const rising = (g: number): boolean => {
    const t = g * groups.size;
    return candles.close[Math.min(t + groups.size, column.length) - 1] >= candles.open[t];
  };
  context.globalAlpha = 0.62;
  context.fillStyle = colors.up;
  context.fill(bars(brush, column, false, rising));
  context.fillStyle = colors.down;
  context.fill(bars(brush, column, false, (g) => !rising(g)));
  context.globalAlpha = 1;
}

/** Shorts' liquidations up, longs' down: the way the price went. */
function drawMirror(brush: Brush, { main, down }: PaneColumns, colors: PaneColors): void {
  const { context, view, y } = brush;
  context.fillStyle = colors.guide;
  context.fillRect(0, Math.round(y(0)), view.width, 1);
  context.fillStyle = colors.up;
  context.fill(bars(brush, main, false, () => true));
  if (!down) return;
  context.fillStyle = colors.down;
  context.fill(bars(brush, down, true, () => true));
}

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
  /** Whether a column without a value is one which nobody recorded. */
  readonly recorded: boolean;
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
    if (look.recorded) this.drawUnknown(brush, columns);
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

/** First, last, least and greatest known value of a group. */
interface Span {
  first: number;
  last: number;
  low: number;
  high: number;
}

/** Read a group into `span`; false when none of it is known. */
function readSpan(span: Span, column: Float64Array, from: number, to: number): boolean {
  span.first = NaN;
  span.low = Infinity;
  span.high = -Infinity;
  for (let t = from; t < to && t < column.length; t++) {
    const value = column[t];
    if (Number.isNaN(value)) continue;
    if (Number.isNaN(span.first)) span.first = value;
    span.last = value;
    if (value < span.low) span.low = value;
    if (value > span.high) span.high = value;
  }
  return span.low <= span.high;
}

/** Whether the line goes on into a group: what it adds up is what was added up before. */
function goesOn(of: Float64Array | undefined, { size }: Groups, group: number): boolean {
  if (!of) return true;
  const from = Math.max(1, group * size);
  for (let t = from; t < Math.min(of.length, from + size); t++) if (of[t] !== of[t - 1]) return false;
  return true;
}

function drawLine(brush: Brush, columns: PaneColumns, color: string): void {
  const { context, ratio, groups } = brush;
  if (groups.size > 1) {
    context.fillStyle = color;
    drawDense(brush, columns);
    return;
  }
  context.beginPath();
  tracePath(brush, columns);
  context.lineWidth = 1.5 * ratio;
  context.lineJoin = 'bevel'; // round joins cost twice as much, and nobody sees them
  context.strokeStyle = color;
  context.stroke();
}

function tracePath({ context, view, groups, y }: Brush, { main, of }: PaneColumns): void {
  // A column a group: they are wider than a pixel here.
  let joined = false;
  for (let t = groups.first; t < groups.end; t++) {
    const value = main[t];
    const known = !Number.isNaN(value);
    const x = view.originX + (t + 0.5) * view.columnWidth;
    if (known && joined && goesOn(of, groups, t)) context.lineTo(x, y(value));
    else if (known) {
      context.moveTo(x - 0.5, y(value)); // a lone value is a dot
      context.lineTo(x, y(value));
    }
    joined = known;
  }
}

/**
 * The line as upright strokes, one a group, each from where the one before ended. Thousands of
 * points on a thousand pixels are ten times dearer as a path, and look the same.
 */
function drawDense(brush: Brush, { main, of }: PaneColumns): void {
  const { context, ratio, groups, y } = brush;
  const thick = Math.max(1, Math.floor(1.25 * ratio));
  const span: Span = { first: NaN, last: NaN, low: NaN, high: NaN };
  let before = NaN;
  for (let g = groups.first; g < groups.end; g++) {
    if (!readSpan(span, main, g * groups.size, (g + 1) * groups.size)) {
      before = NaN;
      continue;
    }
    const joined = !Number.isNaN(before) && goesOn(of, groups, g);
    const top = y(joined ? Math.max(span.high, before) : span.high);
    const bottom = y(joined ? Math.min(span.low, before) : span.low);
    const [left, right] = sides(brush, g, 0);
    const from = Math.round(top - thick / 2);
    context.fillRect(left, from, right - left, Math.max(thick, Math.round(bottom + thick / 2) - from));
    before = span.last;
  }
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
  const valueOf = (g: number): number => farthest(column, g * groups.size, (g + 1) * groups.size);
  for (let g = groups.first; g < groups.end; g++) {
    const value = valueOf(g);
    if (Number.isNaN(value)) continue;
    const from = g;
    // A rate holds for hours: one rectangle for as long as it does.
    while (g + 1 < groups.end && valueOf(g + 1) === value) g++;
    const left = sides(brush, from, 0)[0];
    const width = sides(brush, g, 0)[1] - left;
    const at = Math.round(y(value));
    context.fillStyle = value < 0 ? colors.down : colors.up;
    context.globalAlpha = 0.28;
    context.fillRect(left, Math.min(zero, at), width, Math.abs(at - zero));
    context.globalAlpha = 1;
    context.fillRect(left, at - (value < 0 ? line : 0), width, line);
  }
}

/** Bars from zero upwards or downwards, at least a pixel high where the value is not 0. */
function drawBars(brush: Brush, column: Float64Array, down: boolean, only?: (group: number) => boolean): void {
  const { context, view, ratio, groups, y } = brush;
  const zero = Math.round(y(0));
  const gap = view.columnWidth * groups.size >= 4 * ratio ? Math.round(ratio) : 0;
  for (let g = groups.first; g < groups.end; g++) {
    const value = farthest(column, g * groups.size, (g + 1) * groups.size);
    if (!(value > 0) || (only && !only(g))) continue;
    const [left, right] = sides(brush, g, gap);
    const height = Math.max(1, Math.abs(Math.round(y(down ? -value : value)) - zero));
    context.fillRect(left, down ? zero : zero - height, right - left, height);
  }
}

function drawVolume(brush: Brush, column: Float64Array, { candles }: HeatMatrix, colors: PaneColors): void {
  const { context, groups } = brush;
  const rising = (g: number): boolean => {
    const t = g * groups.size;
    return candles.close[Math.min(t + groups.size, column.length) - 1] >= candles.open[t];
  };
  context.globalAlpha = 0.62;
  context.fillStyle = colors.up;
  drawBars(brush, column, false, rising);
  context.fillStyle = colors.down;
  drawBars(brush, column, false, (g) => !rising(g));
  context.globalAlpha = 1;
}

/** Shorts' liquidations up, longs' down: the way the price went. */
function drawMirror(brush: Brush, { main, down }: PaneColumns, colors: PaneColors): void {
  const { context, view, y } = brush;
  context.fillStyle = colors.guide;
  context.fillRect(0, Math.round(y(0)), view.width, 1);
  context.fillStyle = colors.up;
  drawBars(brush, main, false);
  if (!down) return;
  context.fillStyle = colors.down;
  drawBars(brush, down, true);
}

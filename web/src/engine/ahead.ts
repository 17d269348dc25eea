/**
 * What lies beyond the moment shown in time travel: a line at the moment, and a hatched place
 * for each column which is not known yet. When somebody asks to see what followed, its candles
 * stand there on the map of the moment, held still: was it right?
 *
 * The chart's candles end at the moment. A second series holds the times after it, so that the
 * time axis goes on, and the candles which followed while they are revealed.
 */

import {
  CandlestickSeries,
  type CandlestickData,
  type IChartApi,
  type ISeriesApi,
  type SeriesAttachedParameter,
  type Time,
  type WhitespaceData,
} from 'lightweight-charts';

import { barOf, candleColors } from './candles';
import type { HeatView } from './heat';
import { Layer, hatching, type Scope } from './layer';
import type { HeatMatrix } from './matrix';
import { FONT, type ChartTheme } from './theme';

/** Width of what is not known from which it is named [CSS px]. */
const NAMED_FROM = 110;
/** The map held still is fainter than the map. */
const HELD_ALPHA = 0.5;

export interface AheadLook {
  readonly theme: () => ChartTheme;
  /** Color of every code, RGBA as the canvas has it in memory. */
  readonly lut: () => Uint32Array;
}

/** Runs of bins of one color in a column, each as [first bin, end bin, color]. */
export function runsOf(codes: Uint8Array, lut: Uint32Array): [number, number, number][] {
  const runs: [number, number, number][] = [];
  for (let p = 0, from = 0; p < codes.length; p++) {
    const color = lut[codes[p]];
    if (p + 1 < codes.length && lut[codes[p + 1]] === color) continue;
    if (color >>> 24 !== 0) runs.push([from, p + 1, color]);
    from = p + 1;
  }
  return runs;
}

function css(color: number): string {
  const alpha = ((color >>> 24) / 255) * HELD_ALPHA;
  return `rgba(${color & 255}, ${(color >>> 8) & 255}, ${(color >>> 16) & 255}, ${alpha})`;
}

export class AheadLayer extends Layer {
  private matrix: HeatMatrix | null = null;
  private followed: HeatMatrix | null = null;
  private axis: ISeriesApi<'Candlestick'> | null = null;
  private chart: IChartApi | null = null;
  private pattern: { readonly line: string; readonly made: CanvasPattern } | null = null;

  constructor(private readonly look: AheadLook) {
    super('bottom');
  }

  override attached(param: SeriesAttachedParameter<Time>): void {
    super.attached(param);
    this.chart = param.chart as IChartApi;
    this.axis = this.chart.addSeries(CandlestickSeries, { lastValueVisible: false, priceLineVisible: false });
    this.fill();
  }

  override detached(): void {
    super.detached();
    if (this.axis) this.chart?.removeSeries(this.axis);
    this.axis = this.chart = null;
  }

  setMatrix(matrix: HeatMatrix | null): void {
    this.matrix = matrix;
    this.followed = null;
    this.fill();
  }

  /** Show what followed in this window; null hides it. */
  reveal(followed: HeatMatrix | null): void {
    if (followed === this.followed) return;
    this.followed = followed;
    this.fill();
    this.requestUpdate();
  }

  private fill(): void {
    const { axis, matrix, followed } = this;
    if (!axis) return;
    const end = matrix?.ahead ? matrix.width + matrix.ahead : 0;
    const bars: (CandlestickData | WhitespaceData)[] = [];
    for (let t = 0; matrix && t < end; t++) {
      const { time } = barOf(matrix, t);
      bars.push(followed && t >= matrix.width ? barOf(followed, t) : { time });
    }
    axis.applyOptions(candleColors(this.look.theme()));
    axis.setData(bars);
  }

  protected override paint(scope: Scope): void {
    const view = this.view(scope);
    const { matrix } = this;
    if (!view || !matrix || matrix.ahead === 0) return;
    const left = Math.round(view.originX + matrix.width * view.columnWidth);
    const right = Math.min(view.width, view.originX + (matrix.width + matrix.ahead) * view.columnWidth);
    if (right <= 0 || left >= view.width) return;
    const { context } = scope;
    const from = Math.max(0, left);
    if (this.followed) this.holdStill(context, view, matrix, [from, right]);
    else {
      context.fillStyle = this.hatch(context);
      context.fillRect(from, 0, right - from, view.height);
    }
    context.fillStyle = this.look.theme().asOf;
    context.fillRect(left, 0, Math.max(1, Math.round(1.5 * view.ratioX)), view.height);
    if (right - left < NAMED_FROM * view.ratioX) return;
    context.font = `${11 * view.ratioX}px ${FONT}`;
    context.textBaseline = 'alphabetic';
    context.textAlign = 'left';
    const words = this.followed ? 'what followed, on the map of then' : 'not yet known';
    context.fillText(words, left + 10 * view.ratioX, view.height - 12 * view.ratioY);
  }

  /** The last column, as far as the window goes. */
  private holdStill(
    context: CanvasRenderingContext2D,
    view: HeatView,
    matrix: HeatMatrix,
    [from, to]: readonly [number, number],
  ): void {
    for (const [first, end, color] of runsOf(matrix.column(matrix.width - 1), this.look.lut())) {
      const top = Math.round(view.yOf(matrix.edge(end)));
      const height = Math.round(view.yOf(matrix.edge(first))) - top;
      context.fillStyle = css(color);
      context.fillRect(from, top, to - from, height);
    }
  }

  private hatch(context: CanvasRenderingContext2D): CanvasPattern {
    const { hatch } = this.look.theme();
    if (this.pattern?.line !== hatch.line) this.pattern = { line: hatch.line, made: hatching(context, hatch) };
    return this.pattern.made;
  }
}

/**
 * What every layer on the chart is made of: a primitive hung on the candle series.
 *
 * Each measures the pane while it paints, from the scope it is handed: sizes asked for
 * before layout are wrong by a few pixels and the picture would sit beside the axis.
 */

import type {
  IChartApi,
  IPrimitivePaneRenderer,
  IPrimitivePaneView,
  ISeriesApi,
  ISeriesPrimitive,
  Logical,
  PrimitivePaneViewZOrder,
  SeriesAttachedParameter,
  Time,
} from 'lightweight-charts';

import type { HeatView } from './heat';
import type { ChartTheme } from './theme';

type Target = Parameters<IPrimitivePaneRenderer['draw']>[0];

/** What a layer needs of the chart to place itself. */
interface Attached {
  readonly chart: IChartApi;
  readonly series: ISeriesApi<'Candlestick'>;
  readonly requestUpdate: () => void;
}

export interface Scope {
  readonly context: CanvasRenderingContext2D;
  readonly bitmapSize: { readonly width: number; readonly height: number };
  readonly horizontalPixelRatio: number;
  readonly verticalPixelRatio: number;
}

export abstract class Layer implements ISeriesPrimitive<Time> {
  protected attachedTo: Attached | null = null;
  private readonly views: readonly IPrimitivePaneView[];

  constructor(order: PrimitivePaneViewZOrder) {
    const renderer: IPrimitivePaneRenderer = {
      draw: (target: Target) => {
        target.useBitmapCoordinateSpace((scope) => this.paint(scope as Scope));
      },
    };
    this.views = [{ zOrder: () => order, renderer: () => renderer }];
  }

  attached(param: SeriesAttachedParameter<Time>): void {
    this.attachedTo = {
      chart: param.chart as IChartApi,
      series: param.series as ISeriesApi<'Candlestick'>,
      requestUpdate: param.requestUpdate,
    };
  }

  detached(): void {
    this.attachedTo = null;
  }

  paneViews(): readonly IPrimitivePaneView[] {
    return this.views;
  }

  requestUpdate(): void {
    this.attachedTo?.requestUpdate();
  }

  protected abstract paint(scope: Scope): void;

  /** The pane in device pixels; null before there are data to define the axes. */
  protected view({ bitmapSize, horizontalPixelRatio, verticalPixelRatio }: Scope): HeatView | null {
    if (!this.attachedTo) return null;
    const { chart, series } = this.attachedTo;
    const scale = chart.timeScale();
    const x0 = scale.logicalToCoordinate(0 as Logical);
    const x1 = scale.logicalToCoordinate(1 as Logical);
    const top = series.coordinateToPrice(0);
    const bottom = series.coordinateToPrice(bitmapSize.height / verticalPixelRatio);
    if (x0 === null || x1 === null || top === null || bottom === null) return null;
    return {
      width: bitmapSize.width,
      height: bitmapSize.height,
      // The bar's center is at x0: its column begins half a bar before.
      originX: (x0 - (x1 - x0) / 2) * horizontalPixelRatio,
      columnWidth: (x1 - x0) * horizontalPixelRatio,
      yOf: (price) => (series.priceToCoordinate(price) ?? 0) * verticalPixelRatio,
      priceTop: top,
      priceBottom: bottom,
      ratioX: horizontalPixelRatio,
      ratioY: verticalPixelRatio,
    };
  }
}

/** The pattern of steps about which nothing is known. */
export function hatching(context: CanvasRenderingContext2D, { fill, line }: ChartTheme['hatch']): CanvasPattern {
  const size = 8;
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = size;
  const c = canvas.getContext('2d')!;
  c.fillStyle = fill;
  c.fillRect(0, 0, size, size);
  c.strokeStyle = line;
  c.beginPath();
  for (const shift of [-size, 0, size]) {
    c.moveTo(shift, size);
    c.lineTo(shift + size, 0);
  }
  c.stroke();
  return context.createPattern(canvas, 'repeat')!;
}

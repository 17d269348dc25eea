/**
 * The candles of a matrix in the chart library: bar i of the chart is column i, always.
 *
 * A step without data is a whitespace bar.
 */

import {
  CandlestickSeries,
  LineStyle,
  MismatchDirection,
  type CandlestickData,
  type CandlestickSeriesPartialOptions,
  type IChartApi,
  type ISeriesApi,
  type UTCTimestamp,
  type WhitespaceData,
} from 'lightweight-charts';

import type { HeatMatrix } from './matrix';
import type { Moved } from './replay';
import type { ChartTheme } from './theme';

/** Of a candle too narrow for a body the border is drawn: it carries the color. */
export function candleColors({ candles, priceLine }: ChartTheme): CandlestickSeriesPartialOptions {
  const { up, down, upBody } = candles;
  return {
    upColor: upBody,
    downColor: down,
    wickUpColor: up,
    wickDownColor: down,
    borderVisible: upBody !== up,
    borderUpColor: up,
    borderDownColor: down,
    priceLineColor: priceLine,
  };
}

export function barTime(matrix: HeatMatrix, column: number): UTCTimestamp {
  return (matrix.timeMs(column) / 1000) as UTCTimestamp;
}

/** The candle of a column; its time alone where the step has no data. */
export function barOf(matrix: HeatMatrix, t: number): CandlestickData | WhitespaceData {
  const time = barTime(matrix, t);
  if (matrix.isGap(t)) return { time };
  const c = matrix.candles;
  return { time, open: c.open[t], high: c.high[t], low: c.low[t], close: c.close[t] };
}

export class CandleBars {
  readonly series: ISeriesApi<'Candlestick'>;

  constructor(chart: IChartApi, options: CandlestickSeriesPartialOptions) {
    this.series = chart.addSeries(CandlestickSeries, {
      priceLineStyle: LineStyle.Dotted,
      ...options,
    });
  }

  set(matrix: HeatMatrix | null): void {
    const bars: (CandlestickData | WhitespaceData)[] = [];
    for (let t = 0; matrix && t < matrix.width; t++) bars.push(barOf(matrix, t));
    this.series.setData(bars);
  }

  /** Column t was appended or rewritten. */
  update(matrix: HeatMatrix, t: number): void {
    // The library refuses to change an older candle while several are drawn as one.
    if (t < matrix.width - 1) this.set(matrix);
    else this.series.update(barOf(matrix, t));
  }

  /** Columns at the end came or went. */
  move(matrix: HeatMatrix, { first, last }: Moved): void {
    if (last < matrix.width) for (let t = first; t <= last; t++) this.series.update(barOf(matrix, t));
    else this.drop(barTime(matrix, first));
  }

  private drop(from: UTCTimestamp): void {
    for (;;) {
      const newest = this.series.dataByIndex(Number.MAX_SAFE_INTEGER, MismatchDirection.NearestLeft);
      if (!newest || (newest.time as number) < from) return;
      this.series.pop(1);
    }
  }
}

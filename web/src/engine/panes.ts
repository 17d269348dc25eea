/**
 * The sub-panes under the heat: which there are, how high, and what lies in each.
 *
 * Each pane is one of the chart library's panes with a price scale of its own and our layer
 * (`paneLayer.ts`) in it. To have a scale, a pane must have a series with a value: each gets one
 * which draws nothing and holds only the newest known value, which the axis then labels. All
 * other values stay in our columns, so a live column costs an update and never a `setData`.
 *
 * Invariant: the times the library holds are those of the candles and no others, else logical
 * index i would not be column i. So `setMatrix(null)` comes before other candles do.
 */

import type {
  AutoscaleInfo,
  CustomSeriesOptions,
  CustomSeriesWhitespaceData,
  IChartApi,
  ICustomSeriesPaneView,
  ISeriesApi,
  MouseEventParams,
  Time,
  UTCTimestamp,
} from 'lightweight-charts';

import { extent, lastKnown } from './indicators';
import type { HeatMatrix } from './matrix';
import { HEAT_SHARE, SPECS, paneColors, type PaneHost, type PaneKind } from './paneKinds';
import { PaneLayer, type PaneColumns } from './paneLayer';
import type { ChartTheme } from './theme';

/** Where a pane lies in the chart's box [CSS px]. */
export interface PanePlace {
  readonly kind: PaneKind;
  readonly top: number;
  readonly height: number;
}

/** The crosshair in time: over the heat pane is 0, over the first sub-pane 1. */
export interface Hover {
  readonly column: number;
  readonly pane: number;
  readonly x: number;
}

export interface PaneEvents {
  /** The matrix has other columns (`all`), or another newest one: values are wanted. */
  readonly onColumns: (all: boolean) => void;
  readonly onHover: (hover: Hover | null) => void;
  readonly onPlaces: (places: readonly PanePlace[]) => void;
  /** The person dragged a separator: heights as shares of the chart's. */
  readonly onResized: (shares: Shares) => void;
}

export type Shares = Readonly<Partial<Record<PaneKind, number>>>;

/** What a pane gets while there is room [CSS px]. */
const USUAL_HEIGHT = 96;
/** Room for the legend's line above the values, and below them [CSS px]. */
const MARGINS = { above: 20, below: 3 } as const;
const SCALE = { ensureEdgeTickMarksVisible: false, entireTextOnly: true, scaleMargins: { top: 0, bottom: 0 } } as const;
/** A share which moved by less was rounded, not dragged. */
const DRAGGED = 0.006;

/** Heights of the panes as shares of the chart's; remembered ones as far as the heat allows. */
export function sharesOf(kinds: readonly PaneKind[], remembered: Shares, height: number): number[] {
  const usual = USUAL_HEIGHT / Math.max(height, 1);
  const asked = kinds.map((kind) => remembered[kind] ?? usual);
  const sum = asked.reduce((a, b) => a + b, 0);
  const shrink = Math.min(1, (1 - HEAT_SHARE) / sum);
  return asked.map((share) => share * shrink);
}

interface Pane {
  readonly kind: PaneKind;
  readonly layer: PaneLayer;
  readonly series: ISeriesApi<'Custom'>;
  columns: PaneColumns | null;
  /** Times of the oldest and newest value which the series holds [ms]; null while it holds none. */
  held: { readonly from: number; readonly to: number } | null;
}

export class PaneStack implements PaneHost {
  private panes: Pane[] = [];
  private matrix: HeatMatrix | null = null;
  /** Columns so far, dropped ones too. */
  private end = 0;
  private heights: readonly number[] = [];
  private measuring = 0;
  private readonly rows = new ResizeObserver(() => this.tellPlaces());
  private shares: readonly number[] = [];
  private readonly onCrosshair = (event: MouseEventParams): void => this.hover(event);

  constructor(
    private readonly chart: IChartApi,
    private theme: ChartTheme,
    private readonly events: PaneEvents,
  ) {
    chart.subscribeCrosshairMove(this.onCrosshair);
  }

  /** Show these panes from top to bottom; new ones are empty until they get columns. */
  setKinds(kinds: readonly PaneKind[], remembered: Shares): void {
    // From the first which differs on all are made anew: the library moves painted panes only.
    const found = this.panes.findIndex((pane, i) => pane.kind !== kinds[i]);
    const same = found < 0 ? this.panes.length : found;
    for (const pane of this.panes.slice(same)) this.chart.removeSeries(pane.series);
    this.panes = this.panes.slice(0, same);
    for (const kind of kinds.slice(same)) this.panes.push(this.add(kind));
    // The box and not the panes in it: those may not have been laid out yet.
    const height = this.chart.chartElement().parentElement?.clientHeight ?? 0;
    this.setShares(sharesOf(kinds, remembered, height));
    this.heights = [];
    if (kinds.length === 0) this.events.onPlaces([]);
  }

  /** Other candles are on the chart, or (null) are about to be. */
  setMatrix(matrix: HeatMatrix | null): void {
    this.matrix = matrix;
    for (const pane of this.panes) {
      pane.layer.setMatrix(matrix);
      this.setColumnsOf(pane, null);
    }
    this.end = matrix ? matrix.dropped + matrix.width : 0;
    if (matrix) this.events.onColumns(true);
  }

  /** A column was rewritten or appended. */
  columnChanged(): void {
    if (!this.matrix) return;
    const end = this.matrix.dropped + this.matrix.width;
    this.events.onColumns(end !== this.end);
    this.end = end;
  }

  /** Values of a pane by column; null while they are unknown as a whole. */
  setColumns(kind: PaneKind, columns: PaneColumns | null): void {
    const pane = this.panes.find((one) => one.kind === kind);
    if (pane) this.setColumnsOf(pane, columns);
  }

  setTheme(theme: ChartTheme): void {
    this.theme = theme;
    for (const { kind, layer, series } of this.panes) {
      const colors = paneColors(kind, theme);
      layer.setLook({ ...SPECS[kind], colors });
      series.applyOptions({ color: colors.line });
    }
  }

  dispose(): void {
    this.chart.unsubscribeCrosshairMove(this.onCrosshair);
    window.cancelAnimationFrame(this.measuring);
    this.rows.disconnect();
    this.setKinds([], {});
  }

  private add(kind: PaneKind): Pane {
    const spec = SPECS[kind];
    const colors = paneColors(kind, this.theme);
    const layer = new PaneLayer({ ...spec, colors }, () => this.onPaint());
    const series = this.chart.addCustomSeries(
      HOLDER,
      {
        color: colors.line,
        lastValueVisible: spec.labeled,
        priceLineVisible: false,
        priceFormat: { type: 'custom', minMove: spec.minMove, formatter: spec.format },
        autoscaleInfoProvider: () => this.autoscale(kind),
      },
      this.chart.panes().length,
    );
    series.priceScale().applyOptions(SCALE);
    series.attachPrimitive(layer);
    layer.setMatrix(this.matrix);
    return { kind, layer, series, columns: null, held: null };
  }

  private setColumnsOf(pane: Pane, columns: PaneColumns | null): void {
    const { matrix } = this;
    pane.columns = columns;
    pane.layer.setColumns(columns);
    const at = columns ? lastKnown(columns.main) : -1;
    if (matrix && columns && at >= 0) hold(pane, matrix.timeMs(at), columns.main[at], matrix.startMs);
    else if (pane.held) {
      pane.series.setData([]);
      pane.held = null;
    }
    pane.layer.requestUpdate();
  }

  private autoscale(kind: PaneKind): AutoscaleInfo | null {
    const columns = this.panes.find((pane) => pane.kind === kind)?.columns;
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (!columns || !range) return null;
    const from = Math.floor(range.from);
    const to = Math.ceil(range.to) + 1;
    const up = extent(columns.main, from, to);
    const down = columns.down ? extent(columns.down, from, to) : null;
    const { holds, minMove } = SPECS[kind];
    const values = [...(up ?? []), ...(down ? [-down[1]] : []), ...(holds ?? [])];
    if (values.length === 0) return null;
    const low = Math.min(...values);
    const high = Math.max(...values);
    // A flat line lies in the middle.
    const spare = low === high ? Math.max(Math.abs(low) * 0.01, 5 * minMove) : 0;
    return { priceRange: { minValue: low - spare, maxValue: high + spare }, margins: MARGINS };
  }

  private setShares(shares: readonly number[]): void {
    this.shares = shares;
    const [heat, ...panes] = this.chart.panes();
    heat.setStretchFactor(1 - shares.reduce((a, b) => a + b, 0));
    panes.forEach((pane, i) => pane.setStretchFactor(shares[i]));
  }

  /** Panes are painted after the library laid them out: only then are their heights known. */
  private onPaint(): void {
    const heights = this.chart.panes().map((pane) => pane.getHeight());
    if (heights.length === this.heights.length && heights.every((h, i) => h === this.heights[i])) return;
    this.heights = heights;
    this.noteDrag();
    window.cancelAnimationFrame(this.measuring);
    this.measuring = window.requestAnimationFrame(() => this.watchRows());
  }

  /** The panes are rows of a table, which the browser stretches after the library: follow it. */
  private watchRows(): void {
    this.rows.disconnect();
    for (const pane of this.chart.panes()) {
      const cell = pane.getHTMLElement()?.children[1];
      if (cell) this.rows.observe(cell);
    }
    this.tellPlaces();
  }

  private tellPlaces(): void {
    const box = this.chart.chartElement().getBoundingClientRect().top;
    const places = this.panes.map(({ kind, series }, i) => {
      const row = series.getPane().getHTMLElement()?.getBoundingClientRect();
      return { kind, top: row ? row.top - box : 0, height: this.heights[i + 1] ?? 0 };
    });
    this.events.onPlaces(places);
  }

  /** Only a drag changes the shares: a window which grows keeps them. */
  private noteDrag(): void {
    const total = this.heights.reduce((a, b) => a + b, 0);
    const now = this.heights.slice(1).map((height) => height / total);
    if (!(total > 0) || now.every((share, i) => Math.abs(share - this.shares[i]) < DRAGGED)) return;
    this.shares = now;
    this.events.onResized(Object.fromEntries(this.panes.map(({ kind }, i) => [kind, now[i]])));
  }

  private hover({ logical, point, paneIndex }: MouseEventParams): void {
    const known = logical !== undefined && point !== undefined;
    this.events.onHover(known ? { column: Math.round(logical), pane: paneIndex ?? 0, x: point.x } : null);
  }
}

/** Give the series its value. Going on costs an update; a window which moved begins anew. */
function hold(pane: Pane, timeMs: number, value: number, startMs: number): void {
  const row = { time: (timeMs / 1000) as UTCTimestamp, value };
  if (pane.held && pane.held.from >= startMs && timeMs >= pane.held.to) {
    pane.series.update(row);
    pane.held = { from: pane.held.from, to: timeMs };
  } else {
    pane.series.setData([row]);
    pane.held = { from: timeMs, to: timeMs };
  }
}

interface Held {
  readonly time: Time;
  readonly value: number;
}

/** The series which gives a pane its scale; the layer draws. */
const HOLDER: ICustomSeriesPaneView<Time, Held> = {
  renderer: () => ({ draw: () => undefined }),
  update: () => undefined,
  priceValueBuilder: (row) => [row.value],
  isWhitespace: (row): row is CustomSeriesWhitespaceData<Time> => !('value' in row),
  defaultOptions: () => ({}) as CustomSeriesOptions,
};

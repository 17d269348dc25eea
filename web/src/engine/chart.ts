/**
 * The chart: candles and axes of lightweight-charts, our heat, profile and pin on top of it.
 *
 * Owns the view (zoom, scroll, price mode) and the cursor; is handed a matrix and told which
 * column changed. Logical index i of the chart is column i of the matrix, always: a step
 * without data is a whitespace bar. Knows nothing of the network, the URL or the panels.
 */

import {
  PriceScaleMode,
  createChart,
  type IChartApi,
  type ISeriesApi,
  type Logical,
  type MouseEventParams,
} from 'lightweight-charts';

import { formatPrice } from '../format';
import { priceDecimals, type Zone } from './axis';
import { Heat } from './backend';
import { CandleBars, barTime, candleColors } from './candles';
import { Frame } from './frame';
import type { HeatKind } from './heat';
import type { Layer } from './layer';
import { BubbleLayer, HeatLayer, PinLayer, ProfileLayer } from './layers';
import { type HeatMatrix, type Side } from './matrix';
import { chartOptions, colorOptions, timeOptions } from './options';
import type { PaneHost } from './paneKinds';
import type { MaxPain } from './maxpain';
import type { Profile } from './profile';
import type { Moved } from './replay';
import { FULL_ROOM, roomAround, withLevels, type Room, type Scaled } from './room';
import type { ProfileStyle } from './strip';
import type { Bubble, Tape } from './tape';
import { FONT, chartTheme, type ChartTheme } from './theme';

export { FONT };
export const PROFILE_WIDTH = 148;
/** Below this pane width the profile would cover what matters. */
const PROFILE_MIN_PANE = 600;

/** Columns at once from which all is drawn anew. */
const LEAP = 48;

/** Where the cursor is, in data and on the pane (CSS pixels). */
export interface Cursor {
  readonly column: number;
  readonly price: number;
  readonly x: number;
  readonly y: number;
}

export interface ChartEvents {
  readonly onCursor: (cursor: Cursor | null) => void;
  readonly onClick: (cursor: Cursor) => void;
  readonly onAtLive: (atLive: boolean) => void;
  /** The time in sight changed [ms]; only while there are columns. */
  readonly onTimeRange: (fromMs: number, toMs: number) => void;
  /** Where the profile's strip begins on the pane [CSS px]; null when there is none. */
  readonly onLayout: (profileLeft: number | null) => void;
  readonly onPaint: () => void;
}

/** A layer which is not always there. */
export interface GuestLayer extends Layer {
  setMatrix(matrix: HeatMatrix | null): void;
}

export class HeatChart {
  private readonly chart: IChartApi;
  private readonly candles: CandleBars;
  private readonly series: ISeriesApi<'Candlestick'>;
  private readonly frame: Frame;
  private readonly heat: Heat;
  private readonly heatLayer: HeatLayer;
  private readonly profileLayer: ProfileLayer;
  private readonly bubbleLayer: BubbleLayer;
  private readonly pinLayer: PinLayer;
  /** Layers which come and go. */
  private readonly guests = new Set<GuestLayer>();
  private matrix: HeatMatrix | null = null;
  private zone: Zone = 'utc';
  private decimals = 2;
  private profileWanted = true;
  private side: Side | null = null;
  private cursor: Cursor | null = null;
  private room: Room = FULL_ROOM;
  private panes: PaneHost | null = null;
  private theme: ChartTheme = chartTheme('dark', 'viridis');

  constructor(
    private readonly container: HTMLElement,
    private readonly events: ChartEvents,
    private readonly reducedMotion: boolean,
    tape: Tape,
    renderer: HeatKind | null = null,
  ) {
    this.chart = createChart(container, chartOptions(this.theme, this.zone, this.reducedMotion));
    this.frame = new Frame(this.chart.timeScale());
    this.heat = new Heat(container, () => this.heatLayer?.requestUpdate(), renderer);
    this.candles = new CandleBars(this.chart, {
      ...candleColors(this.theme),
      autoscaleInfoProvider: (original: () => Scaled) => withLevels(original(), this.matrix, this.room),
    });
    this.series = this.candles.series;
    const theme = (): ChartTheme => this.theme;
    this.heatLayer = new HeatLayer(this.heat, theme, events.onPaint);
    this.profileLayer = new ProfileLayer(() => this.profileStyle());
    this.series.attachPrimitive(this.heatLayer);
    this.bubbleLayer = new BubbleLayer(tape, theme);
    this.pinLayer = new PinLayer(theme);
    this.series.attachPrimitive(this.bubbleLayer);
    this.series.attachPrimitive(this.profileLayer);
    this.series.attachPrimitive(this.pinLayer);
    this.chart.subscribeCrosshairMove((event) => this.onCrosshair(event));
    this.chart.subscribeClick((event) => {
      const cursor = this.read(event);
      if (cursor) events.onClick(cursor);
    });
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      events.onAtLive(this.atLive());
      const { matrix } = this;
      if (range && matrix) events.onTimeRange(matrix.timeMs(range.from), matrix.timeMs(range.to));
    });
    this.chart.timeScale().subscribeSizeChange(() => this.layoutProfile());
  }

  /** Show another matrix; `fit` shows all of it, else the view stays where it is in time. */
  setMatrix(matrix: HeatMatrix | null, fit: boolean): void {
    const before = this.matrix;
    const range = this.chart.timeScale().getVisibleLogicalRange();
    const live = this.atLive();
    if (fit) this.frame.release();
    // Their times are of the old columns: gone before there are others.
    this.panes?.setMatrix(null);
    this.matrix = matrix;
    matrix?.showSide(this.side);
    const { heatLayer, bubbleLayer, profileLayer, pinLayer } = this;
    const layers = [heatLayer, bubbleLayer, profileLayer, pinLayer, ...this.guests];
    for (const layer of layers) layer.setMatrix(matrix);
    this.candles.set(this.matrix);
    this.panes?.setMatrix(matrix);
    this.layoutProfile();
    if (!matrix) return;
    const past = matrix.ahead > 0 || (before?.ahead ?? 0) > 0;
    if (past) this.fitRoom();
    if (fit || !before || !range) this.fit();
    else if (this.frame.holds) this.showAll();
    else if ((!live || past) && before.grid.stepMs === matrix.grid.stepMs) {
      const shift = (before.startMs - matrix.startMs) / matrix.grid.stepMs;
      this.setRange(range.from + shift, range.to + shift);
    }
  }

  setLut(lut: Uint32Array): void {
    this.heat.setLut(lut);
    this.heatLayer.requestUpdate();
  }

  /** Other colors for all that is not heat; the heat's are in the table. */
  setTheme(theme: ChartTheme): void {
    if (theme === this.theme) return; // asked at each step of the threshold
    this.theme = theme;
    this.chart.applyOptions(colorOptions(this.theme));
    this.series.applyOptions(candleColors(this.theme));
    this.panes?.setTheme(theme);
    this.heatLayer.requestUpdate(); // the layers share one repaint
  }

  /** A still picture of all that is in sight, drawn at once; the ground is left out. */
  still(): HTMLCanvasElement {
    this.heat.useBitmap(true);
    const picture = this.chart.takeScreenshot(); // draws what is pending first
    this.heat.useBitmap(false);
    return picture;
  }

  /** A column was appended or rewritten: heat and candle go into the same repaint. */
  columnChanged(column: number, scrolled: boolean): void {
    const { matrix } = this;
    if (!matrix) return;
    this.profileLayer.changed();
    const taken = this.frame.through(() => {
      if (scrolled) {
        this.heat.scrolled();
        this.candles.set(matrix);
      } else {
        this.heat.columnChanged(column);
        this.candles.update(matrix, column);
      }
      this.panes?.columnChanged();
    });
    if (!taken) this.showAll();
    this.heatLayer.requestUpdate();
  }

  /**
   * Time travel: columns came, went or changed, and the view stays where it is; only a head
   * which runs out of sight takes it along. After a leap the axis gets the room of its moment.
   */
  columnsMoved(moved: Moved): void {
    const { matrix } = this;
    const { first, last } = moved;
    if (!matrix) return;
    const whole = this.frame.holds;
    const range = this.chart.timeScale().getVisibleLogicalRange();
    this.profileLayer.changed();
    if (last - first < LEAP) {
      for (let t = first; t <= last; t++) this.heat.columnChanged(t);
      this.candles.move(matrix, moved);
    } else {
      this.heatLayer.setMatrix(matrix);
      this.candles.set(this.matrix);
      this.fitRoom();
    }
    this.panes?.columnChanged();
    if (whole) this.showAll();
    else if (range) this.setRange(...this.followed(range, first));
    this.heatLayer.requestUpdate();
  }

  /** Other liquidations than before. */
  setTape(tape: Tape): void {
    this.bubbleLayer.setTape(tape);
    this.bubblesChanged();
  }

  /** Hang sub-panes under the heat; `null` takes them away. */
  setPanes(make: ((chart: IChartApi, theme: ChartTheme) => PaneHost) | null): void {
    this.panes?.dispose();
    this.panes = make && make(this.chart, this.theme);
    this.panes?.setMatrix(this.matrix);
  }

  setZone(zone: Zone): void {
    this.zone = zone;
    this.chart.applyOptions(timeOptions(this.theme, this.zone));
  }

  setLogPrice(log: boolean): void {
    const mode = log ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal;
    this.chart.priceScale('right').applyOptions({ mode });
  }

  setProfile(visible: boolean): void {
    this.profileWanted = visible;
    this.layoutProfile();
  }

  /** Show the profile split by tier or exchange (null is by side), and the max pain. */
  setSplit(split: Profile | null, pain: MaxPain): void {
    this.profileLayer.setSplit(split, pain);
  }

  /** What the profile shows; null when it is not there. */
  get profile(): Profile | null {
    return this.profileLayer.shown;
  }

  get colors(): ChartTheme {
    return this.theme;
  }

  /** The profile under a point of the pane [CSS px]; null outside of its strip. */
  profileAt(x: number): Profile | null {
    return x >= this.paneSize().width - PROFILE_WIDTH ? this.profileLayer.shown : null;
  }

  /** Hang one more layer on the chart; returns what takes it off again. */
  addLayer(layer: GuestLayer): () => void {
    layer.setMatrix(this.matrix);
    this.guests.add(layer);
    this.series.attachPrimitive(layer);
    return () => {
      this.guests.delete(layer);
      this.series.detachPrimitive(layer);
    };
  }

  /** Draw the cells of one side only, null both; the data stay whole. */
  setSide(side: Side | null): void {
    this.side = side;
    if (!this.matrix?.showSide(side)) return;
    this.heat.setMatrix(this.matrix);
    this.heatLayer.requestUpdate();
  }

  setBubbles(visible: boolean): void {
    this.bubbleLayer.visible = visible;
    this.bubbleLayer.requestUpdate();
  }

  /** The tape has changed. */
  bubblesChanged(): void {
    if (this.matrix && this.bubbleLayer.visible) this.bubbleLayer.requestUpdate();
  }

  bubbleAt(x: number, y: number): Bubble | null {
    return this.bubbleLayer.visible ? this.bubbleLayer.at(x, y) : null;
  }

  setTick(tickSize: number | undefined, price: number): void {
    this.decimals = priceDecimals(price, tickSize);
    const minMove = 10 ** -this.decimals;
    this.series.applyOptions({
      priceFormat: {
        type: 'custom',
        minMove,
        formatter: (value: number) => formatPrice(value, this.decimals),
      },
    });
  }

  get priceDecimals(): number {
    return this.decimals;
  }

  setPin(pin: { timeMs: number; price: number } | null): void {
    this.pinLayer.pin = pin;
    this.pinLayer.requestUpdate();
  }

  /** Everything in sight, price axis automatic. */
  fit(): void {
    if (!this.matrix || this.matrix.width === 0) return;
    this.fitRoom();
    this.showAll();
    this.chart.priceScale('right').applyOptions({ autoScale: true });
  }

  /** Scroll to the newest column, keeping the zoom. */
  goLive(): void {
    if (!this.matrix) return;
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (!range) return;
    const span = range.to - range.from;
    const width = this.chart.timeScale().width();
    const to = this.matrix.width - 0.5 + (this.reserved() / width) * span;
    this.setRange(to - span, to);
    this.chart.priceScale('right').applyOptions({ autoScale: true });
  }

  atLive(): boolean {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    return !this.matrix || !range || range.to >= this.matrix.width - 1.5;
  }

  zoom(factor: number): void {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (!range) return;
    const anchor = this.atLive() ? range.to : (range.from + range.to) / 2;
    this.setRange(anchor - (anchor - range.from) * factor, anchor + (range.to - anchor) * factor);
  }

  setRange(from: number, to: number): void {
    this.frame.release();
    this.chart.timeScale().setVisibleLogicalRange({ from: from as Logical, to: to as Logical });
  }

  /** Show the time from `fromMs` to `toMs`, unless it is what is in sight. */
  setTimeRange(fromMs: number, toMs: number): void {
    const { matrix } = this;
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (!matrix || !range) return;
    const column = (ms: number): number => (ms - matrix.startMs) / matrix.grid.stepMs;
    const [from, to] = [column(fromMs), column(toMs)];
    if (Math.abs(from - range.from) > 0.01 || Math.abs(to - range.to) > 0.01) this.setRange(from, to);
  }

  /** Bring a column and a price into sight, keeping the zoom, and lay the crosshair there. */
  reveal(column: number, price: number): void {
    if (!this.matrix) return;
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (range && (column < range.from || column > range.to)) {
      const half = (range.to - range.from) / 2;
      this.setRange(column - half, column + half);
    }
    const y = this.series.priceToCoordinate(price);
    if (y === null || y < 0 || y > this.paneSize().height) {
      this.chart.priceScale('right').applyOptions({ autoScale: true });
    }
    this.chart.setCrosshairPosition(price, barTime(this.matrix, column), this.series);
  }

  /** Move the keyboard cursor by columns and bins; starts at the last price. */
  moveCursor(columns: number, bins: number): void {
    const { matrix } = this;
    if (!matrix || matrix.width === 0) return;
    const start = this.cursor ?? { column: matrix.width - 1, price: matrix.closeAt(matrix.width - 1) };
    const column = Math.max(0, Math.min(matrix.width - 1, start.column + columns));
    const at = Math.floor(matrix.position(start.price)) + bins;
    const price = bins === 0 ? start.price : matrix.center(Math.max(0, Math.min(matrix.bins - 1, at)));
    this.showCursor(column, price);
  }

  showCursor(column: number, price: number): void {
    if (!this.matrix) return;
    const x = this.chart.timeScale().logicalToCoordinate(column as Logical);
    const y = this.series.priceToCoordinate(price);
    if (x === null || y === null) return;
    this.chart.setCrosshairPosition(price, barTime(this.matrix, column), this.series);
    this.cursor = { column, price, x, y };
    this.events.onCursor(this.cursor);
  }

  clearCursor(): void {
    this.chart.clearCrosshairPosition();
    this.cursor = null;
    this.events.onCursor(null);
  }

  /** Pane position of a point, for the pinned tooltip. */
  locate(timeMs: number, price: number): { x: number; y: number } | null {
    if (!this.matrix) return null;
    const column = this.matrix.columnOf(timeMs);
    const x = this.chart.timeScale().logicalToCoordinate(column as Logical);
    const y = this.series.priceToCoordinate(price);
    return x === null || y === null ? null : { x, y };
  }

  /** Settles once the heat's renderer is chosen and in use. */
  get rendererChosen(): Promise<void> {
    return this.heat.chosen;
  }

  /** The box of all panes with their axes. */
  get element(): HTMLElement {
    return this.container;
  }

  /** The pane of the heat. */
  paneSize(): { width: number; height: number } {
    return { width: this.chart.timeScale().width(), height: this.chart.panes()[0].getHeight() };
  }

  /** Where the picture lies: columns in sight, prices at the pane's edges, the pane's size. */
  place(): { from: number; to: number; top: number | null; bottom: number | null; width: number; height: number } {
    const { from, to } = this.chart.timeScale().getVisibleLogicalRange() ?? { from: NaN, to: NaN };
    const { width, height } = this.paneSize();
    const [top, bottom] = [0, height].map((y) => this.series.coordinateToPrice(y));
    return { from, to, top, bottom, width, height };
  }

  dispose(): void {
    this.setPanes(null);
    this.chart.remove();
    this.heat.dispose();
  }

  private profileStyle(): ProfileStyle {
    return { ...this.theme, width: PROFILE_WIDTH, background: this.theme.veil, font: FONT };
  }

  private fitRoom(): void {
    const range = this.matrix?.priceRange();
    this.room = range ? roomAround(this.matrix!, ...range) : FULL_ROOM;
  }

  /** Where the view goes when the newest column leaves it at the right: a third of it further. */
  private followed({ from, to }: { from: number; to: number }, before: number): [number, number] {
    const width = this.chart.timeScale().width();
    const edge = to - ((to - from) * this.reserved()) / width;
    const head = this.matrix!.width - 1;
    const leaves = head > edge && before - 1 <= edge && before - 1 >= from;
    const shift = leaves ? head - edge + (edge - from) / 3 : 0;
    return [from + shift, to + shift];
  }

  private showAll(): void {
    if (this.matrix?.width) this.frame.show(this.matrix.width + this.matrix.ahead, this.reserved());
  }

  /** Pixels at the right which the view leaves free of columns. */
  private reserved(): number {
    return this.profileLayer.visible ? PROFILE_WIDTH + 8 : 12;
  }

  private layoutProfile(): void {
    this.profileLayer.visible =
      this.profileWanted && this.container.clientWidth >= PROFILE_MIN_PANE;
    this.events.onLayout(this.profileLayer.visible ? this.paneSize().width - PROFILE_WIDTH : null);
    this.chart.applyOptions({ timeScale: { rightOffsetPixels: this.reserved() } });
    if (this.frame.holds) this.showAll();
    this.profileLayer.requestUpdate();
  }

  private read(event: MouseEventParams): Cursor | null {
    if (!event.point || !this.matrix) return null;
    const price = this.series.coordinateToPrice(event.point.y);
    const logical = this.chart.timeScale().coordinateToLogical(event.point.x);
    if (price === null || logical === null || (event.paneIndex ?? 0) !== 0) return null;
    return { column: Math.round(logical), price, x: event.point.x, y: event.point.y };
  }

  private onCrosshair(event: MouseEventParams): void {
    this.cursor = this.read(event);
    this.events.onCursor(this.cursor);
  }
}

/**
 * The liquidation map as a thing one can look at and touch: two canvases, a view, a cursor.
 *
 * A mouse points by hovering and pans by dragging; a finger points, two fingers zoom and pan.
 * The wheel zooms about the pointer. Owns the view and the cursor; is handed a map and a theme.
 * Knows nothing of the network, the URL or the panels.
 */

import {
  barsOf,
  binsPerBar,
  priceAt,
  readAt,
  xOf,
  type Grouping,
  type Part,
  type PriceMap,
  type PriceView,
  type Reading,
} from './bars';
import { paintCursor, paintScene, type Box, type Scene } from './barpaint';
import type { BarTheme } from './barstyle';

export interface BarChartEvents {
  /** The price under the pointer; null when it left. */
  readonly onCursor: (price: number | null) => void;
  /** A price was chosen. */
  readonly onChoose: (price: number) => void;
  /** A picture is on the screen. */
  readonly onPaint: () => void;
  /** Whether the whole map is shown. */
  readonly onWhole: (whole: boolean) => void;
}

/** Room around the pane [CSS px]. */
const TOP = 52;
const BOTTOM = 38;
const AXIS = 58;
const NARROW = 620;
/** The least part of the map which zooming shows. */
const LEAST_SPAN = 0.01;
const CLICK_PX = 4;

interface Touch {
  x: number;
  y: number;
}

export class BarChart {
  private readonly base = document.createElement('canvas');
  private readonly over = document.createElement('canvas');
  private readonly watch: ResizeObserver;
  private readonly touches = new Map<number, Touch>();
  private map: PriceMap | null = null;
  private parts: readonly Part[] = [];
  private by: Grouping = 'side';
  private theme: BarTheme | null = null;
  private scene: Scene | null = null;
  private span: { from: number; to: number } | null = null;
  private logPrice = false;
  private highlight: string | null = null;
  private decimals = 2;
  private cursor: number | null = null;
  private chosen: number | null = null;
  private pressed: { x: number; moved: boolean; pinched: boolean } | null = null;
  private frame = 0;

  constructor(
    private readonly container: HTMLElement,
    private readonly events: BarChartEvents,
  ) {
    for (const canvas of [this.base, this.over]) {
      canvas.style.cssText = 'position:absolute;inset:0;width:100%;height:100%';
      container.append(canvas);
    }
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(container);
    // Printing has no turn of the event loop to wait for; the canvas goes with its container.
    container.addEventListener('paper', () => this.paint());
    const { over } = this;
    // A finger may scroll the page up and down; along the price it is ours.
    over.style.touchAction = 'pan-y';
    over.addEventListener('pointerdown', (event) => this.down(event));
    over.addEventListener('pointermove', (event) => this.move(event));
    over.addEventListener('pointerup', (event) => this.up(event));
    over.addEventListener('pointercancel', (event) => this.up(event));
    over.addEventListener('pointerleave', (event) => event.pointerType === 'mouse' && this.point(null));
    over.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    over.addEventListener('dblclick', () => this.fit());
  }

  /** Show another map; the window on the price stays, unless it is another instrument's. */
  setMap(map: PriceMap | null, parts: readonly Part[], by: Grouping, decimals: number): void {
    [this.map, this.parts, this.by, this.decimals] = [map, parts, by, decimals];
    if (!map) this.span = null;
    this.draw();
  }

  setTheme(theme: BarTheme): void {
    this.theme = theme;
    this.draw();
  }

  setLogPrice(on: boolean): void {
    this.logPrice = on;
    this.draw();
  }

  setHighlight(id: string | null): void {
    this.highlight = id;
    this.draw();
  }

  /** The price chosen to speak about; null for none. */
  setChosen(price: number | null): void {
    this.chosen = price;
    this.drawCursor();
  }

  read(price: number): Reading | null {
    return this.scene && readAt(this.scene.map, this.scene.bars, price);
  }

  /** Of the whole figure [CSS px]. */
  get width(): number {
    return this.container.clientWidth;
  }

  /** Where a price is on the screen, from the container's left [CSS px]. */
  xOf(price: number): number {
    return this.scene ? this.scene.box.left + xOf(this.scene.view, price) : 0;
  }

  /** Step the cursor over bars; from the price when there is none. */
  moveCursor(bars: number): void {
    const { scene } = this;
    if (!scene) return;
    const { edges, lastPrice } = scene.map;
    const n = edges.length - 1;
    const ratio = (edges[n] / edges[0]) ** (binsPerBar(scene.map, scene.view) / n);
    const from = this.cursor ?? this.chosen ?? lastPrice;
    const price = Math.max(edges[0], Math.min(edges[n] * 0.999999, from * ratio ** bars));
    this.reveal(price);
    this.point(price);
  }

  clearCursor(): void {
    this.point(null);
  }

  /** Show `factor` times as much price, about a price (the cursor, else the price now). */
  zoom(factor: number, about?: number): void {
    if (!this.scene) return;
    const { view } = this;
    const center = about ?? this.cursor ?? this.scene.map.lastPrice;
    const inside = center > view.from && center < view.to ? center : Math.sqrt(view.from * view.to);
    this.show(inside - (inside - view.from) * factor, inside + (view.to - inside) * factor);
  }

  fit(): void {
    this.span = null;
    this.draw();
  }

  /** What is on the screen, at its own device pixels; null while there is nothing. */
  picture(): HTMLCanvasElement | null {
    if (!this.scene) return null;
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [this.base.width, this.base.height];
    const pen = canvas.getContext('2d')!;
    pen.drawImage(this.base, 0, 0);
    pen.drawImage(this.over, 0, 0);
    return canvas;
  }

  dispose(): void {
    this.watch.disconnect();
    cancelAnimationFrame(this.frame);
    this.base.remove();
    this.over.remove();
  }

  // -- view ---------------------------------------------------------------------------------

  private get ends(): readonly [number, number] {
    const edges = this.scene!.map.edges;
    return [edges[0], edges[edges.length - 1]];
  }

  /** What will be seen: the scene's view may be a frame old. */
  private get view(): PriceView {
    const [from, to] = this.ends;
    return { ...this.scene!.view, from, to, ...this.span };
  }

  private show(from: number, to: number): void {
    const [low, high] = this.ends;
    const span = Math.max(LEAST_SPAN * (high - low), Math.min(high - low, to - from));
    const middle = (from + to) / 2;
    const left = Math.max(low, Math.min(high - span, middle - span / 2));
    this.span = span > 0.999 * (high - low) ? null : { from: left, to: left + span };
    this.draw();
  }

  private reveal(price: number): void {
    const { from, to } = this.view;
    if (price >= from && price <= to) return;
    const shift = price < from ? price - from : price - to;
    this.show(from + shift * 1.1, to + shift * 1.1);
  }

  private draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  private paint(): void {
    const { clientWidth: width, clientHeight: height } = this.container;
    this.scene = this.compose(width, height);
    const ratio = this.fitCanvas(this.base, width, height);
    this.fitCanvas(this.over, width, height);
    const pen = this.base.getContext('2d')!;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.scene) paintScene(pen, this.scene, width, height, ratio);
    else pen.clearRect(0, 0, width, height);
    this.container.dataset['bars'] = String(this.scene?.bars.length ?? 0);
    this.events.onWhole(this.span === null);
    if (this.scene) this.events.onPaint();
    this.drawCursor();
  }

  private compose(width: number, height: number): Scene | null {
    if (!this.map || !this.theme || width < 40 || height < TOP + BOTTOM + 40) return null;
    const { map, parts } = this;
    const narrow = width < NARROW;
    const axis = narrow ? 0 : AXIS;
    const box: Box = { left: axis, top: TOP, width: width - 2 * axis, height: height - TOP - BOTTOM };
    const bins = map.edges.length - 1;
    const [low, high] = [map.edges[0], map.edges[bins]];
    // The window on the price stays when levels come and go, as far as there is a map.
    const from = Math.max(low, Math.min(this.span?.from ?? low, high));
    const to = Math.min(high, Math.max(this.span?.to ?? high, low));
    const sane = to > from ? { from, to } : { from: low, to: high };
    const view: PriceView = { ...sane, width: box.width, log: this.logPrice };
    const bars = barsOf(map, parts, binsPerBar(map, view));
    const seen = bars.filter((bar) => bar.high > view.from && bar.low < view.to);
    const ends = [readAt(map, bars, view.from), readAt(map, bars, view.to * 0.999999)];
    return {
      ...{ map, parts, by: this.by, bars, view, box, narrow },
      barTop: Math.max(1, ...seen.map((bar) => bar.usd)),
      curveTop: Math.max(1, ...ends.map((end) => end.cumulative)),
      decimals: this.decimals,
      theme: this.theme,
      highlight: this.highlight,
    };
  }

  private fitCanvas(canvas: HTMLCanvasElement, width: number, height: number): number {
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    return ratio;
  }

  private drawCursor(): void {
    const pen = this.over.getContext('2d')!;
    const ratio = window.devicePixelRatio || 1;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.over.width, this.over.height);
    const { scene } = this;
    if (!scene) return;
    for (const [price, strong] of [[this.chosen, true], [this.cursor, false]] as const) {
      if (price !== null && (strong !== true || this.cursor !== price)) {
        paintCursor(pen, scene, readAt(scene.map, scene.bars, price), strong);
      }
    }
  }

  // -- pointer ------------------------------------------------------------------------------

  private point(price: number | null): void {
    this.cursor = price;
    this.drawCursor();
    this.events.onCursor(price);
  }

  private priceUnder(event: { offsetX: number }): number | null {
    const { scene } = this;
    if (!scene) return null;
    const x = event.offsetX - scene.box.left;
    return x < 0 || x > scene.box.width ? null : priceAt(this.view, x);
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.over.setPointerCapture(event.pointerId);
    this.touches.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    const pinched = this.touches.size > 1;
    this.pressed = { x: event.offsetX, moved: pinched, pinched };
    if (event.pointerType !== 'mouse' && this.touches.size === 1) this.point(this.priceUnder(event));
  }

  private move(event: PointerEvent): void {
    const touch = this.touches.get(event.pointerId);
    if (this.pressed && Math.abs(event.offsetX - this.pressed.x) > CLICK_PX) this.pressed.moved = true;
    if (touch && this.touches.size === 2) this.pinch(event, touch);
    else if (touch && event.pointerType === 'mouse' && this.pressed?.moved) this.pan(touch.x, event.offsetX);
    if (touch) [touch.x, touch.y] = [event.offsetX, event.offsetY];
    if (this.touches.size < 2) this.point(this.priceUnder(event));
  }

  private up(event: PointerEvent): void {
    const { pressed } = this;
    const mouse = event.pointerType === 'mouse';
    this.touches.delete(event.pointerId);
    if (this.touches.size === 0) this.pressed = null;
    const price = this.priceUnder(event);
    // A finger leaves nothing to hover: where it was lifted is what it chose.
    const chose = pressed && !(mouse ? pressed.moved : pressed.pinched) && event.type === 'pointerup';
    if (chose && price !== null) this.events.onChoose(price);
    if (!mouse) this.point(null);
  }

  private pan(fromX: number, toX: number): void {
    if (!this.scene) return;
    const { view } = this;
    const { left } = this.scene.box;
    const shift = priceAt(view, fromX - left) - priceAt(view, toX - left);
    this.show(view.from + shift, view.to + shift);
  }

  private pinch(event: PointerEvent, touch: Touch): void {
    const { scene } = this;
    const other = [...this.touches].find(([id]) => id !== event.pointerId)?.[1];
    if (!scene || !other) return;
    const before = Math.max(20, Math.abs(touch.x - other.x));
    const after = Math.max(20, Math.abs(event.offsetX - other.x));
    const middle = (touch.x + other.x) / 2;
    this.zoom(before / after, priceAt(this.view, middle - scene.box.left));
    this.pan(middle, (event.offsetX + other.x) / 2);
  }

  private wheel(event: WheelEvent): void {
    const about = this.priceUnder(event);
    if (about === null) return;
    event.preventDefault();
    const { view } = this;
    const { box } = this.scene!;
    const across = event.shiftKey ? event.deltaY : event.deltaX;
    if (Math.abs(across) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      this.show(priceAt(view, across), priceAt(view, box.width + across));
      return;
    }
    // A pinch on a touchpad comes as small turns of the wheel with Ctrl.
    const turn = event.deltaY * (event.ctrlKey ? 0.01 : 0.0015);
    this.zoom(Math.exp(Math.max(-1, Math.min(1, turn))), about);
  }
}

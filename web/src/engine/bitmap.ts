/**
 * The canvas 2D heat renderer: codes -> pixels through the table, then one drawImage.
 *
 * An offscreen canvas holds the matrix at the pooled level the zoom asks for, one pixel a
 * cell, rows from the highest price down. It is filled lazily: only the columns which were
 * on screen since the last recoloring, so a threshold step costs what is visible and a pan
 * costs the new columns. A live column touches one pixel column.
 */

import { strips, type HeatRenderer, type HeatView } from './heat';
import type { HeatMatrix } from './matrix';
import { binFactor, timeFactor, type Level } from './pool';

/** Columns written at once: 32 pixels are two cache lines of the transposed image. */
const TILE = 32;

export class BitmapHeat implements HeatRenderer {
  readonly kind = 'canvas2d';
  private matrix: HeatMatrix | null = null;
  private lut: Uint32Array = new Uint32Array(256);
  private canvas: HTMLCanvasElement | null = null;
  private context: CanvasRenderingContext2D | null = null;
  private tile: ImageData | null = null;
  private level: Level | null = null;
  /** Columns [from, to) of the level which the canvas shows rightly. */
  private from = 0;
  private to = 0;

  setMatrix(matrix: HeatMatrix | null): void {
    this.matrix = matrix;
    this.level = null;
    this.from = this.to = 0;
  }

  setLut(lut: Uint32Array): void {
    this.lut = lut;
    this.from = this.to = 0;
  }

  columnChanged(column: number): void {
    if (!this.level) return;
    const j = Math.floor(column / this.level.t);
    if (j >= this.from && j < this.to) this.fill(this.level, j, j + 1);
  }

  scrolled(): void {
    this.level = null;
    this.from = this.to = 0;
  }

  draw(context: CanvasRenderingContext2D, view: HeatView): void {
    const matrix = this.matrix;
    if (!matrix || matrix.width === 0 || !(view.columnWidth > 0)) return;
    const first = Math.max(0, Math.floor(-view.originX / view.columnWidth));
    const last = Math.min(
      matrix.width - 1,
      Math.floor((view.width - view.originX) / view.columnWidth),
    );
    if (last < first) return;
    const level = this.choose(matrix, view);
    const a = Math.floor(first / level.t);
    const b = Math.floor(last / level.t) + 1;
    this.ensure(level, a, b);
    const left = view.originX + a * level.t * view.columnWidth;
    const right = view.originX + Math.min(matrix.width, b * level.t) * view.columnWidth;
    context.imageSmoothingEnabled = false;
    for (const strip of strips(matrix, view, level.p)) {
      const top = level.bins - strip.binHigh / level.p;
      const rows = (strip.binHigh - strip.binLow) / level.p;
      const height = strip.yBottom - strip.yTop;
      context.drawImage(this.canvas!, a, top, b - a, rows, left, strip.yTop, right - left, height);
    }
  }

  dispose(): void {
    this.setMatrix(null);
    this.canvas = this.context = this.tile = null;
  }

  private choose(matrix: HeatMatrix, view: HeatView): Level {
    const t = timeFactor(1 / view.columnWidth);
    const top = matrix.position(view.priceTop);
    const bottom = matrix.position(view.priceBottom);
    const p = binFactor((top - bottom) / view.height);
    if (this.level && this.level.t === t && this.level.p === p) return this.level;
    const level = matrix.pyramid.level(t, p, matrix.width);
    this.allocate(level);
    this.level = level;
    this.from = this.to = 0;
    return level;
  }

  private allocate(level: Level): void {
    this.canvas ??= document.createElement('canvas');
    if (this.canvas.width !== level.capacity || this.canvas.height !== level.bins) {
      this.canvas.width = level.capacity;
      this.canvas.height = level.bins;
      this.context = this.canvas.getContext('2d');
      this.tile = new ImageData(TILE, level.bins);
    }
  }

  /** Make columns [a, b) right, keeping the known range one piece. */
  private ensure(level: Level, a: number, b: number): void {
    if (this.to === this.from) {
      this.fill(level, a, b);
      this.from = a;
      this.to = b;
      return;
    }
    if (a < this.from) {
      this.fill(level, a, this.from);
      this.from = a;
    }
    if (b > this.to) {
      this.fill(level, this.to, b);
      this.to = b;
    }
  }

  private fill(level: Level, a: number, b: number): void {
    const { lut } = this;
    const { bins, codes } = level;
    const tile = this.tile!;
    const pixels = new Uint32Array(tile.data.buffer);
    for (let x = a; x < b; x += TILE) {
      const n = Math.min(TILE, b - x);
      for (let p = 0; p < bins; p++) {
        const row = (bins - 1 - p) * TILE;
        let from = x * bins + p;
        for (let i = 0; i < n; i++, from += bins) pixels[row + i] = lut[codes[from]];
      }
      this.context!.putImageData(tile, x, 0, 0, 0, n, bins);
    }
  }
}

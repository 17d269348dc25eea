/**
 * Which renderer draws the heat: WebGL2 where a graphics chip drives it, else the bitmap.
 *
 * A lost graphics context (a driver reset, a sleeping laptop) costs one frame: the bitmap
 * takes over, and hands back when the context is restored. Both draw the same picture.
 */

import { BitmapHeat } from './bitmap';
import { GlHeat, hasHardwareGl } from './gl';
import type { HeatKind, HeatRenderer, HeatView } from './heat';
import type { HeatMatrix } from './matrix';

export class Heat implements HeatRenderer {
  private current: HeatRenderer = new BitmapHeat();
  private gl: GlHeat | null = null;
  private matrix: HeatMatrix | null = null;
  private lut: Uint32Array | null = null;

  /**
   * `under` gets the canvas which lies below the chart; `repaint` is called when the picture
   * must be drawn anew; `wanted` forces a renderer, where the browser has it.
   */
  constructor(
    private readonly under: HTMLElement,
    private readonly repaint: () => void,
    wanted: HeatKind | null,
  ) {
    if (wanted === 'webgl2' || (wanted === null && hasHardwareGl())) this.useGl();
  }

  get kind(): HeatKind {
    return this.current.kind;
  }

  setMatrix(matrix: HeatMatrix | null): void {
    this.matrix = matrix;
    this.current.setMatrix(matrix);
  }

  setLut(lut: Uint32Array): void {
    this.lut = lut;
    this.current.setLut(lut);
  }

  columnChanged(column: number): void {
    this.current.columnChanged(column);
  }

  scrolled(): void {
    this.current.scrolled();
  }

  draw(context: CanvasRenderingContext2D, view: HeatView): void {
    this.current.draw(context, view);
  }

  /** For a still picture the heat must be in the chart's own canvas. */
  useBitmap(wanted: boolean): void {
    if (this.gl && !this.gl.lost) this.swap(wanted ? new BitmapHeat() : this.gl);
  }

  dispose(): void {
    this.current.dispose();
    this.gl = null;
  }

  private useGl(): void {
    try {
      this.gl = new GlHeat();
    } catch {
      return; // the bitmap does the same, only slower
    }
    const { canvas } = this.gl;
    canvas.className = 'heat-canvas';
    canvas.addEventListener('webglcontextlost', (event) => {
      event.preventDefault(); // without it the browser never restores it
      canvas.style.display = 'none'; // a lost canvas is drawn white
      if (this.gl) this.swap(new BitmapHeat());
    });
    canvas.addEventListener('webglcontextrestored', () => {
      canvas.remove();
      if (this.gl) this.useGl();
    });
    this.under.prepend(canvas);
    this.swap(this.gl);
  }

  private swap(next: HeatRenderer): void {
    this.current = next;
    if (this.lut) next.setLut(this.lut);
    next.setMatrix(this.matrix);
    this.repaint();
  }
}

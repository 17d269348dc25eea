/**
 * Which renderer draws the heat: WebGL2 where a graphics chip drives it, else the bitmap.
 *
 * The bitmap draws until the code of the other is there: the first picture waits for nothing.
 * A lost graphics context (a driver reset, a sleeping laptop) costs one frame: the bitmap
 * takes over, and hands back when the context is restored. Both draw the same picture.
 */

import { BitmapHeat } from './bitmap';
import type { GlHeat } from './gl';
import type { HeatKind, HeatRenderer, HeatView } from './heat';
import type { HeatMatrix } from './matrix';

/** Renderers which run on the CPU: there the bitmap is many times faster. */
const SOFTWARE = /SwiftShader|llvmpipe|softpipe|Basic Render|WARP/i;

/** Whether this browser has a WebGL2 which a graphics chip drives. */
function hasHardwareGl(): boolean {
  const gl = document.createElement('canvas').getContext('webgl2');
  if (!gl) return false;
  const info = gl.getExtension('WEBGL_debug_renderer_info');
  const name = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension('WEBGL_lose_context')?.loseContext();
  return !SOFTWARE.test(name);
}

export class Heat implements HeatRenderer {
  private current: HeatRenderer = new BitmapHeat();
  private gl: GlHeat | null = null;
  private matrix: HeatMatrix | null = null;
  private disposed = false;
  private lut: Uint32Array | null = null;
  /** Settles once the renderer is chosen and in use. */
  readonly chosen: Promise<void>;

  /**
   * `under` gets the canvas which lies below the chart; `repaint` is called when the picture
   * must be drawn anew; `wanted` forces a renderer, where the browser has it.
   */
  constructor(
    private readonly under: HTMLElement,
    private readonly repaint: () => void,
    wanted: HeatKind | null,
  ) {
    this.under.dataset.renderer = this.kind;
    const wantsGl = wanted === 'webgl2' || (wanted === null && hasHardwareGl());
    this.chosen = wantsGl ? this.useGl() : Promise.resolve();
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
    this.disposed = true;
    this.current.dispose();
    this.gl = null;
  }

  private async useGl(): Promise<void> {
    try {
      const { GlHeat } = await import('./gl');
      if (this.disposed) return;
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
      if (this.gl) void this.useGl();
    });
    this.under.prepend(canvas);
    this.swap(this.gl);
  }

  private swap(next: HeatRenderer): void {
    this.current = next;
    this.under.dataset.renderer = next.kind;
    if (this.lut) next.setLut(this.lut);
    next.setMatrix(this.matrix);
    this.repaint();
  }
}

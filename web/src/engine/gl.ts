/**
 * The WebGL2 heat renderer: codes in a one-byte texture, colors from a 256-entry table.
 *
 * It draws on a canvas of its own under the chart, in the same task as the chart paints, so
 * heat and candles never part. The texture holds the pooled level the zoom asks for, one row a
 * column, as a RING: row = (column + columns dropped so far) mod capacity. So an append costs
 * one row, a scroll costs nothing, and a threshold step costs the 1 KB of the table.
 *
 * Cells are chosen by the same pooled levels, the same strips and the same nearest cell at the
 * pixel's center as in `bitmap.ts`: the two pictures agree.
 */

import { strips, type HeatRenderer, type HeatView } from './heat';
import type { HeatMatrix } from './matrix';
import { binFactor, timeFactor, type Level } from './pool';

const VERTEX = `#version 300 es
uniform vec4 box; // left, top, right, bottom in device pixels
uniform vec2 size;
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  vec2 at = mix(box.xy, box.zw, corner) / size * 2.0 - 1.0;
  gl_Position = vec4(at.x, -at.y, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
uniform usampler2D codes;
uniform sampler2D table;
uniform vec2 size;
uniform float originX;
uniform float columnWidth; // of a pooled column
uniform vec3 rows; // top [px], height [px], bins in the strip
uniform int topBin; // the strip's highest bin
uniform ivec3 ring; // first column drawn, shift, capacity
out vec4 color;
void main() {
  float y = size.y - gl_FragCoord.y;
  int column = ring.x + int(floor((gl_FragCoord.x - originX) / columnWidth));
  int bin = topBin - int(floor((y - rows.x) / rows.y * rows.z));
  uint code = texelFetch(codes, ivec2(max(bin, 0), (column + ring.y) % ring.z), 0).r;
  color = texelFetch(table, ivec2(int(code), 0), 0);
}`;

const UNIFORMS = ['box', 'size', 'codes', 'table', 'originX', 'columnWidth', 'rows', 'topBin', 'ring'] as const;
type Uniforms = Record<(typeof UNIFORMS)[number], WebGLUniformLocation | null>;

export class GlHeat implements HeatRenderer {
  readonly kind = 'webgl2';
  readonly canvas = document.createElement('canvas');
  private readonly gl: WebGL2RenderingContext;
  private readonly uniforms: Uniforms;
  private matrix: HeatMatrix | null = null;
  private level: Level | null = null;
  /** Columns [from, to) which the texture holds rightly, counted from the first ever. */
  private from = 0;
  private to = 0;

  /** Throws where the browser has no WebGL2, or a texture of this size does not fit. */
  constructor() {
    const gl = this.canvas.getContext('webgl2', { alpha: true, antialias: false });
    if (!gl) throw new Error('no WebGL2');
    this.gl = gl;
    this.uniforms = link(gl);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    bindTexture(gl, gl.TEXTURE0);
    bindTexture(gl, gl.TEXTURE1);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, 256, 1);
    gl.uniform1i(this.uniforms.codes, 0);
    gl.uniform1i(this.uniforms.table, 1);
  }

  get lost(): boolean {
    return this.gl.isContextLost();
  }

  setMatrix(matrix: HeatMatrix | null): void {
    this.matrix = matrix;
    this.level = null;
    this.forget();
    if (!matrix) this.clear();
  }

  setLut(lut: Uint32Array): void {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE1);
    const bytes = new Uint8Array(lut.buffer, lut.byteOffset, 1024);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 256, 1, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
  }

  columnChanged(column: number): void {
    const { level } = this;
    if (!level) return;
    const j = Math.floor(column / level.t);
    const at = j + this.shift(level);
    if (at >= this.from && at < this.to) this.upload(level, j, j + 1);
  }

  scrolled(): void {
    // The columns moved in the matrix, not in the ring; but its pooled level is a new one.
    const { level, matrix } = this;
    if (level && matrix) this.level = matrix.pyramid.level(level.t, level.p, matrix.width);
    if (!this.level || !matrix) return;
    // The newest group has grown by the column which made the others move.
    const shift = this.shift(this.level);
    this.to = Math.min(this.to, shift + Math.floor((matrix.width - 1) / this.level.t));
    this.from = Math.min(Math.max(this.from, shift), this.to);
  }

  draw(_context: CanvasRenderingContext2D, view: HeatView): void {
    const { matrix } = this;
    this.resize(view);
    this.clear();
    if (!matrix || matrix.width === 0 || !(view.columnWidth > 0) || this.lost) return;
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
    const { gl, uniforms } = this;
    gl.uniform2f(uniforms.size, view.width, view.height);
    gl.uniform1f(uniforms.originX, left);
    gl.uniform1f(uniforms.columnWidth, view.columnWidth * level.t);
    gl.uniform3i(uniforms.ring, a, this.shift(level) % level.capacity, level.capacity);
    for (const strip of strips(matrix, view, level.p)) {
      const bins = Math.ceil((strip.binHigh - strip.binLow) / level.p);
      gl.uniform4f(uniforms.box, left, strip.yTop, right, strip.yBottom);
      gl.uniform3f(uniforms.rows, strip.yTop, strip.yBottom - strip.yTop, bins);
      gl.uniform1i(uniforms.topBin, Math.ceil(strip.binHigh / level.p) - 1);
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    }
  }

  dispose(): void {
    this.matrix = this.level = null;
    this.gl.getExtension('WEBGL_lose_context')?.loseContext();
    this.canvas.remove();
  }

  private forget(): void {
    this.from = this.to = 0;
  }

  /** Pooled columns dropped so far: what a column's place in the ring is ahead of its index. */
  private shift(level: Level): number {
    return (this.matrix?.dropped ?? 0) / level.t;
  }

  private resize(view: HeatView): void {
    const { canvas } = this;
    if (canvas.width === view.width && canvas.height === view.height) return;
    canvas.width = view.width;
    canvas.height = view.height;
    canvas.style.width = `${view.width / view.ratioX}px`;
    canvas.style.height = `${view.height / view.ratioY}px`;
    this.gl.viewport(0, 0, view.width, view.height);
  }

  private clear(): void {
    this.gl.clearColor(0, 0, 0, 0);
    this.gl.clear(this.gl.COLOR_BUFFER_BIT);
  }

  private choose(matrix: HeatMatrix, view: HeatView): Level {
    const t = timeFactor(1 / view.columnWidth);
    const top = matrix.position(view.priceTop);
    const bottom = matrix.position(view.priceBottom);
    const p = binFactor((top - bottom) / view.height);
    if (this.level && this.level.t === t && this.level.p === p) return this.level;
    const level = matrix.pyramid.level(t, p, matrix.width);
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0);
    gl.texImage2D(
      gl.TEXTURE_2D, 0, gl.R8UI, level.bins, level.capacity, 0, gl.RED_INTEGER, gl.UNSIGNED_BYTE, null,
    );
    this.level = level;
    this.forget();
    return level;
  }

  /** Make columns [a, b) right, keeping the known range one piece. */
  private ensure(level: Level, a: number, b: number): void {
    const shift = this.shift(level);
    const from = this.from - shift;
    const to = this.to - shift;
    if (this.to === this.from || a > to || b < from) {
      this.upload(level, a, b);
      this.from = a + shift;
      this.to = b + shift;
      return;
    }
    if (a < from) this.upload(level, a, from);
    if (b > to) this.upload(level, to, b);
    this.from = Math.min(a, from) + shift;
    this.to = Math.max(b, to) + shift;
  }

  /** Write pooled columns [a, b) to the ring, in at most two pieces. */
  private upload(level: Level, a: number, b: number): void {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0);
    while (a < b) {
      const row = (a + this.shift(level)) % level.capacity;
      const n = Math.min(b - a, level.capacity - row);
      const bytes = level.codes.subarray(a * level.bins, (a + n) * level.bins);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, row, level.bins, n, gl.RED_INTEGER, gl.UNSIGNED_BYTE, bytes);
      a += n;
    }
  }
}

function link(gl: WebGL2RenderingContext): Uniforms {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
    const shader = gl.createShader(type)!;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new Error(`WebGL2: ${gl.getProgramInfoLog(program) ?? 'the shader does not link'}`);
  }
  gl.useProgram(program);
  const at = (name: string): WebGLUniformLocation | null => gl.getUniformLocation(program, name);
  return Object.fromEntries(UNIFORMS.map((name) => [name, at(name)])) as Uniforms;
}

/** Make a texture of exact cells and leave it bound to a unit of its own. */
function bindTexture(gl: WebGL2RenderingContext, unit: number): void {
  gl.activeTexture(unit);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
    gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
  }
}

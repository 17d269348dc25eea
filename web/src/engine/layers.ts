/**
 * The primitives hung on the candle series: heat (with gap shading) below, profile above.
 */

import type { HeatRenderer, HeatView } from './heat';
import { Layer, hatching, type Scope } from './layer';
import type { HeatMatrix } from './matrix';
import type { MaxPain } from './maxpain';
import { NO_PAIN, buildProfile, type Profile } from './profile';
import { drawProfile, type ProfileStyle } from './strip';
import { groupOf, type Bubble, type Tape } from './tape';
import type { ChartTheme } from './theme';

/** Heat under the candles; steps without data are hatched. */
export class HeatLayer extends Layer {
  private matrix: HeatMatrix | null = null;
  private hatch: { readonly line: string; readonly pattern: CanvasPattern } | null = null;

  constructor(
    private readonly renderer: HeatRenderer,
    private readonly theme: () => ChartTheme,
    private readonly onPaint: () => void,
  ) {
    super('bottom');
  }

  setMatrix(matrix: HeatMatrix | null): void {
    this.matrix = matrix;
    this.renderer.setMatrix(matrix);
  }

  protected override paint(scope: Scope): void {
    const view = this.view(scope);
    if (!view || !this.matrix) return;
    this.renderer.draw(scope.context, view);
    this.shadeGaps(scope.context, view, this.matrix);
    this.onPaint();
  }

  private shadeGaps(context: CanvasRenderingContext2D, view: HeatView, matrix: HeatMatrix): void {
    const first = Math.max(0, Math.floor(-view.originX / view.columnWidth));
    const end = Math.min(matrix.width, Math.ceil((view.width - view.originX) / view.columnWidth));
    for (let t = first; t < end; t++) {
      if (!matrix.isGap(t)) continue;
      const from = t;
      while (t + 1 < end && matrix.isGap(t + 1)) t++;
      const x = view.originX + from * view.columnWidth;
      context.fillStyle = this.pattern(context);
      context.fillRect(x, 0, (t + 1 - from) * view.columnWidth, view.height);
    }
  }

  private pattern(context: CanvasRenderingContext2D): CanvasPattern {
    const { hatch } = this.theme();
    if (this.hatch?.line !== hatch.line) this.hatch = { line: hatch.line, pattern: hatching(context, hatch) };
    return this.hatch.pattern;
  }
}

/** The newest column as bars at the right edge of the pane. */
export class ProfileLayer extends Layer {
  visible = true;
  private matrix: HeatMatrix | null = null;
  /** Sums of the newest column; a pan or a threshold step draws the same ones again. */
  private profile: Profile | null = null;
  /** The same split by tier or exchange, when that is wanted and there. */
  private split: Profile | null = null;
  private pain = NO_PAIN;

  constructor(private readonly style: () => ProfileStyle) {
    super('normal');
  }

  setMatrix(matrix: HeatMatrix | null): void {
    const before = this.matrix?.grid;
    const now = matrix?.grid;
    // On the same prices they stay until the next come.
    if (before?.bins !== now?.bins || before?.pLo !== now?.pLo || before?.pStep !== now?.pStep) {
      this.split = null;
      this.pain = NO_PAIN;
    }
    this.matrix = matrix;
    this.profile = null;
  }

  /** Columns changed. */
  changed(): void {
    this.profile = null;
  }

  /** Show a split in place of the sides (null goes back to these), and the max pain. */
  setSplit(split: Profile | null, pain: MaxPain): void {
    this.split = split;
    this.pain = pain;
    this.profile = null;
    this.requestUpdate();
  }

  /** What is shown; null when nothing is. */
  get shown(): Profile | null {
    if (!this.visible || !this.matrix || this.matrix.width === 0) return null;
    return this.split ?? (this.profile ??= buildProfile(this.matrix, this.pain));
  }

  protected override paint(scope: Scope): void {
    const { matrix, shown } = this;
    const view = matrix && shown ? this.view(scope) : null;
    if (!view) return;
    drawProfile(scope.context, view, matrix!, shown!, this.style(), scope.horizontalPixelRatio);
  }
}

/** Side of the cells which bubbles are summed over, and their radii [CSS px]. */
const BUBBLE_CELL = 14;
const BUBBLE_RADIUS = [2, 11] as const;
const BUBBLES_MOST = 400;

interface Mark {
  readonly x: number;
  readonly y: number;
  readonly r: number;
  readonly bubble: Bubble;
}

/** Realised liquidations: a triangle pointing down for longs, up for shorts. */
export class BubbleLayer extends Layer {
  visible = true;
  private matrix: HeatMatrix | null = null;
  /** What is on screen [CSS px], for the tooltip. */
  private marks: Mark[] = [];

  constructor(
    private tape: Tape,
    private readonly theme: () => ChartTheme,
  ) {
    super('normal');
  }

  setTape(tape: Tape): void {
    this.tape = tape;
  }

  setMatrix(matrix: HeatMatrix | null): void {
    this.matrix = matrix;
  }

  /** The mark at a point of the pane [CSS px]; the smallest lies on top. */
  at(x: number, y: number): Bubble | null {
    for (let i = this.marks.length - 1; i >= 0; i--) {
      const mark = this.marks[i];
      if (Math.hypot(mark.x - x, mark.y - y) <= mark.r + 3) return mark.bubble;
    }
    return null;
  }

  protected override paint(scope: Scope): void {
    this.marks = [];
    const { matrix } = this;
    if (!this.visible || !matrix || matrix.width === 0 || this.tape.size === 0) return;
    const view = this.view(scope);
    if (!view) return;
    this.place(matrix, view, scope.horizontalPixelRatio);
    for (const side of ['long', 'short'] as const) this.draw(scope, side);
  }

  private place(matrix: HeatMatrix, view: HeatView, ratio: number): void {
    const bins = matrix.position(view.priceTop) - matrix.position(view.priceBottom);
    const cell = BUBBLE_CELL * ratio;
    const groups = [groupOf(view.columnWidth, cell), groupOf(view.height / bins, cell)] as const;
    const bubbles = this.tape.bubbles(matrix, ...groups);
    const [least, most] = BUBBLE_RADIUS;
    for (const bubble of bubbles) {
      if (this.marks.length >= BUBBLES_MOST) break;
      const x = view.originX + ((bubble.timeMs - matrix.startMs) / matrix.grid.stepMs) * view.columnWidth;
      const off = bubble.price < view.priceBottom || bubble.price > view.priceTop;
      if (off || x < 0 || x > view.width) continue;
      const r = least + (most - least) * Math.sqrt(bubble.usd / bubbles[0].usd);
      this.marks.push({ x: x / ratio, y: view.yOf(bubble.price) / ratio, r, bubble });
    }
  }

  private draw({ context, horizontalPixelRatio: ratio }: Scope, side: 'long' | 'short'): void {
    const style = this.theme().bubbles;
    context.beginPath();
    for (const { x, y, r, bubble } of this.marks) {
      if (bubble.side !== side) continue;
      const down = side === 'long' ? 1 : -1;
      context.moveTo(x * ratio, (y + r * down) * ratio);
      context.lineTo((x + r * 0.87) * ratio, (y - (r / 2) * down) * ratio);
      context.lineTo((x - r * 0.87) * ratio, (y - (r / 2) * down) * ratio);
      context.closePath();
    }
    context.lineWidth = 2 * ratio;
    context.lineJoin = 'round';
    context.strokeStyle = style.edge;
    context.stroke();
    context.globalAlpha = 0.85;
    context.fillStyle = style[side];
    context.fill();
    context.globalAlpha = 1;
  }
}

/** A small cross which keeps a clicked cell in sight. */
export class PinLayer extends Layer {
  pin: { readonly timeMs: number; readonly price: number } | null = null;
  private matrix: HeatMatrix | null = null;

  constructor(private readonly theme: () => ChartTheme) {
    super('normal');
  }

  setMatrix(matrix: HeatMatrix | null): void {
    this.matrix = matrix;
  }

  protected override paint(scope: Scope): void {
    const view = this.view(scope);
    if (!view || !this.pin || !this.matrix) return;
    const column = Math.floor(this.matrix.columnOf(this.pin.timeMs));
    const x = view.originX + (column + 0.5) * view.columnWidth;
    const y = view.yOf(this.pin.price);
    const r = 5 * scope.horizontalPixelRatio;
    const { context } = scope;
    const { pin } = this.theme();
    context.beginPath();
    context.arc(x, y, r, 0, 2 * Math.PI);
    context.lineWidth = 3 * scope.horizontalPixelRatio;
    context.strokeStyle = pin.halo;
    context.stroke();
    context.lineWidth = 1.5 * scope.horizontalPixelRatio;
    context.strokeStyle = pin.ring;
    context.stroke();
  }
}

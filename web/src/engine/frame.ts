/**
 * Keeps all columns in sight until the person moves the view.
 *
 * The chart lays itself out while it paints: labels widen the price axis, the window is
 * resized, and the width at hand when data come need not be the last one. A range computed
 * from an old width would stand beside its place by some columns, so each new width asks
 * for the range again.
 */

import type { ITimeScaleApi, Logical, Time } from 'lightweight-charts';

/** Columns are never shown wider than as if there were this many. */
const LEAST_COLUMNS = 24;
/** A range which the chart may not show at all (too wide for the pane) is not asked for ever. */
const MOST_TRIES = 3;

interface Asked {
  readonly from: number;
  readonly to: number;
  readonly width: number;
  /** Whether the chart has taken it: it does so in its next paint. */
  seen: boolean;
}

/** Logical range of `columns` columns with `spare` pixels free at the right of `width`. */
export function wholeRange(columns: number, width: number, spare: number): readonly [number, number] {
  const shown = Math.max(columns, LEAST_COLUMNS);
  const free = (spare / Math.max(1, width - spare)) * shown;
  return [columns - shown - 0.5, columns - 0.5 + free];
}

export class Frame {
  private asked: Asked | null = null;

  constructor(private readonly scale: ITimeScaleApi<Time>) {
    scale.subscribeVisibleLogicalRangeChange(() => this.watch());
  }

  /** Whether all columns are in sight because nobody moved the view. */
  get holds(): boolean {
    return this.asked !== null;
  }

  /** The view is somebody else's now. */
  release(): void {
    this.asked = null;
  }

  /** Show `columns` columns, with `spare` pixels free at the right. */
  show(columns: number, spare: number): void {
    const width = this.scale.width();
    const [from, to] = wholeRange(columns, width, spare);
    const asked = { from, to, width, seen: false };
    this.asked = asked;
    // Before the first layout there is no width; the chart's size event comes back here.
    if (width > 0) this.ask(asked, MOST_TRIES);
  }

  /**
   * Run what adds a column: the chart moves on by it, which is no move of the person.
   * False when the range asked for was not taken yet, and must be asked for again.
   */
  through(change: () => void): boolean {
    const before = this.asked;
    this.asked = null;
    change();
    const range = this.scale.getVisibleLogicalRange();
    if (before && range) this.asked = { ...before, from: range.from, to: range.to };
    return !before || before.seen;
  }

  /**
   * The chart takes a range in its next paint; when that paint itself finds a new width, it
   * applies the range asked for before once more, over the newer one. So look again after it.
   */
  private ask(asked: Asked, tries: number): void {
    const { from, to } = asked;
    this.scale.setVisibleLogicalRange({ from: from as Logical, to: to as Logical });
    requestAnimationFrame(() => {
      this.watch();
      if (this.asked === asked && !asked.seen && tries > 1) this.ask(asked, tries - 1);
    });
  }

  private watch(): void {
    const { asked } = this;
    const range = this.scale.getVisibleLogicalRange();
    if (!asked || !range) return;
    const off = Math.max(Math.abs(range.from - asked.from), Math.abs(range.to - asked.to));
    if (off < 1e-6 * (asked.to - asked.from)) asked.seen = true;
    else if (asked.seen && this.scale.width() === asked.width) this.asked = null;
  }
}

import { beforeEach, describe, expect, it, vi } from 'vitest';

import { Frame, wholeRange } from '../src/engine/frame';

/** A time scale which takes a range only when it paints, as the chart's does. */
class Scale {
  range = { from: 0, to: 10 };
  asked: { from: number; to: number } | null = null;
  pixels = 1000;
  private listener = (): void => {};

  width = (): number => this.pixels;
  getVisibleLogicalRange = (): { from: number; to: number } => this.range;
  subscribeVisibleLogicalRangeChange = (listener: () => void): void => void (this.listener = listener);
  setVisibleLogicalRange = (range: { from: number; to: number }): void => void (this.asked = range);

  paint(): void {
    if (this.asked) this.move(this.asked);
    this.asked = null;
  }

  move(range: { from: number; to: number }): void {
    this.range = range;
    this.listener();
  }
}

let jobs: (() => void)[] = [];
const frame = (scale: Scale): void => {
  scale.paint();
  for (const job of jobs.splice(0)) job();
};

beforeEach(() => {
  jobs = [];
  vi.stubGlobal('requestAnimationFrame', (job: () => void) => jobs.push(job));
});

const make = (): [Scale, Frame] => {
  const scale = new Scale();
  return [scale, new Frame(scale as unknown as ConstructorParameters<typeof Frame>[0])];
};

describe('wholeRange', () => {
  it('leaves the spare pixels free at the right', () => {
    const [from, to] = wholeRange(100, 1000, 200);
    expect(from).toBe(-0.5);
    // 125 columns wide, 100 of them filled: 800 of 1000 pixels.
    expect((99.5 - from) / (to - from)).toBeCloseTo(0.8);
  });

  it('does not blow up a few columns', () => {
    expect(wholeRange(2, 1000, 0)).toEqual([-22.5, 1.5]);
  });
});

describe('Frame', () => {
  it('asks again when a paint put an older range over the newer one', () => {
    const [scale, view] = make();
    view.show(100, 0);
    scale.asked = { from: -0.5, to: 90 };
    frame(scale);
    expect(scale.range.to).toBe(90);
    frame(scale);
    expect(scale.range).toEqual({ from: -0.5, to: 99.5 });
    expect(jobs.length).toBeLessThan(2);
  });

  it('gives up on a range which the chart does not take', () => {
    const [scale, view] = make();
    view.show(100, 0);
    for (let i = 0; i < 10; i++) {
      scale.asked = null;
      frame(scale);
    }
    expect(jobs).toEqual([]);
  });

  it('is let go by a move of the person, not by a column or a new width', () => {
    const [scale, view] = make();
    view.show(100, 0);
    frame(scale);
    expect(view.through(() => scale.move({ from: 0.5, to: 100.5 }))).toBe(true);
    expect(view.holds).toBe(true);
    scale.pixels = 800;
    scale.move({ from: 20, to: 100.5 });
    expect(view.holds).toBe(true);
    view.show(101, 0);
    frame(scale);
    scale.move({ from: 30, to: 60 });
    expect(view.holds).toBe(false);
  });

  it('waits for a width, and says when a column came before the range was taken', () => {
    const [scale, view] = make();
    scale.pixels = 0;
    view.show(100, 0);
    expect(scale.asked).toBeNull();
    expect(view.holds).toBe(true);
    expect(view.through(() => {})).toBe(false);
  });
});

/** How many columns a playing map goes on by; knows no clock and no map. */

/** Columns a second. */
export const SPEEDS = [1, 2, 5, 10, 30, 60] as const;
export type Speed = (typeof SPEEDS)[number];

/** A frame which took longer than this was no frame: the tab slept. */
const FRAME_MOST_MS = 250;

export class Player {
  private left = 0;
  private beforeMs: number | null = null;

  /** Forget what is left over of the last frame. */
  rest(): void {
    this.left = 0;
    this.beforeMs = null;
  }

  /** Columns to go on by at a frame. */
  frame(nowMs: number, speed: number): number {
    const elapsed = this.beforeMs === null ? 0 : Math.min(FRAME_MOST_MS, nowMs - this.beforeMs);
    this.beforeMs = nowMs;
    this.left += (elapsed * speed) / 1000;
    const columns = Math.floor(this.left);
    this.left -= columns;
    return columns;
  }
}

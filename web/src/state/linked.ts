/**
 * Panels side by side share the cursor and, where their range is the same, the time in sight.
 *
 * Whoever the person touches leads; the others follow and tell nobody, so nothing echoes.
 */

import { activate, panels, type Panel } from './panel';

let following = false;
let leader: Panel | null = null;

/** The pointer came to a panel: it leads from now on. */
export function lead(panel: Panel): void {
  leader = panel;
}

/** The person pressed or focused something in a panel: the toolbar acts on it from now on. */
export function take(panel: Panel): void {
  leader = panel;
  activate(panel);
}

function follow(panel: Panel, tell: (other: Panel) => void): void {
  if (following || leader !== panel) return;
  following = true;
  for (const other of panels.peek()) if (other !== panel) tell(other);
  following = false;
}

/** The price on another panel: the same of one coin, else as far from the price of the other. */
function priceOn(other: Panel, panel: Panel, price: number): number {
  if (other.instrument.peek()?.coin === panel.instrument.peek()?.coin) return price;
  return other.lastPrice.peek() * (price / panel.lastPrice.peek());
}

/** The cursor moved on one panel: the others show the same time, and the price or its distance. */
export function linkCursor(panel: Panel): void {
  const at = panel.cursor.peek();
  const m = panel.matrix.peek();
  follow(panel, (other) => {
    const chart = other.chart.peek();
    const mine = other.matrix.peek();
    if (!chart || !mine) return;
    if (!at || !m) chart.clearCursor();
    else chart.showCursor(mine.columnOf(m.timeMs(at.column)), priceOn(other, panel, at.price));
  });
}

/** The time in sight changed on one panel [ms]. */
export function linkTime(panel: Panel, fromMs: number, toMs: number): void {
  follow(panel, (other) => {
    if (other.query.peek().range === panel.query.peek().range) other.chart.peek()?.setTimeRange(fromMs, toMs);
  });
}

/** Into time travel and out of it; what goes on there is in state/replay, fetched when needed. */

import { active } from './panel';

/** Where one starts: so much of the window is known, the rest lies ahead. */
const START_SHARE = 0.75;

/** Go to the moment of the pinned cell, or some way back; from the past back to now. */
export function toggleTravel(): void {
  const p = active.value;
  const m = p.matrix.peek();
  if (p.query.peek().asOfMs !== null) p.set({ asOfMs: null }, 'push');
  else if (m && m.width > 1) {
    const column = p.pin.peek() ? m.columnOf(p.pin.peek()!.timeMs) + 1 : Math.round(START_SHARE * m.width);
    p.set({ asOfMs: m.timeMs(Math.max(1, Math.min(m.width - 1, column))) }, 'push');
  }
}

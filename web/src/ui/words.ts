/** What a cell is called, for the eye and for the ear. */

import { cellAt, usdBetween } from '../engine/levels';
import type { HeatMatrix, Side } from '../engine/matrix';
import { formatUsd } from '../format';

export const SIDE_TEXT: Record<Side, string> = { long: '▼ longs', short: '▲ shorts' };

/** What the cursor's cell and way hold, in words; also what a screen reader is told. */
export function describe(m: HeatMatrix, column: number, price: number, last: number) {
  const cell = cellAt(m, column, price);
  const at = Math.max(0, Math.min(column, m.width - 1));
  const usd = cell && cell.usd > 0 ? `~${formatUsd(cell.usd)}` : null;
  const way = usdBetween(m, last, price);
  const waySide: Side = price < last ? 'long' : 'short';
  return { cell, at, usd, way, waySide, distance: price / last - 1 };
}

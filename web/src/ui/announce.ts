/** What a screen reader hears: the keyboard cursor's cell, and rarely the state. */

import { formatTime } from '../engine/axis';
import { formatPercent, formatPrice, formatUsd } from '../format';
import { announcement } from '../state/page';
import { active } from '../state/panel';
import { describe } from './words';

const PAUSE_MS = 350;
let timer: number | null = null;

function speak(): void {
  timer = null;
  const p = active.value;
  const m = p.matrix.value;
  const at = p.cursor.value;
  if (!m || !at) return;
  const last = p.lastPrice.value;
  const { cell, usd, way, waySide, distance, at: column } = describe(m, at.column, at.price, last);
  const price = formatPrice(at.price, p.chart.value?.priceDecimals ?? 2);
  const level = cell && usd ? `${usd} ${cell.side}s` : 'no level';
  announcement.value =
    `${price}, ${formatPercent(distance)}, ${formatTime(m.timeMs(column), p.query.value.zone)}: ${level}. ` +
    `On the way from the price: ${formatUsd(way)} ${waySide}s.`;
}

/** Speak once the cursor rests. */
export function announceCursor(): void {
  if (timer !== null) window.clearTimeout(timer);
  timer = window.setTimeout(speak, PAUSE_MS);
}

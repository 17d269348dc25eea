/** Times on a line: round ones for a scale, and what a date field reads and writes. */

import { formatTime, type Zone } from './axis';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 4, 7, 14, 28, 56, 91].map((n) => n * DAY),
];

export interface TimeTick {
  readonly timeMs: number;
  readonly label: string;
}

/** What the zone is ahead of UTC at a time [ms]. */
function aheadMs(timeMs: number, zone: Zone): number {
  return zone === 'utc' ? 0 : -new Date(timeMs).getTimezoneOffset() * MINUTE;
}

/** At most `count` round times of the zone in [fromMs, toMs]; a midnight is named by its day. */
export function timeTicks(fromMs: number, toMs: number, count: number, zone: Zone): TimeTick[] {
  const span = toMs - fromMs;
  const step = STEPS.find((s) => span / s <= count) ?? STEPS[STEPS.length - 1];
  const ahead = aheadMs(fromMs, zone);
  const out: TimeTick[] = [];
  for (let t = Math.ceil((fromMs + ahead) / step) * step; t - ahead <= toMs; t += step) {
    const timeMs = t - ahead;
    out.push({ timeMs, label: formatTime(timeMs, zone, t % DAY === 0 ? 'day' : 'minute') });
  }
  return out.slice(0, count + 1);
}

/** "2026-11-20T18:05", as `<input type="datetime-local">` has it. */
export function toField(timeMs: number, zone: Zone): string {
  return new Date(timeMs + aheadMs(timeMs, zone)).toISOString().slice(0, 16);
}

/** The time a date field says; null while it says none. */
export function fromField(value: string, zone: Zone): number | null {
  // Without a zone such a text is local time, with Z it is UTC.
  const timeMs = Date.parse(zone === 'utc' ? `${value}Z` : value);
  return Number.isNaN(timeMs) ? null : timeMs;
}

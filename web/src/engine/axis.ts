/**
 * Time and price labels of the axes. The chart library knows UTC only and no thousands
 * separators, so both are ours; the data itself is never shifted.
 */

import { TickMarkType } from 'lightweight-charts';

export type Zone = 'utc' | 'local';

type Kind = 'year' | 'month' | 'day' | 'minute' | 'second' | 'full';

const OPTIONS: Record<Kind, Intl.DateTimeFormatOptions> = {
  year: { year: 'numeric' },
  month: { month: 'short' },
  day: { day: 'numeric', month: 'short' },
  minute: { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  second: { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
  full: {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  },
};

const cache = new Map<string, Intl.DateTimeFormat>();

function formatter(kind: Kind, zone: Zone): Intl.DateTimeFormat {
  const key = `${kind}/${zone}`;
  let known = cache.get(key);
  if (!known) {
    const utc = zone === 'utc' ? { timeZone: 'UTC' } : {};
    known = new Intl.DateTimeFormat('en-GB', { ...OPTIONS[kind], ...utc });
    cache.set(key, known);
  }
  return known;
}

export function formatTime(timeMs: number, zone: Zone, kind: Kind = 'full'): string {
  return formatter(kind, zone).format(timeMs).replaceAll(',', '');
}

/** Short name of the zone for the corner: "UTC" or "UTC+02:00". */
export function zoneLabel(zone: Zone, nowMs: number): string {
  if (zone === 'utc') return 'UTC';
  const minutes = -new Date(nowMs).getTimezoneOffset();
  if (minutes === 0) return 'UTC+00:00';
  const hm = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes < 0 ? '−' : '+'}${hm.map((n) => String(n).padStart(2, '0')).join(':')}`;
}

const TICKS: Record<number, Kind> = {
  [TickMarkType.Year]: 'year',
  [TickMarkType.Month]: 'month',
  [TickMarkType.DayOfMonth]: 'day',
  [TickMarkType.Time]: 'minute',
  [TickMarkType.TimeWithSeconds]: 'second',
};

export function tickLabel(timeS: number, type: TickMarkType, zone: Zone): string {
  return formatTime(timeS * 1000, zone, TICKS[type]);
}

/** Decimals a price needs: from the tick size when known, else five significant digits. */
export function priceDecimals(price: number, tickSize?: number): number {
  if (tickSize && tickSize > 0) return Math.max(0, Math.min(10, Math.ceil(-Math.log10(tickSize) - 1e-9)));
  if (!(price > 0)) return 2;
  return Math.max(0, Math.min(10, 4 - Math.floor(Math.log10(price))));
}

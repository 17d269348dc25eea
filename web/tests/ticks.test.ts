import { describe, expect, it } from 'vitest';

import { fromField, timeTicks, toField } from '../src/engine/ticks';

const at = (text: string): number => Date.parse(text);

describe('ticks', () => {
  it('are round times, a midnight by its day', () => {
    const ticks = timeTicks(at('2026-11-18T07:35Z'), at('2026-11-20T18:05Z'), 8, 'utc');
    expect(ticks.map((tick) => tick.label)).toEqual(['12:00', '19 Nov', '12:00', '20 Nov', '12:00']);
    expect(ticks[1].timeMs).toBe(at('2026-11-19T00:00Z'));
  });

  it('are never too many', () => {
    for (const hours of [1, 7, 24, 100, 700, 9000, 100_000]) {
      const from = at('2026-01-01T00:00Z');
      const ticks = timeTicks(from, from + hours * 3_600_000, 6, 'utc');
      expect(ticks.length).toBeGreaterThan(1);
      expect(ticks.length).toBeLessThanOrEqual(7);
    }
  });

  it('follow the zone', () => {
    const from = new Date(2026, 10, 18, 7, 35).getTime();
    const [first] = timeTicks(from, from + 86_400_000, 3, 'local');
    expect(new Date(first.timeMs).getHours() % 12).toBe(0);
  });
});

describe('date field', () => {
  it('reads what it writes, in UTC and in local time', () => {
    const timeMs = at('2026-11-20T18:05Z');
    expect(toField(timeMs, 'utc')).toBe('2026-11-20T18:05');
    for (const zone of ['utc', 'local'] as const) {
      expect(fromField(toField(timeMs, zone), zone)).toBe(timeMs);
      expect(fromField('', zone)).toBeNull();
    }
  });
});

import { describe, expect, it } from 'vitest';

import { buildProfile } from '../src/engine/profile';
import { Replay, snapshotOf } from '../src/engine/replay';
import { inView } from '../src/engine/room';
import { HeatMatrix } from '../src/engine/matrix';
import type { Realised } from '../src/engine/tape';
import type { Snapshot } from '../src/net/codec';

const STEP = 60_000;
const T0 = 1_000_000 * STEP;

/** A walk of prices and random codes; columns from `same` on depend on `seed`. */
function windowOf(columns: number, bins: number, same: number, seed: number): Snapshot {
  let state = 7;
  const random = (): number => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648;
  const codes = new Uint8Array(columns * bins);
  const close = new Float32Array(columns);
  const high = new Float32Array(columns);
  const low = new Float32Array(columns);
  let price = 100;
  for (let t = 0; t < columns; t++) {
    if (t === same) state = seed;
    price *= 1 + 0.004 * (random() - 0.5) * (t >= same ? 5 : 1);
    close[t] = price;
    high[t] = price * (1 + 0.001 * random());
    low[t] = price * (1 - 0.001 * random());
    // Later columns are far hotter: a color range or a pooled group would show it.
    const top = t >= same ? 250 : 120;
    for (let p = 0; p < bins; p++) codes[t * bins + p] = random() < 0.2 ? 0 : Math.floor(top * random());
  }
  return {
    header: {
      columns, bins, t0Ms: T0, stepMs: STEP, log: true, pLo: 80, pStep: Math.log(1.5) / bins,
      vMin: 1e3, vMax: 1e8, model: 1, seq: 1, simulated: false, replay: false, hasCandles: true,
    },
    codes,
    candles: { open: close.slice(), high, low, close, qty: close.slice() },
  };
}

function rowsOf(columns: number, same: number, size: number): Realised[] {
  const rows: Realised[] = [];
  for (let t = 0; t < columns; t++) {
    const usd = t >= same ? 1e6 * size : 1e4;
    rows.push({ timeMs: T0 + t * STEP + 17_000, price: 100, usd, side: t % 2 ? 'long' : 'short' });
  }
  return rows;
}

const COLUMNS = 133;
const BINS = 60;
const FACTORS = [
  [1, 1],
  [2, 1],
  [4, 2],
  [8, 4],
] as const;

/** Everything the page could draw or say, and what lies in memory behind it. */
function seen(replay: Replay): unknown {
  const { shown, tape, range, column, asOfMs } = replay;
  const view = inView(shown, ...shown.priceRange()!);
  return {
    column,
    asOfMs,
    range,
    view,
    codes: [...shown.codes],
    candles: Object.values(shown.candles).map((series) => [...series]),
    sides: [...shown.sideClose],
    levels: FACTORS.map(([t, p]) => [...shown.pyramid.level(t, p, shown.width).codes]),
    profile: buildProfile(shown),
    bubbles: tape.bubbles(shown, 4, 8),
    ahead: shown.ahead,
  };
}

describe('replay', () => {
  for (const k of [0, 1, 15, 16, 40, 63, 64, 100]) {
    it(`shows nothing of what came after column ${k}`, () => {
      const two = [3, 11].map((seed) => {
        const replay = new Replay(windowOf(COLUMNS, BINS, k + 1, seed), rowsOf(COLUMNS, k + 1, seed));
        // Look at all of it, levels of every kind built, then go back.
        replay.seek(COLUMNS - 1);
        seen(replay);
        replay.seek(k);
        return replay;
      });
      expect(seen(two[0])).toEqual(seen(two[1]));
      two[0].seek(k + 1);
      two[1].seek(k + 1);
      expect(two[0].shown.column(k + 1)).not.toEqual(two[1].shown.column(k + 1));
    });
  }

  it('shows nothing of what came after with one side hidden either', () => {
    const two = [3, 11].map((seed) => {
      const replay = new Replay(windowOf(COLUMNS, BINS, 41, seed), []);
      replay.shown.showSide('short');
      replay.seek(COLUMNS - 1);
      seen(replay);
      replay.seek(40);
      return replay;
    });
    expect(seen(two[0])).toEqual(seen(two[1]));
    const level = two[0].shown.pyramid.level(1, 1, 41).codes;
    expect(level.subarray(41 * BINS).some((code) => code > 0)).toBe(false);
    expect(level.subarray(0, 41 * BINS).some((code) => code > 0)).toBe(true);
  });

  it('gives what followed only to who asks', () => {
    const replay = new Replay(windowOf(COLUMNS, BINS, 200, 1), rowsOf(COLUMNS, 200, 1));
    replay.seek(20);
    const before = seen(replay);
    expect(replay.reveal(true)?.width).toBe(COLUMNS);
    expect(replay.tape.bubbles(replay.shown, 1, 1)).toHaveLength(COLUMNS);
    expect(replay.reveal(false)).toBeNull();
    expect(seen(replay)).toEqual(before);
    replay.reveal(true);
    replay.seek(21);
    expect(replay.tape.bubbles(replay.shown, 1, 1)).toHaveLength(22);
  });

  it('is the same picture however one got there', () => {
    const rows = rowsOf(COLUMNS, 200, 1);
    const direct = new Replay(windowOf(COLUMNS, BINS, 200, 1), rows);
    const wandering = new Replay(windowOf(COLUMNS, BINS, 200, 1), rows);
    seen(wandering);
    for (const k of [1, 2, 3, 80, 79, 12, 132, 131, 57, 58, 59]) wandering.seek(k);
    direct.seek(59);
    expect(seen(wandering)).toEqual(seen(direct));
  });

  it('is the window itself at its end', () => {
    const window = windowOf(COLUMNS, BINS, 200, 1);
    const whole = new HeatMatrix(window);
    const replay = new Replay(snapshotOf(whole), rowsOf(COLUMNS, 200, 1));
    replay.seek(10_000);
    const { shown } = replay;
    expect(shown.width).toBe(COLUMNS);
    expect(shown.codes.subarray(0, COLUMNS * BINS)).toEqual(window.codes);
    expect(shown.pyramid.level(8, 4, COLUMNS)).toEqual(expect.objectContaining({ t: 8, p: 4 }));
    expect([...shown.pyramid.level(8, 4, COLUMNS).codes.subarray(0, 17 * 15)]).toEqual([
      ...whole.pyramid.level(8, 4, COLUMNS).codes.subarray(0, 17 * 15),
    ]);
    expect(shown.ahead).toBe(0);
    expect(replay.asOfMs).toBe(T0 + COLUMNS * STEP);
  });

  it('says which columns moved, and nothing when none did', () => {
    const replay = new Replay(windowOf(COLUMNS, BINS, 200, 1), []);
    expect(replay.seek(0)).toBeNull();
    expect(replay.seek(1)).toEqual({ first: 1, last: 1 });
    expect(replay.seek(9)).toEqual({ first: 2, last: 9 });
    expect(replay.seek(4)).toEqual({ first: 5, last: 9 });
    expect(replay.seek(-3)).toEqual({ first: 1, last: 4 });
    expect(replay.column).toBe(0);
  });

  it('stands at the last column which had ended by a time', () => {
    const replay = new Replay(windowOf(COLUMNS, BINS, 200, 1), []);
    expect(replay.span).toEqual([T0 + STEP, T0 + COLUMNS * STEP]);
    for (const [timeMs, k] of [
      [T0 - 5, 0],
      [T0 + STEP, 0],
      [T0 + 2 * STEP - 1, 0],
      [T0 + 2 * STEP, 1],
      [T0 + 1e12, COLUMNS - 1],
    ]) {
      expect(replay.columnAt(timeMs)).toBe(k);
    }
    replay.seek(replay.columnAt(T0 + 50 * STEP));
    expect(replay.asOfMs).toBe(T0 + 50 * STEP);
  });

  it('goes on unmoved while the live matrix scrolls and grows', () => {
    const live = new HeatMatrix(windowOf(COLUMNS, BINS, 200, 1));
    const replay = new Replay(snapshotOf(live, COLUMNS - 1), []);
    replay.seek(COLUMNS - 2);
    const before = seen(replay);
    for (let i = 0; i < 200; i++) live.append([1, 1, 1, 1, 1], new Uint8Array(BINS).fill(255));
    expect(live.dropped).toBeGreaterThan(0);
    expect(seen(replay)).toEqual(before);
    expect(new Replay(snapshotOf(live), []).span[1]).toBe(live.timeMs(live.width));
  });
});

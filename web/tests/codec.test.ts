import { gzipSync } from 'node:zlib';

import { describe, expect, it } from 'vitest';

import {
  WireError,
  decodeSnapshot,
  encodeUsd,
  gunzip,
  readFrame,
  readHeader,
  undelta,
  unshuffle,
  usdTable,
} from '../src/net/codec';
import { fixtureBytes, fixtureJson } from './helpers';

const want = fixtureJson();

function frame(type: number, seq: bigint, payload: number[] = []): ArrayBuffer {
  const bytes = new Uint8Array(9 + payload.length);
  bytes[0] = type;
  new DataView(bytes.buffer).setBigUint64(1, seq, true);
  bytes.set(payload, 9);
  return bytes.buffer;
}

function columnPayload(column: number, candle: number[], rest: number[]): number[] {
  const bytes = new Uint8Array(24 + rest.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, column, true);
  candle.forEach((x, i) => view.setFloat32(4 + 4 * i, x, true));
  bytes.set(rest, 24);
  return [...bytes];
}

describe('header', () => {
  it('reads every field of the fixture', () => {
    const header = readHeader(fixtureBytes());
    expect(header).toEqual({
      columns: want.columns,
      bins: want.bins,
      t0Ms: want.t0_ms,
      stepMs: want.step_ms,
      pLo: want.p_lo,
      pStep: want.p_step,
      vMin: want.v_min,
      vMax: want.v_max,
      seq: want.seq,
      model: want.model,
      log: true,
      simulated: true,
      replay: false,
      hasCandles: true,
    });
  });

  it.each([
    ['magic', 0, 0],
    ['version', 4, 2],
    ['columns', 11, 255],
  ])('refuses a wrong %s', (_what, at, value) => {
    const bytes = fixtureBytes();
    bytes[at] = value;
    expect(() => readHeader(bytes)).toThrow(WireError);
  });

  it.each([
    ['price', 32, NaN],
    ['price', 40, 0],
    ['price', 40, NaN],
  ])('refuses a grid without %s (f64 at %i = %f)', (said, at, value) => {
    const bytes = fixtureBytes().slice();
    new DataView(bytes.buffer).setFloat64(at, value, true);
    expect(() => readHeader(bytes)).toThrow(said);
  });

  it('refuses values without a range, and steps without length', () => {
    const values = fixtureBytes().slice();
    new DataView(values.buffer).setFloat32(48, NaN, true);
    expect(() => readHeader(values)).toThrow('values from NaN');
    const step = fixtureBytes().slice();
    new DataView(step.buffer).setBigInt64(24, 0n, true);
    expect(() => readHeader(step)).toThrow('step of 0 ms');
  });

  it('refuses a short one', () => {
    expect(() => readHeader(fixtureBytes().subarray(0, 63))).toThrow(WireError);
  });
});

describe('snapshot', () => {
  it('gives the codes and candles of the fixture', () => {
    const { codes, candles } = decodeSnapshot(fixtureBytes());
    expect([...codes]).toEqual(want.codes.flat());
    for (const name of ['open', 'high', 'low', 'close', 'qty'] as const) {
      const values = [...candles[name]].map((x) => (Number.isNaN(x) ? null : x));
      expect(values).toEqual(want.candles[name]);
    }
    expect(candles.close[want.gap_column]).toBeNaN();
  });

  it('refuses a body of another length', () => {
    expect(() => decodeSnapshot(fixtureBytes().slice(0, -1))).toThrow(/204|expected/);
  });

  it('survives gzip', async () => {
    const packed = new Uint8Array(gzipSync(fixtureBytes()));
    expect([...(await gunzip(packed))]).toEqual([...fixtureBytes()]);
  });
});

describe('values', () => {
  it('come back within half a step of the log scale', () => {
    const usd = usdTable(want.v_min, want.v_max);
    const half = Math.exp(Math.log(want.v_max / want.v_min) / 254 / 2);
    want.usd.flat().forEach((value, i) => {
      const code = want.codes.flat()[i];
      expect(encodeUsd(value, want.v_min, want.v_max)).toBe(code);
      if (code === 0) expect(value).toBeLessThan(want.v_min);
      else {
        expect(usd[code] / value).toBeLessThan(half * 1.0001);
        expect(value / usd[code]).toBeLessThan(half * 1.0001);
      }
    });
    expect(usd[0]).toBe(0);
    expect(usd[1]).toBeCloseTo(want.v_min, 3);
    expect(usd[255]).toBeCloseTo(want.v_max, 0);
  });

  it('undelta wraps modulo 256', () => {
    const codes = Uint8Array.from([200, 1, 100, 255, 0, 0]);
    undelta(codes, 3, 2);
    expect([...codes]).toEqual([200, 1, 44, 0, 44, 0]);
  });

  it('unshuffle puts byte planes together', () => {
    const raw = new Uint8Array(Float32Array.from([1.5, -2, 0.1]).buffer);
    const planes = new Uint8Array(12);
    raw.forEach((byte, i) => (planes[(i % 4) * 3 + Math.floor(i / 4)] = byte));
    expect([...unshuffle(planes, 3)]).toEqual([1.5, -2, Math.fround(0.1)]);
  });
});

describe('frames', () => {
  it('reads seq as 64 bits', () => {
    expect(readFrame(frame(5, 2n ** 40n + 7n))).toEqual({ kind: 'heartbeat', seq: 2 ** 40 + 7 });
  });

  it.each([
    [2, 'append'],
    [3, 'replace'],
  ])('reads a dense column (type %i)', (type, kind) => {
    const read = readFrame(frame(type, 9n, columnPayload(5, [1, 2, 0.5, 1.5, 8], [7, 0, 255])));
    expect(read).toMatchObject({ kind, seq: 9, column: 5, candle: [1, 2, 0.5, 1.5, 8] });
    expect(read.kind !== 'snapshot' && read.kind !== 'heartbeat' && [...read.codes]).toEqual([7, 0, 255]);
  });

  it('reads sparse changes', () => {
    const rest = [2, 0, 1, 0, 44, 1, 9, 200]; // n=2, bins 1 and 300, codes 9 and 200
    const read = readFrame(frame(4, 10n, columnPayload(6, [1, 1, 1, 1, 0], rest)));
    if (read.kind !== 'sparse') throw new Error(read.kind);
    expect([...read.bins]).toEqual([1, 300]);
    expect([...read.codes]).toEqual([9, 200]);
  });

  it.each([
    ['too short', new ArrayBuffer(8)],
    ['of an unknown type', frame(9, 1n)],
    ['with a cut column', frame(2, 1n, [0, 0, 0])],
    ['with too few sparse changes', frame(4, 1n, columnPayload(0, [1, 1, 1, 1, 1], [3, 0, 1]))],
  ])('refuses one %s', (_what, buffer) => {
    expect(() => readFrame(buffer)).toThrow(WireError);
  });
});

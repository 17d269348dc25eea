/**
 * The binary wire format: bytes in, typed arrays out.
 *
 * A heat matrix is W columns (time) x H bins (price, ascending) of one byte. Code 0 is
 * "nothing"; code c in 1..255 stands for `v_min * (v_max/v_min)^((c-1)/254)` USD. Columns
 * are stored as the difference to the column before, so that gzip sees almost only zeros.
 *
 *     section B  = header (64 bytes) | W*H delta codes | 5 shuffled f32 arrays of W (flag bit 3)
 *     frame      = type u8 | seq u64 | payload                       (WebSocket, binary)
 *
 * Everything is little-endian. This module knows no socket, no clock and no picture; the
 * fixture in tests/golden/wire is read by its tests and by the server's.
 */

export const HEADER_BYTES = 64;
const MAGIC = 0x4d48514c; // "LQHM" read as u32 LE
const VERSION = 1;
const MAX_COLUMNS = 16384;
const MAX_BINS = 4096;

/** Bits of the header's flags byte. */
export const FLAG = { LOG: 1, SIMULATED: 2, REPLAY: 4, CANDLES: 8 } as const;

/** Price and time geometry of a matrix, and the USD range of its codes. */
export interface Grid {
  readonly bins: number;
  readonly t0Ms: number;
  readonly stepMs: number;
  readonly log: boolean;
  /** Lower edge of bin 0. */
  readonly pLo: number;
  /** Width of a bin: in ln(price) when `log`, else in price. */
  readonly pStep: number;
  readonly vMin: number;
  readonly vMax: number;
}

export interface Header extends Grid {
  readonly columns: number;
  readonly model: number;
  readonly seq: number;
  readonly simulated: boolean;
  readonly replay: boolean;
  readonly hasCandles: boolean;
}

/** One array per field, one entry per column; NaN where the step has no data. */
export interface Candles {
  readonly open: Float32Array;
  readonly high: Float32Array;
  readonly low: Float32Array;
  readonly close: Float32Array;
  readonly qty: Float32Array;
}

export interface Snapshot {
  readonly header: Header;
  /** Column-major codes: column t is `codes.subarray(t*H, (t+1)*H)`. */
  readonly codes: Uint8Array<ArrayBuffer>;
  readonly candles: Candles;
}

/** Open, high, low, close, qty of one column. */
export type CandleRow = readonly [number, number, number, number, number];

/** A whole column: one more at the right (append), or another state of one (replace). */
export interface DenseFrame {
  readonly kind: 'append' | 'replace';
  readonly seq: number;
  readonly column: number;
  readonly candle: CandleRow;
  readonly codes: Uint8Array;
}

/** The bins of a column which changed. */
export interface SparseFrame {
  readonly kind: 'sparse';
  readonly seq: number;
  readonly column: number;
  readonly candle: CandleRow;
  readonly bins: Uint16Array;
  readonly codes: Uint8Array;
}

export type Frame =
  | { readonly kind: 'snapshot'; readonly seq: number; readonly payload: Uint8Array<ArrayBuffer> }
  | DenseFrame
  | SparseFrame
  | { readonly kind: 'heartbeat'; readonly seq: number };

export class WireError extends Error {
  override readonly name = 'WireError';
}

/** Read and check the 64-byte header. */
export function readHeader(bytes: Uint8Array): Header {
  if (bytes.length < HEADER_BYTES) throw new WireError(`header of ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (view.getUint32(0, true) !== MAGIC) throw new WireError('not a heat matrix (magic)');
  if (view.getUint8(4) !== VERSION) throw new WireError(`version ${view.getUint8(4)}, not 1`);
  const flags = view.getUint8(5);
  const columns = view.getUint32(8, true);
  const bins = view.getUint32(12, true);
  if (columns > MAX_COLUMNS || bins > MAX_BINS || bins === 0) {
    throw new WireError(`matrix of ${columns} x ${bins} is out of bounds`);
  }
  const header = {
    columns,
    bins,
    log: (flags & FLAG.LOG) !== 0,
    simulated: (flags & FLAG.SIMULATED) !== 0,
    replay: (flags & FLAG.REPLAY) !== 0,
    hasCandles: (flags & FLAG.CANDLES) !== 0,
    model: view.getUint8(6),
    t0Ms: Number(view.getBigInt64(16, true)),
    stepMs: Number(view.getBigInt64(24, true)),
    pLo: view.getFloat64(32, true),
    pStep: view.getFloat64(40, true),
    vMin: view.getFloat32(48, true),
    vMax: view.getFloat32(52, true),
    seq: Number(view.getBigUint64(56, true)),
  };
  checkGrid(header);
  return header;
}

/** A grid which nothing can be drawn on is refused: it would be a blank picture without a word. */
function checkGrid({ pLo, pStep, vMin, vMax, stepMs, log }: Header): void {
  const prices = Number.isFinite(pLo) && pStep > 0 && pStep < Infinity && (pLo > 0 || !log);
  if (!prices) throw new WireError(`price grid from ${pLo} by ${pStep}`);
  if (!(stepMs > 0)) throw new WireError(`step of ${stepMs} ms`);
  if (!(vMin > 0 && vMax >= vMin && vMax < Infinity)) throw new WireError(`values from ${vMin} to ${vMax}`);
}

/** Undo the delta along time, in place: code[t] = (stored[t] + code[t-1]) mod 256. */
export function undelta(codes: Uint8Array, columns: number, bins: number): void {
  // Uint8Array stores wrap modulo 256 by themselves.
  for (let i = bins, n = columns * bins; i < n; i++) codes[i] += codes[i - bins];
}

/** Rebuild f32 values from byte planes: all byte 0, then all byte 1, ... */
export function unshuffle(planes: Uint8Array, count: number): Float32Array<ArrayBuffer> {
  const bytes = new Uint8Array(count * 4);
  for (let k = 0; k < 4; k++) {
    const plane = planes.subarray(k * count, (k + 1) * count);
    for (let i = 0; i < count; i++) bytes[i * 4 + k] = plane[i];
  }
  const out = new Float32Array(count);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) out[i] = view.getFloat32(i * 4, true);
  return out;
}

/** Decode section B. The codes are undeltaed inside `bytes`: do not use it afterwards. */
export function decodeSnapshot(bytes: Uint8Array<ArrayBuffer>): Snapshot {
  const header = readHeader(bytes);
  const { columns: w, bins: h } = header;
  const body = HEADER_BYTES + w * h;
  const expected = body + (header.hasCandles ? 5 * 4 * w : 0);
  if (bytes.length !== expected) {
    throw new WireError(`body of ${bytes.length} bytes, expected ${expected}`);
  }
  const codes = bytes.subarray(HEADER_BYTES, body);
  undelta(codes, w, h);
  const field = (i: number): Float32Array =>
    header.hasCandles
      ? unshuffle(bytes.subarray(body + i * 4 * w, body + (i + 1) * 4 * w), w)
      : new Float32Array(w).fill(NaN);
  return {
    header,
    codes,
    candles: { open: field(0), high: field(1), low: field(2), close: field(3), qty: field(4) },
  };
}

export async function gunzip(payload: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([payload]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const FRAME_BYTES = 9;
const COLUMN_BYTES = FRAME_BYTES + 4 + 20;

function readCandle(view: DataView, at: number): CandleRow {
  const f = (i: number): number => view.getFloat32(at + 4 * i, true);
  return [f(0), f(1), f(2), f(3), f(4)];
}

/** Split one binary WebSocket message. Snapshot payloads stay compressed. */
export function readFrame(buffer: ArrayBuffer): Frame {
  const view = new DataView(buffer);
  if (view.byteLength < FRAME_BYTES) throw new WireError(`frame of ${view.byteLength} bytes`);
  const type = view.getUint8(0);
  const seq = Number(view.getBigUint64(1, true));
  if (type === 1) return { kind: 'snapshot', seq, payload: new Uint8Array(buffer, FRAME_BYTES) };
  if (type === 5) return { kind: 'heartbeat', seq };
  if (type < 2 || type > 4) throw new WireError(`frame of unknown type ${type}`);
  if (view.byteLength < COLUMN_BYTES) throw new WireError(`column of ${view.byteLength} bytes`);
  const column = view.getUint32(FRAME_BYTES, true);
  const candle = readCandle(view, FRAME_BYTES + 4);
  if (type !== 4) {
    const codes = new Uint8Array(buffer, COLUMN_BYTES);
    return { kind: type === 2 ? 'append' : 'replace', seq, column, candle, codes };
  }
  return readSparse(view, seq, column, candle);
}

function readSparse(view: DataView, seq: number, column: number, candle: CandleRow): Frame {
  const n = view.byteLength >= COLUMN_BYTES + 2 ? view.getUint16(COLUMN_BYTES, true) : -1;
  const at = COLUMN_BYTES + 2;
  if (view.byteLength !== at + 3 * n) throw new WireError(`sparse frame of ${n} changes`);
  const bins = new Uint16Array(n); // not a view: byte 35 is not aligned for u16
  for (let i = 0; i < n; i++) bins[i] = view.getUint16(at + 2 * i, true);
  const codes = new Uint8Array(view.buffer as ArrayBuffer, at + 2 * n, n);
  return { kind: 'sparse', seq, column, candle, bins, codes };
}

/** USD of every code; entry 0 is 0. */
export function usdTable(vMin: number, vMax: number): Float64Array {
  const table = new Float64Array(256);
  const base = Math.log(vMax / vMin) / 254;
  for (let c = 1; c < 256; c++) table[c] = vMin * Math.exp(base * (c - 1));
  return table;
}

/** Code of a USD value, as the server computes it. */
export function encodeUsd(usd: number, vMin: number, vMax: number): number {
  if (!(usd >= vMin)) return 0;
  const c = 1 + Math.round((254 * Math.log(usd / vMin)) / Math.log(vMax / vMin));
  return Math.min(255, c);
}

/**
 * `?bench=4000x1000`: a made-up matrix and stop watches, for benchmarks/page.py.
 *
 * Nothing here is data: the page is marked SIMULATED. Each timing runs from the change of
 * state to the pixel read back, so that rasterization is inside.
 */

import type { HeatChart } from './engine/chart';
import { cvd, rsi } from './engine/indicators';
import { HeatMatrix } from './engine/matrix';
import type { PaneKind } from './engine/paneKinds';
import type { PaneColumns } from './engine/paneLayer';
import { PaneStack } from './engine/panes';
import { decodeSnapshot, gunzip, HEADER_BYTES, type Snapshot } from './net/codec';
import { panels } from './state/panel';
import { subpanesOf } from './state/query';

declare global {
  interface Window {
    liqheatBench?: Record<'pan' | 'threshold' | 'append' | 'decode', (n: number) => Promise<number[]>> & {
      readonly settled: () => Promise<string>;
      /** Of the timings made last: the part before the picture was rastered [ms]. */
      readonly script: () => number[];
    };
  }
}

/** A small generator with a seed: the same picture every time. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

const STEP_MS = 60_000;

interface Walk {
  readonly open: Float32Array<ArrayBuffer>;
  readonly high: Float32Array<ArrayBuffer>;
  readonly low: Float32Array<ArrayBuffer>;
  readonly close: Float32Array<ArrayBuffer>;
  readonly qty: Float32Array<ArrayBuffer>;
}

function walk(w: number, rnd: () => number): Walk {
  const f = (): Float32Array<ArrayBuffer> => new Float32Array(w);
  const out = { open: f(), high: f(), low: f(), close: f(), qty: f().fill(1) };
  let price = 60_000;
  for (let t = 0; t < w; t++) {
    out.open[t] = price;
    price *= 1 + (rnd() + rnd() - 1) * 0.0012 - (price / 60_000 - 1) * 0.002;
    out.close[t] = price;
    out.high[t] = Math.max(out.open[t], price) * (1 + 0.0005 * rnd());
    out.low[t] = Math.min(out.open[t], price) * (1 - 0.0005 * rnd());
  }
  return out;
}

/** Levels at fixed distances from past prices, swept by the candles. */
function makeUp(w: number, h: number): Snapshot {
  const rnd = random(7);
  const candles = walk(w, rnd);
  const pLo = 48_000;
  const pStep = Math.log(75_000 / pLo) / h;
  const bin = (price: number): number => Math.floor(Math.log(price / pLo) / pStep);
  const codes = new Uint8Array(w * h);
  const now = new Float32Array(h);
  for (let t = 0; t < w; t++) {
    for (let p = 0; p < h; p++) now[p] *= 0.993;
    for (let k = 0; k < 2; k++) {
      const distance = [0.008, 0.012, 0.02, 0.04, 0.09][Math.floor(rnd() * 5)] * (0.9 + 0.2 * rnd());
      const p = bin(candles.close[t] * (rnd() < 0.5 ? 1 - distance : 1 + distance));
      const usd = 40 * rnd() ** 8 + 0.02;
      for (let d = -2; d <= 2; d++) if (p + d >= 0 && p + d < h) now[p + d] += usd * (0.6 + 0.4 * rnd());
    }
    for (let p = Math.max(0, bin(candles.low[t])); p <= bin(candles.high[t]) && p < h; p++) now[p] = 0;
    for (let p = 0; p < h; p++) {
      codes[t * h + p] = now[p] < 1e-3 ? 0 : Math.min(255, 1 + Math.round(22 * Math.log(now[p] / 1e-3)));
    }
  }
  const header = {
    ...{ columns: w, bins: h, t0Ms: 1_750_000_000_000 - w * STEP_MS, stepMs: STEP_MS, log: true },
    ...{ pLo, pStep, vMin: 300, vMax: 3e7, model: 1, seq: 1 },
    ...{ simulated: true, replay: false, hasCandles: true },
  };
  header.t0Ms -= header.t0Ms % STEP_MS;
  return { header, codes, candles };
}

/** Columns of every sub-pane, with a hole and with steps in which nothing was liquidated. */
function paneColumns(m: HeatMatrix): Record<PaneKind, PaneColumns> {
  const rnd = random(11);
  const make = (value: (t: number) => number): Float64Array =>
    Float64Array.from({ length: m.width }, (_, t) => (t > m.width * 0.3 && t < m.width * 0.34 ? NaN : value(t)));
  let level = 9e9;
  const volume = make(() => 2e7 * (0.2 + rnd() ** 4 * 3));
  const liquidated = (): Float64Array => make(() => (rnd() < 0.5 ? 0 : 2e6 * rnd() ** 8));
  return {
    oi: { main: make(() => (level *= 1 + (rnd() - 0.5) * 0.004)) },
    funding: { main: make((t) => 1e-4 * Math.sin(Math.floor(t / 480)) + 3e-5) },
    volume: { main: volume },
    cvd: { main: cvd(volume.map((usd) => usd * rnd()), volume.map((usd) => usd * rnd())) },
    rsi: { main: rsi(m.candles.close, m.width) },
    liq: { main: liquidated(), down: liquidated() },
  };
}

/** `&panes=oi,rsi`: these sub-panes under the heat. */
function startPanes(chart: HeatChart | null, m: HeatMatrix, kinds: readonly PaneKind[]): void {
  const none = (): void => undefined;
  let stack: PaneStack | null = null;
  const fill = (all: boolean): void => {
    const columns = all ? paneColumns(m) : { rsi: { main: rsi(m.candles.close, m.width) } };
    for (const [kind, of] of Object.entries(columns)) stack?.setColumns(kind as PaneKind, of);
  };
  const events = { onColumns: fill, onHover: none, onPlaces: none, onResized: none };
  chart?.setPanes((api, theme) => (stack = new PaneStack(api, theme, events)));
  stack!.setKinds(kinds, {});
  fill(true);
}

/** The snapshot as the server would send it, to time the way back. */
async function pack({ header, codes }: Snapshot): Promise<Uint8Array<ArrayBuffer>> {
  const { columns: w, bins: h, stepMs, pLo, pStep, vMin, vMax } = header;
  const bytes = new Uint8Array(HEADER_BYTES + codes.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x4c, 0x51, 0x48, 0x4d, 1, 3, 1, 0]);
  view.setUint32(8, w, true);
  view.setUint32(12, h, true);
  view.setBigInt64(24, BigInt(stepMs), true);
  view.setFloat64(32, pLo, true);
  view.setFloat64(40, pStep, true);
  view.setFloat32(48, vMin, true);
  view.setFloat32(52, vMax, true);
  bytes.set(codes, HEADER_BYTES);
  for (let i = codes.length - 1; i >= h; i--) bytes[HEADER_BYTES + i] = codes[i] - codes[i - h];
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const nextFrame = (): Promise<number> => new Promise(requestAnimationFrame);

/** Read one pixel of every canvas: a picture is done when it has been rastered. */
function forceRaster(): void {
  for (const canvas of document.querySelectorAll('canvas')) {
    canvas.getContext('2d')?.getImageData(0, 0, 1, 1);
    const gl = canvas.getContext('webgl2');
    gl?.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  }
}

let script: number[] = [];

/**
 * Time `change` with the repaint it asks for. The repaint is caught and run at once: waiting
 * for the next animation frame is not work.
 */
async function time(n: number, change: (i: number) => void): Promise<number[]> {
  const out: number[] = [];
  script = [];
  const original = window.requestAnimationFrame;
  for (let i = 0; i < n + 3; i++) {
    await nextFrame();
    const jobs: FrameRequestCallback[] = [];
    window.requestAnimationFrame = (job) => jobs.push(job);
    const started = performance.now();
    change(i);
    for (const job of jobs.splice(0)) job(started);
    script.push(performance.now() - started);
    forceRaster();
    out.push(performance.now() - started);
    window.requestAnimationFrame = original;
    for (const job of jobs) original(job);
  }
  return out.slice(3);
}

const STILL_FRAMES = 4;

/** Wait until a few frames in a row leave the view as it is; returns the view, for comparing. */
async function settled(chart: HeatChart): Promise<string> {
  await document.fonts.ready;
  await chart.rendererChosen;
  let before = '';
  for (let still = 0; still < STILL_FRAMES; ) {
    await nextFrame();
    const now = JSON.stringify(chart.place());
    still = now === before ? still + 1 : 0;
    before = now;
  }
  forceRaster();
  return before;
}

/** Take a tenth of the columns away, and a single one: steps without data. */
function makeGaps({ header: { columns: w, bins: h }, codes, candles }: Snapshot): void {
  for (const [from, to] of [[0.4 * w, 0.5 * w], [0.8 * w, 0.8 * w + 1]].map((edges) => edges.map(Math.floor))) {
    codes.fill(0, from * h, to * h);
    for (const series of Object.values(candles)) (series as Float32Array).fill(NaN, from, to);
  }
}

export function startBench(size: string): void {
  const [w, h] = size.split('x').map(Number);
  const snapshot = makeUp(Math.min(w || 1440, 8192), Math.min(h || 400, 2000));
  if (new URLSearchParams(window.location.search).has('gaps')) makeGaps(snapshot);
  const matrix = new HeatMatrix(snapshot);
  const panel = panels.peek()[0];
  panel.pictureMode.value = 'simulated';
  panel.shown.value = 'bench';
  panel.showMatrix(matrix);
  startPanes(panel.chart.value, matrix, subpanesOf(new URLSearchParams(window.location.search).get('panes') ?? ''));
  window.liqheatBench = {
      pan: (n: number) =>
        time(n, (i) => {
          const shift = (i % 2 ? -1 : 1) * matrix.width * 0.05;
          panel.chart.value!.setRange(shift, matrix.width + shift);
        }),
      threshold: (n: number) => time(n, (i) => panel.set({ lo: 0.01 + 0.005 * (i % 20) }, 'replace')),
      append: (n: number) => {
        const codes = matrix.column(matrix.width - 1).slice();
        const { close } = matrix.candles;
        return time(n, () => {
          const price = close[matrix.width - 1];
          const candle = [price, price * 1.001, price * 0.999, price, 1] as const;
          const seq = 0;
          panel.takeColumn({ kind: 'append', seq, column: matrix.width + matrix.dropped, candle, codes });
        });
      },
      settled: () => settled(panel.chart.value!),
      script: () => script.slice(3),
      decode: async (n: number) => {
        const packed = await pack(snapshot);
        const out: number[] = [];
        for (let i = 0; i < n; i++) {
          const started = performance.now();
          const bytes = await gunzip(packed);
          bytes[5] = 3; // no candles section: the body is what costs
          decodeSnapshot(bytes);
          out.push(performance.now() - started);
        }
        return out;
      },
  };
}

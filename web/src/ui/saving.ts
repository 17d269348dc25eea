/**
 * Takes what a panel shows out of the page: PNG as a file or to the clipboard, CSV, JSON.
 *
 * The engine draws and writes; here is what the panel says of itself, and how a browser is
 * asked to keep it. Each function resolves to what the person is told.
 */

import { csvParts, cutOf, fileName, jsonText, type Cut, type Facts } from '../engine/cells';
import { FONT } from '../engine/chart';
import { formatTime, zoneLabel } from '../engine/axis';
import type { HeatMatrix } from '../engine/matrix';
import { drawPoster } from '../engine/poster';
import { chartTheme } from '../engine/theme';
import { formatStep, formatUsd, splitSymbol } from '../format';
import type { Panel } from '../state/panel';
import { legendTicks } from './Legend';
import { writePaneLegends } from './paneStill';
import { CAPTION } from './StatusBar';

const utc = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace('T', ' ');

export class NothingToSave extends Error {}

/** "live", or what it is instead; of the past with the time as of which it was known. */
function modeOf(p: Panel): string {
  const kind = p.recorded.value ? 'recorded' : p.mode.value;
  const asOf = p.asOfMs.value;
  if (asOf === null) return kind;
  return `${kind === 'live' || kind === 'recorded' ? '' : `${kind}, `}as of ${utc(asOf)} UTC`;
}

function factsOf(p: Panel): Facts {
  const { instrument, exchanges, model, range } = p.query.value;
  const status = p.status.value;
  return {
    instrument,
    exchanges,
    model: status?.model ?? model,
    modelVersion: status?.model_version ?? '',
    range,
    mode: modeOf(p),
    unit: status?.usd_scale === 'relative' ? 'relative scale, not USD' : 'USD',
    caption: CAPTION,
  };
}

interface InSight {
  readonly matrix: HeatMatrix;
  readonly cut: Cut;
}

function inSight(p: Panel): InSight {
  const matrix = p.matrix.value;
  const chart = p.chart.value;
  if (!matrix || !chart || matrix.width === 0) throw new NothingToSave('There is no heatmap in sight to save.');
  return { matrix, cut: cutOf(matrix, chart.place()) };
}

/** Draw the panel as a picture to pass on, at the screen's own pixels. */
export function poster(p: Panel, nowMs: number): HTMLCanvasElement {
  const { matrix, cut } = inSight(p);
  const facts = factsOf(p);
  const look = p.look.value;
  const clip = p.clipUsd.value;
  const { contract, exchange } = splitSymbol(facts.instrument);
  const { zone } = p.query.value;
  const time = (ms: number): string => `${formatTime(ms, zone, 'day')} ${formatTime(ms, zone, 'minute')}`;
  const end = matrix.timeMs(cut.end);
  const span = `${time(matrix.timeMs(cut.first))} – ${time(end)} ${zoneLabel(zone, end)}`;
  const model = `model ${facts.model} ${facts.modelVersion}`.trim();
  const watermark = facts.mode === 'live' ? '' : facts.mode.toUpperCase();
  const text = {
    title: `${contract} · ${exchange || facts.exchanges || 'all exchanges'} · liquidation heatmap`,
    details: `${model} · range ${facts.range} · step ${formatStep(matrix.grid.stepMs)} · ${span}`,
    caption: CAPTION,
    stamp: `${watermark ? `${watermark} · ` : ''}saved ${utc(nowMs)} UTC · liqheat`,
    watermark,
    font: FONT,
  };
  const legend = {
    look,
    ticks: legendTicks(look, clip),
    top: `≥ ${formatUsd(clip)}`,
    threshold: `> ${formatUsd(look.lo * clip)}`,
    unit: p.status.value?.usd_scale === 'relative' ? 'relative' : 'USD / bin',
  };
  const chart = p.chart.value!.still();
  const figure = document.querySelector(`.figure[data-panel='${p.index + 1}']`);
  const box = figure?.querySelector('.chart');
  // The canvas has the screen's pixels, its box has CSS ones.
  const ratio = box?.clientWidth ? chart.width / box.clientWidth : window.devicePixelRatio;
  if (figure) writePaneLegends(chart, figure, ratio);
  return drawPoster(chart, ratio, text, legend, chartTheme(look.theme, look.palette));
}

function toBlob(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('The browser made no PNG.'))), 'image/png');
  });
}

/** How long the browser may take to read a file which it is to keep. */
const KEEP_MS = 60_000;

function download(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), KEEP_MS);
}

export async function savePng(p: Panel): Promise<string> {
  const now = Date.now();
  const name = fileName(factsOf(p), 'png', now);
  download(await toBlob(poster(p, now)), name);
  return `Saved ${name}`;
}

export async function copyPng(p: Panel): Promise<string> {
  const picture = poster(p, Date.now());
  if (!window.isSecureContext || typeof ClipboardItem === 'undefined') {
    throw new Error('Browsers copy pictures only on pages served over https or from this machine. Save the PNG instead.');
  }
  try {
    // The promise, not its value: Safari forgets the click while it waits.
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': toBlob(picture) })]);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`The browser refused to copy the picture (${why}). Save the PNG instead.`);
  }
  return 'Picture copied';
}

export async function saveCells(p: Panel, kind: 'csv' | 'json'): Promise<string> {
  const { matrix, cut } = inSight(p);
  const now = Date.now();
  const facts = factsOf(p);
  const name = fileName(facts, kind, now);
  const parts = kind === 'csv' ? csvParts(matrix, cut, facts, now) : [jsonText(matrix, cut, facts, now)];
  download(new Blob(parts, { type: kind === 'csv' ? 'text/csv' : 'application/json' }), name);
  return `Saved ${name}`;
}

/** The kinds of sub-panes: how each is drawn, scaled and labeled; and their colors. */

import { formatUsd } from '../format';
import type { HeatMatrix } from './matrix';
import type { PaneColors, PaneLook } from './paneLayer';
import type { ChartTheme } from './theme';

export type PaneKind = 'oi' | 'funding' | 'volume' | 'cvd' | 'rsi' | 'liq';

/** What is fixed for a kind: its shape, its scale, its labels. */
export interface Spec {
  readonly shape: PaneLook['shape'];
  readonly guides: readonly number[];
  /** Whether a column without a value is one which nobody recorded. */
  readonly recorded: boolean;
  /** Values which the scale must hold; null keeps to the data. */
  readonly holds: readonly [number, number] | null;
  /** Whether the axis labels the newest value. */
  readonly labeled: boolean;
  readonly minMove: number;
  readonly format: (value: number) => string;
}

/** Signed rate of one funding interval: "+0.0100 %". */
export function formatRate(rate: number): string {
  const text = Math.abs(rate * 100).toFixed(4);
  const sign = Number(text) === 0 ? '' : rate < 0 ? '−' : '+';
  return `${sign}${text} %`;
}

/** The axis has little room: three decimals, more only where the rates are that small. */
function axisRate(rate: number): string {
  const percent = rate * 100;
  return `${percent.toFixed(Math.abs(percent) >= 0.0095 || percent === 0 ? 3 : 4).replace('-', '−')} %`;
}

const usd = { recorded: true, minMove: 1, format: formatUsd } as const;

export const SPECS: Readonly<Record<PaneKind, Spec>> = {
  oi: { shape: 'line', guides: [], holds: null, labeled: true, ...usd },
  funding: {
    ...{ shape: 'step', guides: [0], holds: [0, 0], labeled: true },
    ...{ recorded: true, minMove: 1e-6, format: axisRate },
  },
  volume: { shape: 'bars', guides: [], holds: [0, 0], labeled: false, ...usd },
  cvd: { shape: 'line', guides: [0], holds: null, labeled: true, ...usd },
  rsi: {
    ...{ shape: 'line', guides: [30, 70], holds: [25, 75], labeled: true },
    ...{ recorded: false, minMove: 0.1, format: (value: number) => value.toFixed(1) },
  },
  liq: {
    ...{ shape: 'mirror', guides: [], holds: [0, 0], labeled: false },
    ...{ recorded: true, minMove: 1, format: (value: number) => formatUsd(Math.abs(value)) },
  },
};

/** Hues which only the panes have, a set a theme. */
const HUES: Readonly<Record<ChartTheme['name'], Record<'oi' | 'cvd' | 'rsi' | 'guide', string>>> = {
  dark: { oi: '#6ee7b7', cvd: '#c4a7ff', rsi: '#f2d16b', guide: 'rgba(148, 163, 184, 0.4)' },
  light: { oi: '#0a7f56', cvd: '#6d3fc0', rsi: '#8a6100', guide: 'rgba(71, 85, 105, 0.45)' },
};

/** Colors of a pane. Above zero funding is paid by longs, below by shorts. */
export function paneColors(kind: PaneKind, theme: ChartTheme): PaneColors {
  const { guide, ...hues } = HUES[theme.name];
  const line = kind === 'oi' || kind === 'cvd' || kind === 'rsi' ? hues[kind] : theme.muted;
  const { candles, longBar, shortBar, hatch } = theme;
  if (kind === 'volume') return { line, up: candles.up, down: candles.down, guide, hatch };
  // Upwards as the price went: a rise liquidates shorts.
  const [up, down] = kind === 'liq' ? [shortBar, longBar] : [longBar, shortBar];
  return { line, up, down, guide, hatch };
}

/** The sub-panes as the chart sees them: they come late, in a chunk of their own. */
export interface PaneHost {
  setMatrix(matrix: HeatMatrix | null): void;
  columnChanged(): void;
  setTheme(theme: ChartTheme): void;
  dispose(): void;
}

/** What the heat keeps at least of the chart's height. */
export const HEAT_SHARE = 0.55;
/** A legend's line and room for a curve below it [CSS px]. */
const LEAST_HEIGHT = 42;
/** Below this width a chart is a phone's, or one of several: two panes are what it can hold. */
const NARROW = 600;
const NARROW_MOST = 2;

/** How many panes a chart of this size can hold. */
export function capacity(width: number, height: number): number {
  const room = Math.max(1, Math.floor(((1 - HEAT_SHARE) * height) / LEAST_HEIGHT));
  return Math.min(room, width < NARROW ? NARROW_MOST : Infinity);
}

/** Words of the sub-panes: their names, what they say at a column, and why they are empty. Pure. */

import { lastKnown } from '../engine/indicators';
import type { Columns } from '../engine/paneColumns';
import { formatRate, type PaneKind } from '../engine/paneKinds';
import { formatUsd } from '../format';
import type { Series } from '../net/series';

export interface PaneName {
  readonly name: string;
  /** What it is, in one line. */
  readonly line: string;
  /** What is said where nothing of it is known in the whole window. */
  readonly none: string;
}

export const PANE_TEXT: Readonly<Record<PaneKind, PaneName>> = {
  oi: {
    name: 'Open interest',
    line: 'What is open, one side of it',
    none: 'not recorded here',
  },
  funding: {
    name: 'Funding',
    line: 'The rate longs pay shorts; below zero shorts pay',
    none: 'no rates recorded here',
  },
  volume: {
    name: 'Volume',
    line: 'What was traded in a step',
    none: 'not recorded here',
  },
  cvd: {
    name: 'CVD',
    line: 'Takers’ buys less takers’ sells, added up over the window',
    none: 'no split into buys and sells is published here',
  },
  rsi: {
    name: 'RSI 14',
    line: 'Relative strength of the candles; lines at 30 and 70',
    none: 'needs 15 candles',
  },
  liq: {
    name: 'Liquidations',
    line: 'What was liquidated: shorts upwards, longs downwards',
    none: 'none recorded here',
  },
};

/** One figure of a legend: `tone` colors it, `note` is said in a lower voice. */
export interface Part {
  readonly text: string;
  readonly tone?: 'long' | 'short' | 'note';
  readonly title?: string;
}

/** What the legends are made from. */
export interface Facts {
  readonly series: Series;
  readonly columns: Columns;
  /** Whether several instruments are added up. */
  readonly coin: boolean;
}

export function signedUsd(usd: number): string {
  return usd > 0 ? `+${formatUsd(usd)}` : formatUsd(usd);
}

const note = (text: string, title?: string): Part => ({ text, tone: 'note', ...(title ? { title } : {}) });
const UNKNOWN: readonly Part[] = [note('unknown')];

function openInterest({ columns: { oi, oiOf }, coin }: Facts, t: number): readonly Part[] {
  if (Number.isNaN(oi[t])) return UNKNOWN;
  const parts: Part[] = [{ text: formatUsd(oi[t]) }];
  const change = oi[t] - oi[t - 1];
  // With another number of contracts in the sum it jumps without anybody trading.
  if (!Number.isNaN(change) && oiOf[t] === oiOf[t - 1]) parts.push(note(`${signedUsd(change)} in the step`));
  if (coin) parts.push(note(`${oiOf[t]} ${oiOf[t] === 1 ? 'contract' : 'contracts'}`));
  return parts;
}

function funding({ columns, series, coin }: Facts, t: number): readonly Part[] {
  const rate = columns.funding[t];
  if (Number.isNaN(rate)) return UNKNOWN;
  const hours = series.funding_interval_ms === null ? null : series.funding_interval_ms / 3_600_000;
  const parts: Part[] = [{ text: formatRate(rate), tone: rate < 0 ? 'short' : 'long' }];
  if (hours !== null) parts.push(note(`per ${Number(hours.toFixed(1))} h`));
  if (rate !== 0) parts.push(note(rate > 0 ? 'longs pay' : 'shorts pay'));
  if (coin) parts.push(note(`of ${series.lead}`));
  return parts;
}

function volume({ columns: { volume: traded, takerBuy, takerSell } }: Facts, t: number): readonly Part[] {
  if (Number.isNaN(traded[t])) return UNKNOWN;
  const share = takerBuy[t] / (takerBuy[t] + takerSell[t]);
  const parts: Part[] = [{ text: formatUsd(traded[t]) }];
  if (!Number.isNaN(share)) parts.push(note(`${Math.round(share * 100)} % bought by takers`));
  return parts;
}

function delta({ columns: { cvd, takerBuy, takerSell } }: Facts, t: number): readonly Part[] {
  if (Number.isNaN(cvd[t])) return UNKNOWN;
  return [
    { text: signedUsd(cvd[t]) },
    note('since the window began'),
    note(`${signedUsd(takerBuy[t] - takerSell[t])} in the step`),
  ];
}

/** What is said beside liquidations which are not all there were. */
function completeness(series: Series): Part | null {
  const kind = series.liquidations_completeness;
  if (kind === null || kind === 'full') return null;
  if (kind === 'unknown') return note('completeness unknown');
  return note('lower bound', 'The feed is sampled: there were at least these');
}

function liquidated({ columns: { longs, shorts }, series }: Facts, t: number): readonly Part[] {
  if (Number.isNaN(longs[t]) && Number.isNaN(shorts[t])) return UNKNOWN;
  const bound = completeness(series);
  return [
    { text: `▲ shorts ${formatUsd(shorts[t])}`, tone: 'short' },
    { text: `▼ longs ${formatUsd(longs[t])}`, tone: 'long' },
    ...(bound ? [bound] : []),
  ];
}

const READINGS = { oi: openInterest, funding, volume, cvd: delta, liq: liquidated } as const;

/** The column whose values decide whether a pane has any. */
export function mainColumn(kind: Exclude<PaneKind, 'rsi'>, columns: Columns): Float64Array {
  return kind === 'liq' ? columns.longs : columns[kind];
}

/** What a pane says at column `t`, or at its newest known one; null when it knows nothing at all. */
export function readingAt(kind: Exclude<PaneKind, 'rsi'>, facts: Facts, t: number | null): readonly Part[] | null {
  const main = mainColumn(kind, facts.columns);
  const newest = lastKnown(main);
  if (newest < 0) return null;
  return READINGS[kind](facts, t === null || t >= main.length ? newest : t);
}

export function strengthAt(strength: Float64Array, lead: string | null, t: number | null): readonly Part[] | null {
  const newest = lastKnown(strength);
  if (newest < 0) return null;
  const value = strength[t === null || t >= strength.length ? newest : t];
  if (!(value >= 0)) return UNKNOWN;
  const parts: Part[] = [{ text: value.toFixed(1) }];
  if (value > 70) parts.push(note('above 70'));
  if (value < 30) parts.push(note('below 30'));
  if (lead) parts.push(note(`of ${lead}`));
  return parts;
}

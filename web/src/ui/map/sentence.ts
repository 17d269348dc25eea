/**
 * The sentence of the map page: what stands to be liquidated IF the price gets somewhere.
 *
 * It says "if", "about" and "modelled", never "will": the map knows where positions would be
 * closed, not where the price goes. What is copied says its age in full, since a quoted text
 * is read later than it is written.
 */

import type { PriceMap } from '../../engine/bars';
import { cumulativeAt, sideOf } from '../../engine/bars';
import { formatTime } from '../../engine/axis';
import { formatAge, formatPercent, formatPrice, formatUsd } from '../../format';

export interface Circumstances {
  /** "BTC", or "BTCUSDT on binance". */
  readonly name: string;
  /** What the figures leave out: "leverage 10x, 50x only"; "" is nothing. */
  readonly only: string;
  readonly decimals: number;
  readonly simulated: boolean;
  /** USD are not to scale yet. */
  readonly relative: boolean;
  /** Of the side's open interest, 0 to 1. */
  readonly measuredShare: Readonly<Record<'long' | 'short', number>>;
  readonly ageMs: number | null;
  readonly asOfMs: number;
  /** The map is one of the past, as it was known then. */
  readonly past: boolean;
  readonly model: string;
}

/** "If BTC falls to $61,000 (−4.20 %), about $52.3M of longs stand to be liquidated" */
export function sentence(map: PriceMap, price: number, about: Circumstances): string {
  const side = sideOf(map, price);
  const way = side === 'long' ? 'falls' : 'rises';
  const usd = cumulativeAt(map, price);
  const amount = usd > 0 ? `about ${formatUsd(usd)}` : 'nothing the map shows';
  const distance = formatPercent(price / map.lastPrice - 1);
  return (
    `If ${about.name} ${way} to $${formatPrice(price, about.decimals)} (${distance}), ` +
    `${amount} of ${side}s stand${usd > 0 ? '' : 's'} to be liquidated`
  );
}

/** "modelled, 31 % of open interest measured, leverage 10x only, relative scale; data 12 s old" */
export function qualifier(side: 'long' | 'short', about: Circumstances): string {
  const share = Math.round(about.measuredShare[side] * 100);
  const measured = share > 0 ? `, ${share} % of open interest measured` : '';
  const only = about.only ? `, ${about.only}` : '';
  const scale = about.relative ? ', relative scale' : '';
  const known = about.ageMs === null ? 'age unknown' : `data ${formatAge(about.ageMs)} old`;
  const age = about.past ? `as known on ${formatTime(about.asOfMs, 'utc')} UTC` : known;
  return `modelled${measured}${only}${scale}; ${age}`;
}

/** What the button copies: sentence, what it rests on, and when. */
export function quotation(map: PriceMap, price: number, about: Circumstances): string {
  const when = `${formatTime(about.asOfMs, 'utc')} UTC`;
  const marks = [about.simulated ? 'SIMULATED MARKET' : '', about.past ? 'A MAP OF THE PAST' : ''].filter(Boolean);
  const mark = marks.length > 0 ? `${marks.join(', ')}: ` : '';
  const side = sideOf(map, price);
  return `${mark}${sentence(map, price, about)} (${qualifier(side, about)}, model ${about.model}, as of ${when}).`;
}

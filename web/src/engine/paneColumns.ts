/** The server's series as columns of the matrix, and which of them a sub-pane draws. Pure. */

import type { Series, SeriesColumns } from '../net/series';
import { align, cvd, type Steps } from './indicators';
import type { PaneKind } from './paneKinds';
import type { PaneColumns } from './paneLayer';

/** Values of every pane by column of the matrix; NaN is unknown. */
export interface Columns {
  readonly oi: Float64Array;
  /** Instruments in the sum of open interest. */
  readonly oiOf: Float64Array;
  readonly funding: Float64Array;
  readonly volume: Float64Array;
  readonly takerBuy: Float64Array;
  readonly takerSell: Float64Array;
  readonly cvd: Float64Array;
  readonly longs: Float64Array;
  readonly shorts: Float64Array;
}

export function columnsOf(series: Series, m: Steps): Columns {
  const on = (name: keyof SeriesColumns): Float64Array => align({ startMs: series.start_ms, values: series[name] }, m);
  const takerBuy = on('taker_buy_usd');
  const takerSell = on('taker_sell_usd');
  return {
    oi: on('open_interest_usd'),
    oiOf: on('open_interest_of'),
    funding: on('funding_rate'),
    volume: on('qty_usd'),
    ...{ takerBuy, takerSell, cvd: cvd(takerBuy, takerSell) },
    longs: on('liquidated_long_usd'),
    shorts: on('liquidated_short_usd'),
  };
}

/** What a pane draws: shorts' liquidations upwards and longs' downwards, as the price went. */
export function drawn(kind: Exclude<PaneKind, 'rsi'>, columns: Columns): PaneColumns {
  if (kind === 'liq') return { main: columns.shorts, down: columns.longs };
  // With one contract more in the sum it jumps without anybody trading: no line leads there.
  return kind === 'oi' ? { main: columns.oi, of: columns.oiOf } : { main: columns[kind] };
}

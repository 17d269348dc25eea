/**
 * Asks the other exchanges about a cluster of one exchange: the coin's column, on the same grid.
 *
 * Only once the reading rests on a cluster, and one column is kept: a coin is dearer to build
 * than a contract. Knows nothing of how the answer is judged (`engine/agreement.ts`).
 */

import type { HeatMatrix } from '../engine/matrix';
import { fetchColumn, type ExactColumn } from '../net/api';
import { coinsOf, instruments } from './page';
import type { Panel } from './panel';

/** The column of a running bar is asked for again after this long. */
const FRESH_MS = 20_000;

let kept: { readonly key: string; readonly untilMs: number; readonly column: Promise<ExactColumn> } | null = null;

/** The coin over all exchanges which a panel's contract belongs to; null where it stands alone. */
export function coinOf(panel: Panel): string | null {
  const now = panel.instrument.value;
  const list = instruments.value;
  if (!now || !list) return null;
  const simulated = now.exchange === 'simulated';
  const coin = coinsOf(list).find((one) => one.coin === now.coin && one.simulated === simulated);
  return coin?.name ?? null;
}

/** The coin's column at a time of the panel's picture, by exchange. */
export function askCoin(panel: Panel, m: HeatMatrix, coin: string, timeMs: number): Promise<ExactColumn> {
  const picture = { ...panel.wanted.peek()!, instrument: coin, exchanges: null };
  const rows = [m.edge(0), m.edge(m.bins)] as const;
  const windowEndMs = panel.past.peek()?.span[1] ?? null;
  const key = JSON.stringify([picture, timeMs, rows, windowEndMs]);
  if (kept?.key === key && Date.now() < kept.untilMs) return kept.column;
  // Not given up when the cursor moves on: the next bin's question has the same answer.
  const column = fetchColumn(picture, timeMs, rows, windowEndMs, AbortSignal.timeout(30_000));
  const newest = timeMs >= m.timeMs(m.width - 1);
  kept = { key, untilMs: newest ? Date.now() + FRESH_MS : Infinity, column };
  column.catch(() => {
    if (kept?.column === column) kept = null;
  });
  return column;
}

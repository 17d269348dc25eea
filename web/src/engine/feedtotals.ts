/**
 * What was liquidated in the last hours, by side, without counting anything twice.
 *
 * The server's sums reach up to a time T; rows at T or later which come live are added to
 * them. A row from before T which comes late is missing until the next sums.
 */

import type { FeedRow } from './feed';

export const WINDOWS = ['1h', '4h', '24h'] as const;
export type Window = (typeof WINDOWS)[number];

export interface WindowTotal {
  readonly longUsd: number;
  readonly shortUsd: number;
  readonly count: number;
  /** Whether the records reach back over the whole window. */
  readonly complete: boolean;
}

export type TotalsBy = Readonly<Record<Window, WindowTotal>>;

export class FeedTotals {
  private base: TotalsBy | null = null;
  private asOfMs = Infinity;
  private longUsd = 0;
  private shortUsd = 0;
  private count = 0;

  clear(): void {
    this.base = null;
    this.asOfMs = Infinity;
    this.longUsd = this.shortUsd = this.count = 0;
  }

  /** Take sums over rows before `asOfMs`; `held` are the rows known here. */
  rebase(base: TotalsBy, asOfMs: number, held: readonly FeedRow[]): void {
    this.clear();
    this.base = base;
    this.asOfMs = asOfMs;
    this.add(held);
  }

  /** Add rows which were not added before. */
  add(rows: readonly FeedRow[]): void {
    for (const { timeMs, side, usd } of rows) {
      if (timeMs < this.asOfMs) continue;
      if (side === 'long') this.longUsd += usd;
      else this.shortUsd += usd;
      this.count++;
    }
  }

  /** The sums now; null before the first ones came. */
  read(): TotalsBy | null {
    const { base, longUsd, shortUsd, count } = this;
    if (!base) return null;
    const now = (of: WindowTotal): WindowTotal => ({
      ...of,
      longUsd: of.longUsd + longUsd,
      shortUsd: of.shortUsd + shortUsd,
      count: of.count + count,
    });
    return { '1h': now(base['1h']), '4h': now(base['4h']), '24h': now(base['24h']) };
  }
}

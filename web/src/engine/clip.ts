/**
 * The color range: what the brightest color stands for, and the usual threshold.
 *
 * Fitted to the cells of the first view: far levels can be far larger, and would leave those
 * which matter now in the dark.
 */

import { CLIP_SHARE } from './lut';
import { percentileCode } from './matrix';

/** The code at the top of the range moves only when it must: colors should not breathe. */
export const CLIP_SLACK = 3;

/**
 * The share of cells which the automatic threshold hides, and the bounds it stays in: a map
 * is mostly background, and its faint third would drown the levels.
 */
const AUTO_HIDES = 0.3;
const AUTO_LOW = [0.01, 0.4] as const;
const TYPICAL_SHARE = 0.8;

export interface ColorRange {
  /** The code at the top; 0 when all cells are empty. */
  readonly code: number;
  /** USD at the top. */
  readonly clipUsd: number;
  /** Threshold used while none is chosen, as a share of `clipUsd`. */
  readonly autoLow: number;
  /** What four cells of five stay below, as a share of `clipUsd`. */
  readonly typical: number;
}

/** The range for cells of which `counts` says how often each code occurs. */
export function colorRange(counts: Uint32Array, usd: Float64Array): ColorRange {
  const code = percentileCode(counts, CLIP_SHARE);
  if (code === 0) return { code, clipUsd: 0, autoLow: 0, typical: 0 };
  const share = (of: number): number => usd[percentileCode(counts, of)] / usd[code];
  const autoLow = Math.max(AUTO_LOW[0], Math.min(AUTO_LOW[1], share(AUTO_HIDES)));
  return { code, clipUsd: usd[code], autoLow, typical: share(TYPICAL_SHARE) };
}

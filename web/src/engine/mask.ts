/**
 * One side of the picture: the codes to draw when the other side is hidden.
 *
 * A cell belongs to longs when its bin's center lies below the close of its own column, to
 * shorts otherwise. The data keep both sides, so that readings stay true; only what renderers
 * and the pooled levels see is masked.
 */

import type { Side } from './matrix';

/** Copy one column, with zeros in place of the side not shown. `split`: first short bin. */
export function maskColumn(
  out: Uint8Array,
  source: Uint8Array,
  column: { readonly from: number; readonly bins: number; readonly split: number },
  side: Side,
): void {
  const { from, bins, split } = column;
  const cut = from + split;
  const end = from + bins;
  if (side === 'long') {
    out.set(source.subarray(from, cut), from);
    out.fill(0, cut, end);
  } else {
    out.fill(0, from, cut);
    out.set(source.subarray(cut, end), cut);
  }
}

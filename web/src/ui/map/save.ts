/** Saves the map as a PNG which says what it shows, what it rests on, and when. */

import { drawMapPoster } from '../../engine/mapposter';
import { stylesOf } from '../../engine/barstyle';
import { formatTime } from '../../engine/axis';
import { splitSymbol } from '../../format';
import { CAPTION } from '../StatusBar';
import type { MapModel } from './model';
import { quotation } from './sentence';
import { barTheme } from './theme';

/** How long the browser may take to read the file. */
const KEEP_MS = 60_000;

function compose(m: MapModel, nowMs: number): HTMLCanvasElement | null {
  const chart = m.chart.value?.picture();
  const map = m.map.value;
  if (!chart || !map) return null;
  const theme = barTheme.value;
  const parts = m.parts.value;
  const styles = stylesOf(parts, m.by.value, theme);
  const { instrument, range, exchanges } = m.panel.query.value;
  const { exchange, contract } = splitSymbol(instrument);
  const about = m.about.value;
  const says = (['long', 'short'] as const).flatMap((side) => {
    const price = m.priceOf(side);
    return price === null ? [] : [quotation(map, price, about)];
  });
  const poster = {
    title: `${contract} · ${exchange || exchanges || 'all exchanges'} · liquidation map`,
    details: `model ${about.model} · range ${range} · ${formatTime(about.asOfMs, 'utc')} UTC`,
    parts: parts.map(({ label }, k) => ({ label, style: styles[k] })),
    foot: [...says, CAPTION, `saved ${formatTime(nowMs, 'utc')} UTC · liqheat`],
    watermark: m.watermark.value,
  };
  return drawMapPoster(chart, window.devicePixelRatio || 1, poster, theme);
}

/** Ask the browser to keep the picture. */
export function savePng(m: MapModel): void {
  const now = Date.now();
  compose(m, now)?.toBlob((blob) => {
    if (!blob) return;
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    const { contract } = splitSymbol(m.panel.symbol.value);
    const when = new Date(now).toISOString().slice(0, 16).replace(/[-:]/g, '').replace('T', '-');
    link.download = `liqheat-map-${contract}-${when}.png`;
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(link.href), KEEP_MS);
  }, 'image/png');
}

/** What is to be read at a price of the map: beside the cursor, and spoken. */

import { useEffect, useState } from 'preact/hooks';

import type { Reading } from '../../engine/bars';
import { stylesOf, swatch } from '../../engine/barstyle';
import { formatPercent, formatPrice, formatUsd } from '../../format';
import type { MapModel } from './model';
import { barTheme } from './theme';

const WIDTH = 224;
const GAP = 16;
/** On a chart as narrow as this a reading which stays is short: it covers what it speaks of. */
const NARROW = 620;
const SPEAK_MS = 350;

function reading(m: MapModel): Reading | null {
  void m.painted.value;
  const { at } = m;
  return at === null ? null : (m.chart.value?.read(at) ?? null);
}

function Parts({ m, read }: { m: MapModel; read: Reading }) {
  const parts = m.parts.value;
  const bar = read.bar;
  if (!bar || parts.length < 2) return null;
  const theme = barTheme.value;
  const styles = stylesOf(parts, m.by.value, theme);
  // As in the bar: the top first.
  const rows = parts.map((part, k) => ({ part, usd: bar.parts[k], background: swatch(styles[k], theme) })).reverse();
  return (
    <dl class="map-parts">
      {rows.map(({ part, usd, background }) => (
        <div key={part.id}>
          <dt>
            <i aria-hidden="true" style={{ background }} />
            {part.label}
          </dt>
          <dd>{usd > 0 ? formatUsd(usd) : '–'}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Beside the cursor, on the side with more room; never over the price being read. */
function place(m: MapModel, price: number): Record<string, string> {
  const box = m.chart.value!;
  const x = box.xOf(price);
  const left = x > box.width / 2 ? x - GAP - WIDTH : x + GAP;
  return { left: `${Math.max(4, Math.min(box.width - WIDTH - 4, left))}px` };
}

export function MapReading({ m }: { m: MapModel }) {
  const read = reading(m);
  if (!read) return null;
  const { decimals } = m.about.value;
  const { bar, side } = read;
  const brief = m.cursor.value === null && m.chart.value!.width < NARROW;
  return (
    <div class="tip map-tip" data-testid="map-reading" style={place(m, read.price)}>
      <div class="tip-price">
        <strong>{formatPrice(read.price, decimals)}</strong>
        <span class="tip-distance">{formatPercent(read.distance)}</span>
      </div>
      <div class={`tip-cell ${bar ? side : ''}`}>
        {bar ? (
          <>
            <b>~{formatUsd(bar.usd)}</b> {side === 'long' ? '▼ longs' : '▲ shorts'}
            <div class="tip-time">
              {formatPrice(bar.low, decimals)} – {formatPrice(bar.high, decimals)}
            </div>
          </>
        ) : (
          <span class="muted">no level here</span>
        )}
      </div>
      {!brief && <Parts m={m} read={read} />}
      <div class={`tip-way ${side}`}>
        <span>now → here</span>
        <b>
          ~{formatUsd(read.cumulative)} {side}s
        </b>
      </div>
    </div>
  );
}

function words(m: MapModel, read: Reading): string {
  const { bar, side, cumulative, price, distance } = read;
  const here = bar ? `${formatUsd(bar.usd)} ${side}s` : 'no level';
  const way = `On the way from the price: ${formatUsd(cumulative)} ${side}s.`;
  return `${formatPrice(price, m.about.peek().decimals)}, ${formatPercent(distance)}: ${here}. ${way}`;
}

/** What a screen reader hears once the cursor rests. */
export function Spoken({ m }: { m: MapModel }) {
  const [text, setText] = useState('');
  const { at } = m;
  useEffect(() => {
    const read = reading(m);
    if (!read) return;
    const timer = window.setTimeout(() => setText(words(m, read)), SPEAK_MS);
    return () => window.clearTimeout(timer);
  }, [at]);
  return (
    <div class="sr" aria-live="polite">
      {text}
    </div>
  );
}

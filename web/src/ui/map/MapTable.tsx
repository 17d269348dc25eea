/** The map in words and figures: its largest bars, and what lies between the price and each. */

import { barsOf, cumulativeAt, type Bar } from '../../engine/bars';
import { formatPercent, formatPrice, formatUsd } from '../../format';
import type { MapModel } from './model';

const ROWS = 10;
/** About as many bars as a wide screen shows: the table does not depend on the window. */
const BARS = 200;

function Row({ m, bar }: { m: MapModel; bar: Bar }) {
  const map = m.map.value!;
  const parts = m.parts.value;
  const decimals = m.decimals.value;
  const most = bar.parts.indexOf(Math.max(...bar.parts));
  const far = bar.side === 'long' ? bar.low : bar.high * 0.999999;
  const middle = (bar.low + bar.high) / 2;
  return (
    <tr>
      <th scope="row">
        {formatPrice(bar.low, decimals)} – {formatPrice(bar.high, decimals)}
      </th>
      <td>{formatPercent(middle / map.lastPrice - 1)}</td>
      <td>~{formatUsd(bar.usd)}</td>
      <td>~{formatUsd(cumulativeAt(map, far))}</td>
      {parts.length > 1 && (
        <td>
          {parts[most].label} {Math.round((100 * bar.parts[most]) / bar.usd)} %
        </td>
      )}
    </tr>
  );
}

function Side({ m, bars, side }: { m: MapModel; bars: readonly Bar[]; side: 'long' | 'short' }) {
  const largest = bars.filter((bar) => bar.side === side).sort((a, b) => b.usd - a.usd);
  const where = side === 'long' ? '▼ Longs, below the price' : '▲ Shorts, above the price';
  return (
    <table>
      <caption>
        <b class={side}>{where}</b>: the {ROWS} largest bars
      </caption>
      <thead>
        <tr>
          <th scope="col">Price</th>
          <th scope="col">Distance</th>
          <th scope="col">USD</th>
          <th scope="col">Now → there</th>
          {m.parts.value.length > 1 && <th scope="col">Most of it</th>}
        </tr>
      </thead>
      <tbody>
        {largest.slice(0, ROWS).map((bar) => (
          <Row key={bar.first} m={m} bar={bar} />
        ))}
      </tbody>
    </table>
  );
}

export function MapTable({ m }: { m: MapModel }) {
  const map = m.map.value;
  if (!map) return null;
  const group = Math.max(1, Math.round((map.edges.length - 1) / BARS));
  const bars = barsOf(map, m.parts.value, group);
  return (
    <div class="map-table" tabindex={0} role="region" aria-label="The largest bars">
      <Side m={m} bars={bars} side="long" />
      <Side m={m} bars={bars} side="short" />
    </div>
  );
}

/** The map in words and figures: its largest bars, and what lies between the price and each. */

import { barsOf, cumulativeAt, type Bar } from '../../engine/bars';
import { formatPercent, formatPrice, formatUsd } from '../../format';
import type { MapModel } from './model';

const ROWS = 20;
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
    <tr class={bar.side}>
      <td>
        {formatPrice(bar.low, decimals)} – {formatPrice(bar.high, decimals)}
      </td>
      <td>{bar.side === 'long' ? '▼ longs' : '▲ shorts'}</td>
      <td>~{formatUsd(bar.usd)}</td>
      <td>{formatPercent(middle / map.lastPrice - 1)}</td>
      <td>~{formatUsd(cumulativeAt(map, far))}</td>
      <td>{parts.length > 1 ? `${parts[most].label} ${Math.round((100 * bar.parts[most]) / bar.usd)} %` : '–'}</td>
    </tr>
  );
}

export function MapTable({ m }: { m: MapModel }) {
  const map = m.map.value;
  if (!map) return null;
  const group = Math.max(1, Math.round((map.edges.length - 1) / BARS));
  const bars = barsOf(map, m.parts.value, group);
  const largest = [...bars].sort((a, b) => b.usd - a.usd).slice(0, ROWS);
  return (
    <div class="map-table" tabindex={0} role="region" aria-label="The largest bars">
      <table>
        <caption>The {largest.length} largest bars; modelled, as if touched now</caption>
        <thead>
          <tr>
            <th scope="col">Price</th>
            <th scope="col">Side</th>
            <th scope="col">USD</th>
            <th scope="col">Distance</th>
            <th scope="col">Price to there</th>
            <th scope="col">Most of it</th>
          </tr>
        </thead>
        <tbody>
          {largest.map((bar) => (
            <Row key={`${bar.side}${bar.first}`} m={m} bar={bar} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

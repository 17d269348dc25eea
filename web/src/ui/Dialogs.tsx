/** About, keys, and the largest levels as a table (the text alternative of the picture). */

import { largestClusters } from '../engine/clusters';
import { formatPercent, formatPrice, formatUsd } from '../format';
import { dialog, health } from '../state/page';
import { prefs, setPrefs } from '../state/prefs';
import { PaletteControl, ThemeControl } from './Colors';
import { usePanel } from './context';
import { ProfileToggle } from './controls';
import { Dialog } from './Dialog';
import { CAPTION } from './StatusBar';
import { SIDE_TEXT } from './words';

export function About() {
  const p = usePanel();
  const h = health.value;
  return (
    <Dialog name="about" title="About liqheat">
      <p>
        Where leveraged positions would be closed by force: a price × time map, estimated from
        public exchange data on your own machine. Longs are liquidated below the price, shorts
        above it.
      </p>
      <p class="caution">{CAPTION}</p>
      <p>
        A color says how much modelled notional rests in one price bin at the end of one step, as
        far as nobody closed or moved it. It does not say whether or when the price gets there.
      </p>
      <div class="row">
        <ThemeControl />
        <ProfileToggle />
        <PaletteControl />
      </div>
      <dl class="facts">
        <dt>Version</dt>
        <dd>{h?.version ?? '–'}</dd>
        <dt>Model</dt>
        <dd>{p.status.value?.model_version ?? h?.model_version ?? '–'}</dd>
        <dt>Interface</dt>
        <dd>
          <a href="api/v1/docs">HTTP API</a>
        </dd>
      </dl>
      <h3>Chart library</h3>
      <p>
        TradingView Lightweight Charts™
        <br />
        Copyright (c) 2025 TradingView, Inc.{' '}
        <a href="https://www.tradingview.com/" rel="noreferrer" target="_blank">
          https://www.tradingview.com/
        </a>
        <br />
        Licensed under the Apache License, Version 2.0.
      </p>
    </Dialog>
  );
}

const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'search contracts'],
  ['1 … 9', 'range, from 12h on (0 for 1Y)'],
  ['M', 'next model'],
  ['[  ]', 'threshold down, up'],
  ['L', 'logarithmic price axis'],
  ['R', 'realised liquidations on the chart'],
  ['B', 'distance bands: ±1, 2, 5, 10 % from the price'],
  ['O', 'one side: longs, shorts, both'],
  ['K', 'leverage: tiers drawn, own mixture'],
  ['E', 'of a coin: exchanges added up'],
  ['T', 'largest levels as a table'],
  ['F', 'feed of realised liquidations'],
  ['V', 'heatmap or map'],
  ['D', 'dark, light, or as the system'],
  ['P', 'next palette'],
  ['I', 'panes under the heatmap: open interest, funding, volume …'],
  ['C', 'another panel beside this one'],
  ['S', 'save the picture as PNG'],
  ['X', 'the whole screen, and back'],
  ['W', 'time travel: the map as it was known'],
  ['Space', 'play and pause the past'],
  [', .', 'a column of the past back, on'],
  ['< >', 'play slower, faster'],
  ['← → ↑ ↓', 'move the cursor (Shift: ten at once)'],
  ['Enter', 'pin the cell under the cursor'],
  ['+ −', 'zoom'],
  ['Home  End', 'whole range, newest column'],
  ['Alt R', 'reset the view'],
  ['Esc', 'close, unpin, clear the cursor'],
  ['?', 'this list'],
];

export function Help() {
  return (
    <Dialog name="help" title="Keys">
      <dl class="keys">
        {KEYS.map(([key, text]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      <label class="check">
        <input
          type="checkbox"
          checked={prefs.value.keys}
          onChange={(event) => setPrefs({ keys: event.currentTarget.checked })}
        />
        Single-key shortcuts
      </label>
    </Dialog>
  );
}

const ROWS = 20;

function LevelRows() {
  const p = usePanel();
  void p.revision.value;
  const m = p.matrix.value;
  if (!m || m.width === 0) return null;
  const last = p.lastPrice.value;
  const decimals = p.chart.value?.priceDecimals ?? 2;
  return (
    <tbody>
      {largestClusters(m, ROWS).map((row) => {
        const middle = (row.priceLow + row.priceHigh) / 2;
        return (
          <tr key={`${row.priceLow}`} class={row.side}>
            <td>
              {formatPrice(row.priceLow, decimals)} – {formatPrice(row.priceHigh, decimals)}
            </td>
            <td>{SIDE_TEXT[row.side]}</td>
            <td>~{formatUsd(row.usd)}</td>
            <td>{formatPercent(middle / last - 1)}</td>
          </tr>
        );
      })}
    </tbody>
  );
}

export function Levels() {
  return (
    <Dialog name="levels" title="Largest levels now">
      {/* Rows are computed only while the table is open: it follows every update. */}
      <table>
        <thead>
          <tr>
            <th scope="col">Price</th>
            <th scope="col">Side</th>
            <th scope="col">USD if touched</th>
            <th scope="col">Distance</th>
          </tr>
        </thead>
        {dialog.value === 'levels' && <LevelRows />}
      </table>
      <p class="muted">{CAPTION}</p>
    </Dialog>
  );
}

/** The two lines over the chart: what is shown, and how. On a phone the second is a sheet. */

import { formatPercent, formatPrice, splitSymbol } from '../format';
import { isCoin, lastPrice, matrix, revision } from '../state/live';
import { RANGES, query, setQuery } from '../state/query';
import { chart, panel, symbol } from '../state/view';
import {
  LiveButton,
  LogPriceToggle,
  ModelControl,
  ModelLine,
  PaletteControl,
  ProfileToggle,
  RangeControl,
  RealisedToggle,
  ResetButton,
  ScaleControl,
  StepControl,
  ZoneToggle,
} from './controls';
import { Dialog } from './Dialog';
import { Chevron, Info, Keyboard, Mark, Sliders, Table } from './icons';
import { Legend } from './Legend';
import { ModeBadge } from './States';
import { Exchanges, LinkChip } from './StatusBar';

function SymbolButton() {
  const { exchange, contract } = splitSymbol(symbol.value);
  return (
    <button
      type="button"
      class="symbol"
      aria-haspopup="dialog"
      title="Choose a contract (/)"
      onClick={() => (panel.value = 'symbols')}
    >
      <strong>{contract || '…'}</strong>
      <span class="muted">{exchange || (contract && 'all exchanges')}</span>
      <Chevron />
    </button>
  );
}

function Price() {
  void revision.value;
  const m = matrix.value;
  const price = lastPrice.value;
  if (!m || !Number.isFinite(price)) return <span class="price" />;
  const open = m.candles.open.subarray(0, m.width).find((x) => !Number.isNaN(x)) ?? price;
  const change = price / open - 1;
  return (
    <span class="price">
      <strong>{formatPrice(price, chart.value?.priceDecimals ?? 2)}</strong>
      <span class={change < 0 ? 'fall' : 'rise'} title={`Change over ${query.value.range}`}>
        {formatPercent(change)}
      </span>
    </span>
  );
}

function IconButton(props: { label: string; name: 'about' | 'help' | 'levels'; children: preact.ComponentChildren }) {
  return (
    <button
      type="button"
      class="icon"
      data-name={props.name}
      aria-label={props.label}
      title={props.label}
      onClick={() => (panel.value = props.name)}
    >
      {props.children}
    </button>
  );
}

export function Toolbar() {
  return (
    <header class="top">
      <div class="bar head">
        <span class="brand">
          <Mark />
          <span>liqheat</span>
        </span>
        <SymbolButton />
        <Price />
        <ModeBadge />
        <span class="spacer" />
        <LinkChip short />
        <span class="axes">
          <LiveButton />
          <ResetButton />
          <LogPriceToggle />
          <ZoneToggle />
        </span>
        <IconButton label="Largest levels as a table (T)" name="levels">
          <Table />
        </IconButton>
        <IconButton label="Keys (?)" name="help">
          <Keyboard />
        </IconButton>
        <IconButton label="About" name="about">
          <Info />
        </IconButton>
      </div>
      <div class="bar controls">
        <RangeControl />
        <StepControl />
        <ModelControl />
        <ModelLine />
        <span class="spacer" />
        <RealisedToggle />
        <ScaleControl />
      </div>
    </header>
  );
}

/** Phone: the ranges under the thumb, everything else in a sheet. */
export function BottomBar() {
  return (
    <nav class="bottom" aria-label="Controls">
      <select
        aria-label="Range"
        value={query.value.range}
        onChange={(event) => {
          const range = RANGES.find((r) => r === event.currentTarget.value);
          if (range) setQuery({ range }, 'push');
        }}
      >
        {RANGES.map((range) => (
          <option key={range}>{range}</option>
        ))}
      </select>
      <LiveButton />
      <button
        type="button"
        class="button"
        data-name="controls"
        aria-haspopup="dialog"
        onClick={() => (panel.value = 'controls')}
      >
        <Sliders /> Controls
      </button>
    </nav>
  );
}

export function Sheet() {
  return (
    <Dialog name="controls" title="Controls" class="sheet">
      {isCoin.value && (
        <>
          <h3>Exchanges</h3>
          <div class="row exchanges">
            <Exchanges />
          </div>
        </>
      )}
      <h3>Threshold</h3>
      <Legend horizontal />
      <h3>Model</h3>
      <ModelControl />
      <ModelLine />
      <h3>Range and step</h3>
      <RangeControl />
      <StepControl />
      <h3>Colors</h3>
      <div class="row">
        <ScaleControl />
        <PaletteControl />
      </div>
      <h3>Axes</h3>
      <div class="row">
        <LogPriceToggle />
        <ZoneToggle />
        <ProfileToggle />
        <RealisedToggle />
        <ResetButton />
      </div>
      <div class="row">
        <button type="button" class="button" onClick={() => (panel.value = 'levels')}>
          Largest levels
        </button>
        <button type="button" class="button" onClick={() => (panel.value = 'about')}>
          About
        </button>
      </div>
    </Dialog>
  );
}

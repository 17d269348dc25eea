/** The two lines over the chart: what is shown, and how. On a phone the second is a sheet. */

import { priceDecimals } from '../engine/axis';
import { formatPercent, formatPrice, splitSymbol } from '../format';
import { dialog, type DialogName } from '../state/page';
import { prefs } from '../state/prefs';
import { RANGES } from '../state/query';
import { nextTheme } from '../state/theme';
import { usePanel } from './context';
import {
  LiveButton,
  LogPriceToggle,
  ModelControl,
  ModelLine,
  RangeControl,
  RealisedToggle,
  ResetButton,
  ScaleControl,
  StepControl,
  TravelButton,
  ViewControl,
  ZoneToggle,
} from './controls';
import { Chevron, Columns, Info, Keyboard, Mark, Moon, Panes, Save, Sliders, Sun, System, Table, Whole } from './icons';
import { toggleFullscreen } from './fullscreen';
import { FeedButton } from './FeedPane';
import { ModeBadge } from './States';
import { lazy } from './lazy';
import { LinkChip } from './StatusBar';

const MadeOf = lazy(() => import('./Filters').then((m) => m.MadeOf));
const LeverageButton = lazy(() => import('./Filters').then((m) => m.LeverageButton));
const BandsToggle = lazy(() => import('./Filters').then((m) => m.BandsToggle));
const SideControl = lazy(() => import('./Filters').then((m) => m.SideControl));

function SymbolButton() {
  const p = usePanel();
  const { exchange, contract } = splitSymbol(p.symbol.value);
  return (
    <button
      type="button"
      class="symbol"
      aria-haspopup="dialog"
      title="Choose a contract (/)"
      onClick={() => (dialog.value = 'symbols')}
    >
      <strong>{contract || '…'}</strong>
      <span class="muted">{exchange || (contract && 'all exchanges')}</span>
      <Chevron />
    </button>
  );
}

function Price() {
  const p = usePanel();
  void p.revision.value;
  const m = p.matrix.value;
  const price = p.lastPrice.value;
  if (!m || !Number.isFinite(price)) return <span class="price" />;
  const open = m.candles.open.subarray(0, m.width).find((x) => !Number.isNaN(x)) ?? price;
  const change = price / open - 1;
  return (
    <span class="price">
      <strong>{formatPrice(price, priceDecimals(price, p.instrument.value?.tick_size))}</strong>
      <span class={change < 0 ? 'fall' : 'rise'} title={`Change over ${p.query.value.range}`}>
        {formatPercent(change)}
      </span>
    </span>
  );
}

function IconButton(props: { label: string; name: DialogName; id?: string; children: preact.ComponentChildren }) {
  return (
    <button
      type="button"
      class="icon"
      data-name={props.id ?? props.name}
      aria-label={props.label}
      title={props.label}
      onClick={() => (dialog.value = props.name)}
    >
      {props.children}
    </button>
  );
}

const THEME_ICON = { dark: Moon, light: Sun, system: System } as const;

function ThemeButton() {
  const { theme } = prefs.value;
  const Picture = THEME_ICON[theme];
  const label = `Theme: ${theme} (D)`;
  return (
    <button type="button" class="icon" data-name="theme" aria-label={label} title={label} onClick={nextTheme}>
      <Picture />
    </button>
  );
}

export function Toolbar() {
  const heat = usePanel().query.value.view === 'heatmap';
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
        <span class="made-of">
          <MadeOf />
        </span>
        <span class="spacer" />
        <LinkChip short />
        <span class="axes">
          {heat && <LiveButton />}
          {heat && <ResetButton />}
          <LogPriceToggle />
          {heat && <BandsToggle />}
          {heat && <ZoneToggle />}
        </span>
        <TravelButton />
        <FeedButton />
        {heat && (
          <IconButton label="Panes: open interest, funding, volume … (I)" name="panes">
            <Panes />
          </IconButton>
        )}
        <IconButton label="Compare side by side (C)" name="compare">
          <Columns />
        </IconButton>
        {heat && (
          <IconButton label="Largest levels as a table (T)" name="levels">
            <Table />
          </IconButton>
        )}
        {heat && (
          <IconButton label="Export: PNG, CSV, JSON (S saves)" name="export">
            <Save />
          </IconButton>
        )}
        {document.fullscreenEnabled && (
          <button
            type="button"
            class="icon"
            data-name="fullscreen"
            aria-label="Whole screen (X)"
            title="Whole screen (X)"
            onClick={toggleFullscreen}
          >
            <Whole />
          </button>
        )}
        <ThemeButton />
        <IconButton label="All controls" name="controls" id="all">
          <Sliders />
        </IconButton>
        <IconButton label="Keys (?)" name="help">
          <Keyboard />
        </IconButton>
        <IconButton label="About" name="about">
          <Info />
        </IconButton>
      </div>
      <div class="bar controls">
        <ViewControl />
        <RangeControl />
        {heat && <StepControl />}
        <ModelControl />
        <LeverageButton />
        {!heat && <ModelLine />}
        <span class="spacer" />
        {heat && <SideControl short />}
        {heat && <RealisedToggle />}
        {heat && <ScaleControl />}
      </div>
    </header>
  );
}

/** Phone: the other view, one tap away. */
function ViewButton() {
  const p = usePanel();
  const map = p.query.value.view === 'map';
  return (
    <button type="button" class="button" data-name="view" onClick={() => p.set({ view: map ? 'heatmap' : 'map' }, 'push')}>
      {map ? 'Heatmap' : 'Map'}
    </button>
  );
}

/** Phone: the ranges under the thumb, everything else in a sheet. */
export function BottomBar() {
  const p = usePanel();
  return (
    <nav class="bottom" aria-label="Controls">
      <select
        aria-label="Range"
        value={p.query.value.range}
        onChange={(event) => {
          const range = RANGES.find((r) => r === event.currentTarget.value);
          if (range) p.set({ range }, 'push');
        }}
      >
        {RANGES.map((range) => (
          <option key={range}>{range}</option>
        ))}
      </select>
      <ViewButton />
      <FeedButton text="Feed" />
      <button
        type="button"
        class="button"
        data-name="controls"
        aria-haspopup="dialog"
        onClick={() => (dialog.value = 'controls')}
      >
        <Sliders /> Controls
      </button>
    </nav>
  );
}

/** The phone's sheet: every control which the desktop has in its toolbar, under the thumb. */

import { dialog } from '../state/page';
import { toggleTravel } from '../state/travel';
import { PaletteControl, ThemeControl } from './Colors';
import { usePanel } from './context';
import {
  LiveButton,
  LogPriceToggle,
  ModelControl,
  ModelLine,
  ProfileToggle,
  RangeControl,
  RealisedToggle,
  ResetButton,
  ScaleControl,
  StepControl,
  ZoneToggle,
} from './controls';
import { Dialog } from './Dialog';
import { BandsToggle, LeverageButton, MadeOf, SideControl } from './Filters';
import { Legend } from './Legend';
import { PaneSwitches } from './PaneMenu';
import { Exchanges } from './StatusBar';

/** What only a heatmap has. */
function HeatControls() {
  return (
    <>
      <StepControl />
      <h3>Side</h3>
      <SideControl />
      <h3>Panes under the heatmap</h3>
      <PaneSwitches />
      <h3>Colors</h3>
      <div class="row">
        <ThemeControl />
        <ScaleControl />
        <PaletteControl />
      </div>
      <h3>Axes</h3>
      <div class="row">
        <LogPriceToggle />
        <ZoneToggle />
        <ProfileToggle />
        <BandsToggle />
        <RealisedToggle />
        <LiveButton />
        <ResetButton />
      </div>
    </>
  );
}

export function Sheet() {
  const p = usePanel();
  const heat = p.query.value.view === 'heatmap';
  return (
    <Dialog name="controls" title="Controls" class="sheet">
      {p.isCoin.value && (
        <>
          <h3>Exchanges</h3>
          <div class="row exchanges">
            <Exchanges />
          </div>
        </>
      )}
      {heat && <h3>Threshold</h3>}
      {heat && <Legend horizontal />}
      <h3>Model</h3>
      <ModelControl />
      <ModelLine />
      <div class="row">
        <LeverageButton />
        <MadeOf />
      </div>
      <h3>Range{heat ? ' and step' : ''}</h3>
      <RangeControl />
      {heat && <HeatControls />}
      {!heat && <LogPriceToggle />}
      <div class="row">
        {heat && (
          <button type="button" class="button" onClick={() => (dialog.value = 'levels')}>
            Largest levels
          </button>
        )}
        <button
          type="button"
          class="button"
          data-name="travel"
          onClick={() => {
            dialog.value = null;
            toggleTravel();
          }}
        >
          Time travel
        </button>
        <button type="button" class="button" onClick={() => (dialog.value = 'compare')}>
          Compare
        </button>
        {heat && (
          <button type="button" class="button" onClick={() => (dialog.value = 'export')}>
            Export
          </button>
        )}
        <button type="button" class="button" onClick={() => (dialog.value = 'about')}>
          About
        </button>
      </div>
    </Dialog>
  );
}

/** The page: toolbar, one to four panels, status line, and the dialogs. */

import { dialog, health } from '../state/page';
import { active, panels } from '../state/panel';
import { choices } from '../state/query';
import { ChartView } from './ChartView';
import { PanelContext } from './context';
import { FeedPane } from './FeedPane';
import { lazy } from './lazy';
import { StatusBar } from './StatusBar';
import { BottomBar, Toolbar } from './Toolbar';

const MapView = lazy(() => import('./map/MapView').then((m) => m.MapView));
const Overlays = lazy(() => import('./Overlays').then((m) => m.Overlays));

const Scrubber = lazy(() => import('./Scrubber').then((m) => m.Scrubber));

/** Not before the first picture, unless somebody asks for it. */
function LateOverlays() {
  return active.value.matrix.value !== null || dialog.value !== null || health.value !== null ? <Overlays /> : null;
}

function Panels() {
  const all = panels.value;
  return (
    <main class={all.length > 1 ? 'panels many' : 'panels'} data-panels={all.length}>
      {all.map((panel) => (
        <PanelContext.Provider key={panel.index} value={panel}>
          {panel.query.value.view === 'map' ? <MapView /> : <ChartView />}
        </PanelContext.Provider>
      ))}
    </main>
  );
}

/** Toolbar, status line and dialogs belong to the panel last touched. */
export function App() {
  return (
    <PanelContext.Provider value={active.value}>
      <Toolbar />
      <div class="work">
        <Panels />
        <FeedPane />
      </div>
      {choices.value.first.asOfMs !== null && <Scrubber />}
      <StatusBar />
      <BottomBar />
      <LateOverlays />
    </PanelContext.Provider>
  );
}

/**
 * The page of liqheat, from the socket to the pixels:
 *
 *     net/    bytes -> frames            state/  frames and URL -> signals
 *     engine/ matrix -> picture          ui/     signals -> panels, keys -> signals
 *
 * `engine` and `net` know no framework and no signal; `ui` owns no data. Start here, then
 * net/codec, engine/matrix, engine/bitmap, state/live, state/panel.
 */

import { render } from 'preact';

import { startPage } from './state/page';
import { startPanels } from './state/panel';
import { startPrefs } from './state/prefs';
import { startQuery } from './state/query';
import { startTheme } from './state/theme';
import { App } from './ui/App';
import './style.css';
import './panels.css';
import './feedpane.css';
import './theme.css';

startPrefs();
startTheme();
startQuery();
render(<App />, document.getElementById('app')!);
void import('./ui/keys').then(({ startKeys }) => startKeys());
const bench = new URLSearchParams(window.location.search).get('bench');
if (bench) void import('./bench').then(({ startBench }) => startBench(bench));
else {
  startPage();
  startPanels();
}

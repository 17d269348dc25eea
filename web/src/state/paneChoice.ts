/** Choosing sub-panes: into the address bar, and remembered for an address which names none. */

import type { PaneKind } from '../engine/paneKinds';
import type { Panel } from './panel';
import { setPrefs } from './prefs';
import { subpanesOf } from './query';

/** Show or close a sub-pane; a new one goes below the others. */
export function toggleSubpane(panel: Panel, kind: PaneKind): void {
  const now = subpanesOf(panel.query.peek().sub);
  const sub = (now.includes(kind) ? now.filter((one) => one !== kind) : [...now, kind]).join();
  panel.set({ sub }, 'push');
  setPrefs({ subpanes: sub });
}

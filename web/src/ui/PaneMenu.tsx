/** Which sub-panes lie under the heat: a short list of switches, in the toolbar and the sheet. */

import { capacity, type PaneKind } from '../engine/paneKinds';
import { toggleSubpane } from '../state/paneChoice';
import type { Panel } from '../state/panel';
import { SUBPANES, subpanesOf } from '../state/query';
import { usePanel } from './context';
import { Dialog } from './Dialog';
import { PANE_TEXT } from './paneText';
import '../subpanes.css';

/** What the server says that it has of a kind; undefined while it has not said. */
function covered(p: Panel, kind: PaneKind): boolean | undefined {
  const coverage = p.status.value?.coverage;
  if (kind === 'oi') return coverage?.['open_interest'];
  if (kind === 'cvd') return coverage?.['taker_volume'];
  if (kind === 'liq') return coverage?.['liquidations'];
  return undefined;
}

function Switch({ kind, on, full }: { kind: PaneKind; on: boolean; full: boolean }) {
  const p = usePanel();
  const { name, line, none } = PANE_TEXT[kind];
  return (
    <label class="pane-switch">
      <input
        type="checkbox"
        name={`pane-${kind}`}
        checked={on}
        disabled={full && !on}
        onChange={() => toggleSubpane(p, kind)}
      />
      <b>{name}</b>
      <span class="muted">{covered(p, kind) === false ? none : line}</span>
    </label>
  );
}

export function PaneSwitches() {
  const p = usePanel();
  const on = subpanesOf(p.query.value.sub);
  const box = p.chart.value?.element;
  const room = box ? capacity(box.clientWidth, box.clientHeight) : Infinity;
  return (
    <div class="pane-switches" role="group" aria-label="Panes under the heatmap">
      {SUBPANES.map((kind) => (
        <Switch key={kind} kind={kind} on={on.includes(kind)} full={on.length >= room} />
      ))}
      {room < SUBPANES.length && (
        <p class="muted">
          {on.length > room
            ? `Here is room for ${room}: the others appear on a larger screen.`
            : `Here is room for ${room}.`}
        </p>
      )}
    </div>
  );
}

export function PaneMenu() {
  return (
    <Dialog name="panes" title="Panes" class="panes-menu">
      <PaneSwitches />
      <p class="muted">Drag the line above a pane to resize it.</p>
    </Dialog>
  );
}

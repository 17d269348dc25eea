/** Keys of the map: they come before the page's own, which then leaves them alone. */

import { dialog } from '../../state/page';
import { active } from '../../state/panel';
import { prefs } from '../../state/prefs';
import type { MapModel } from './model';
import { savePng } from './save';

const BIG = 10;

type Action = (event: KeyboardEvent) => void;

function actions(m: MapModel): Record<string, Action> {
  const step = (bars: number): Action => (event) => m.chart.value?.moveCursor(bars * (event.shiftKey ? BIG : 1));
  return {
    ArrowLeft: step(-1),
    ArrowRight: step(1),
    ArrowDown: step(-1),
    ArrowUp: step(1),
    Home: () => m.chart.value?.fit(),
    End: () => m.chart.value?.fit(),
    Enter: () => m.cursor.value !== null && m.choose(m.cursor.value, 'push'),
    Escape: () => (m.cursor.value === null ? m.choose(null, 'push') : m.chart.value?.clearCursor()),
    t: () => (m.table.value = !m.table.value),
    s: () => savePng(m),
    '+': () => m.chart.value?.zoom(0.8),
    '=': () => m.chart.value?.zoom(0.8),
    '-': () => m.chart.value?.zoom(1.25),
  };
}

/** Keys of the heatmap which mean nothing here. */
const DEAF = ['r', 'p', 'b', 'i', 'o', '[', ']'];

/** Whether the key belongs to what has the focus: a field, a slider, a button. */
function taken(event: KeyboardEvent): boolean {
  const { target } = event;
  if (!(target instanceof Element)) return false;
  if (target.matches('input, select, textarea, [contenteditable]')) return true;
  return event.key === 'Enter' && target.matches('button, a, summary');
}

/** The whole map, nothing chosen. */
function reset(event: KeyboardEvent, m: MapModel): void {
  event.preventDefault();
  m.highlight.value = null;
  m.choose(null, 'push');
  m.chart.value?.fit();
}

/** Listen while the map is shown; returns how to stop. */
export function listenKeys(m: MapModel): () => void {
  const known = actions(m);
  const hear = (event: KeyboardEvent): void => {
    if (dialog.value !== null || active.value !== m.panel || event.defaultPrevented) return;
    if (event.altKey && event.code === 'KeyR') return reset(event, m);
    if (event.ctrlKey || event.metaKey || event.altKey || taken(event)) return;
    const single = event.key.length === 1;
    if (single && !prefs.value.keys) return;
    const key = single ? event.key.toLowerCase() : event.key;
    const act = known[key];
    if (!act && !DEAF.includes(key)) return;
    event.preventDefault();
    act?.(event);
  };
  window.addEventListener('keydown', hear, { capture: true });
  return () => window.removeEventListener('keydown', hear, { capture: true });
}

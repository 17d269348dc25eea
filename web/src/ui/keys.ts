/** Keyboard of the page. Silent while typing, in a dialog, or when switched off. */

import { backward, forward } from '../engine/lut';
import { MODELS, RANGES, query, setQuery } from '../state/query';
import { prefs } from '../state/prefs';
import { chart, cursor, look, panel, pin, resetView } from '../state/view';
import { matrix } from '../state/live';
import { announceCursor } from './announce';
import { moveLow } from './Legend';

const THRESHOLD_STEP = 0.04;
const BIG = 10;

function nextModel(): void {
  const at = MODELS.indexOf(query.value.model);
  setQuery({ model: MODELS[(at + 1) % MODELS.length] }, 'push');
}

function nudgeThreshold(direction: 1 | -1): void {
  const { transfer, lo } = look.value;
  const position = forward(transfer, lo) + direction * THRESHOLD_STEP;
  // Just above zero counts as zero: the last step down must show everything.
  moveLow(look.value, position < THRESHOLD_STEP / 2 ? backward(transfer, 0) : position);
}

export function pinCursor(): void {
  const at = cursor.value;
  const m = matrix.value;
  if (!at || !m) return;
  pin.value = { timeMs: m.timeMs(Math.min(at.column, m.width - 1)), price: at.price };
}

function escape(): void {
  if (pin.value) pin.value = null;
  else chart.value?.clearCursor();
}

type Action = (event: KeyboardEvent) => void;

function cursorAction(columns: number, bins: number): Action {
  return (event) => {
    const by = event.shiftKey ? BIG : 1;
    chart.value?.moveCursor(columns * by, bins * by);
    announceCursor();
  };
}

const NAMED: Record<string, Action> = {
  ArrowLeft: cursorAction(-1, 0),
  ArrowRight: cursorAction(1, 0),
  ArrowUp: cursorAction(0, 1),
  ArrowDown: cursorAction(0, -1),
  Home: () => chart.value?.fit(),
  End: () => chart.value?.goLive(),
  Enter: pinCursor,
  Escape: escape,
};

const SINGLE: Record<string, Action> = {
  '/': () => (panel.value = 'symbols'),
  '?': () => (panel.value = 'help'),
  m: nextModel,
  l: () => setQuery({ logPrice: !query.value.logPrice }, 'push'),
  r: () => setQuery({ realised: !query.value.realised }, 'push'),
  t: () => (panel.value = 'levels'),
  '[': () => nudgeThreshold(-1),
  ']': () => nudgeThreshold(1),
  '+': () => chart.value?.zoom(0.8),
  '=': () => chart.value?.zoom(0.8),
  '-': () => chart.value?.zoom(1.25),
};

for (let i = 0; i < 10; i++) {
  SINGLE[String((i + 1) % 10)] = () => setQuery({ range: RANGES[i] }, 'push');
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.matches('input, select, textarea, [contenteditable]');
}

function find(event: KeyboardEvent): Action | undefined {
  if (event.altKey && event.code === 'KeyR') return resetView;
  if (event.ctrlKey || event.metaKey || event.altKey) return undefined;
  const target = event.target;
  const slider = target instanceof HTMLInputElement && target.type === 'range';
  const named = NAMED[event.key];
  if (named) {
    // Enter on a button presses it; arrows on a slider move it.
    const own = isTyping(target) || (event.key === 'Enter' && target instanceof HTMLButtonElement);
    return own && event.key !== 'Escape' ? undefined : named;
  }
  if (!prefs.value.keys || (isTyping(target) && !slider)) return undefined;
  return SINGLE[event.key.length === 1 ? event.key.toLowerCase() : event.key];
}

export function startKeys(): void {
  window.addEventListener('keydown', (event) => {
    if (panel.value !== null || event.defaultPrevented) return;
    const action = find(event);
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}

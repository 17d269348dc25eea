/** Keyboard of the page. Silent while typing, in a dialog, or when switched off. */

import { backward, forward } from '../engine/lut';
import { dialog } from '../state/page';
import { active } from '../state/panel';
import { prefs } from '../state/prefs';
import { MODELS, SIDES, PALETTES, RANGES, type Query } from '../state/query';
import { nextTheme } from '../state/theme';
import { toggleTravel } from '../state/travel';
import { announceCursor } from './announce';
import { toggleFullscreen } from './fullscreen';
import { moveLow } from './Legend';

const THRESHOLD_STEP = 0.04;
const BIG = 10;

function choose(change: (query: Query) => Partial<Query>): void {
  const p = active.value;
  p.set(change(p.query.value), 'push');
}

function nextModel({ model }: Query): Partial<Query> {
  return { model: MODELS[(MODELS.indexOf(model) + 1) % MODELS.length] };
}

function nextPalette({ palette }: Query): Partial<Query> {
  return { palette: PALETTES[(PALETTES.indexOf(palette) + 1) % PALETTES.length] };
}

function nextSide({ side }: Query): Partial<Query> {
  return { side: SIDES[(SIDES.indexOf(side) + 1) % SIDES.length] };
}

function nudgeThreshold(direction: 1 | -1): void {
  const p = active.value;
  const { transfer, lo } = p.look.value;
  const position = forward(transfer, lo) + direction * THRESHOLD_STEP;
  // Just above zero counts as zero: the last step down must show everything.
  moveLow(p, position < THRESHOLD_STEP / 2 ? backward(transfer, 0) : position);
}

function escape(): void {
  const { pin, chart } = active.value;
  if (pin.value) pin.value = null;
  else chart.value?.clearCursor();
}

type Action = (event: KeyboardEvent) => void;

function cursorAction(columns: number, bins: number): Action {
  return (event) => {
    const by = event.shiftKey ? BIG : 1;
    active.value.chart.value?.moveCursor(columns * by, bins * by);
    announceCursor();
  };
}

const NAMED: Record<string, Action> = {
  ArrowLeft: cursorAction(-1, 0),
  ArrowRight: cursorAction(1, 0),
  ArrowUp: cursorAction(0, 1),
  ArrowDown: cursorAction(0, -1),
  Home: () => active.value.chart.value?.fit(),
  End: () => active.value.chart.value?.goLive(),
  Enter: () => active.value.pinCursor(),
  Escape: escape,
};

const SINGLE: Record<string, Action> = {
  '/': () => (dialog.value = 'symbols'),
  '?': () => (dialog.value = 'help'),
  m: () => choose(nextModel),
  l: () => choose(({ logPrice }) => ({ logPrice: !logPrice })),
  r: () => choose(({ realised }) => ({ realised: !realised })),
  b: () => choose(({ bands }) => ({ bands: !bands })),
  o: () => choose(nextSide),
  k: () => (dialog.value = 'leverage'),
  e: () => {
    if (active.value.isCoin.value) dialog.value = 'exchanges';
  },
  t: () => (dialog.value = 'levels'),
  f: () => choose(({ feed }) => ({ feed: !feed })),
  v: () => choose(({ view }) => ({ view: view === 'map' ? 'heatmap' : 'map' })),
  d: nextTheme,
  p: () => choose(nextPalette),
  i: () => (dialog.value = 'panes'),
  c: () => (dialog.value = 'compare'),
  s: () => void import('./Export').then(({ saveNow }) => saveNow()),
  x: toggleFullscreen,
  w: toggleTravel,
  '[': () => nudgeThreshold(-1),
  ']': () => nudgeThreshold(1),
  '+': () => active.value.chart.value?.zoom(0.8),
  '=': () => active.value.chart.value?.zoom(0.8),
  '-': () => active.value.chart.value?.zoom(1.25),
};

for (let i = 0; i < 10; i++) {
  SINGLE[String((i + 1) % 10)] = () => choose(() => ({ range: RANGES[i] }));
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.matches('input, select, textarea, [contenteditable]');
}

function find(event: KeyboardEvent): Action | undefined {
  if (event.altKey && event.code === 'KeyR') return () => active.value.resetView();
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
    if (dialog.value !== null || event.defaultPrevented) return;
    const action = find(event);
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}

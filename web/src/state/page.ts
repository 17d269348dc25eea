/**
 * What all panels share: the server's list of instruments, the clock, what is open over the page.
 */

import { signal } from '@preact/signals';

import { ApiError, fetchHealth, fetchInstruments } from '../net/api';
import type { Health, Instrument } from '../net/api';
import type { Problem } from '../net/ws';

export type DialogName =
  | 'symbols'
  | 'about'
  | 'help'
  | 'controls'
  | 'levels'
  | 'compare'
  | 'leverage'
  | 'exchanges'
  | 'panes'
  | 'export';

export const instruments = signal<readonly Instrument[] | null>(null);
export const health = signal<Health | null>(null);
/** Why the list could not be read; a panel without a picture shows it. */
export const listProblem = signal<Problem | null>(null);
/** Wall clock of the page, once a second, for ages and countdowns. */
export const nowMs = signal(Date.now());
/** The dialog that is open. */
export const dialog = signal<DialogName | null>(null);
/** Spoken by screen readers, politely. */
export const announcement = signal('');

const LIST_RETRY_MS = 4000;

/** Start the clock and read the lists until they are there. */
export function startPage(): void {
  window.setInterval(() => (nowMs.value = Date.now()), 1000);
  void loadLists();
}

/** Read the instruments again: bars and ages have moved on. */
export async function refreshInstruments(): Promise<void> {
  instruments.value = await fetchInstruments().catch(() => instruments.value);
}

async function loadLists(): Promise<void> {
  try {
    instruments.value = await fetchInstruments();
    health.value = await fetchHealth();
    listProblem.value = null;
    // A first start lists nothing until the first history is in.
    if (instruments.value.length === 0) window.setTimeout(() => void loadLists(), LIST_RETRY_MS);
  } catch (error) {
    if (error instanceof ApiError) listProblem.value = error.problem;
    window.setTimeout(() => void loadLists(), LIST_RETRY_MS);
  }
}

/** A coin over all its instruments. */
export interface Coin {
  readonly name: string;
  readonly coin: string;
  readonly simulated: boolean;
  readonly count: number;
}

/** The coins with more than one instrument that has bars; made-up ones are apart. */
export function coinsOf(list: readonly Instrument[]): Coin[] {
  const found = new Map<string, Coin>();
  for (const { exchange, coin, bars } of list) {
    if (bars === 0) continue;
    const simulated = exchange === 'simulated';
    const name = simulated ? `simulated:${coin}` : coin;
    found.set(name, { name, coin, simulated, count: (found.get(name)?.count ?? 0) + 1 });
  }
  return [...found.values()].filter((coin) => coin.count > 1);
}

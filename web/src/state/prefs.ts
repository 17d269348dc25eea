/** What belongs to the person rather than to the link: kept in this browser only. */

import { signal } from '@preact/signals';

import type { Shares } from '../engine/panes';
import type { FeedPrefs } from './feedprefs';

export const THEME_CHOICES = ['dark', 'light', 'system'] as const;
export type ThemeChoice = (typeof THEME_CHOICES)[number];

export interface Prefs {
  /** Single-key shortcuts (WCAG 2.1.4 asks for a switch). */
  readonly keys: boolean;
  readonly lastSymbol: string;
  readonly feed: Partial<FeedPrefs>;
  readonly theme: ThemeChoice;
  /** Sub-panes of the last choice, and their heights as shares of the chart's. */
  readonly subpanes: string;
  readonly paneShares: Shares;
}

/** Width of the feed until a person chooses another [CSS px]. */
export const FEED_WIDTH = 380;

const STORE = 'liqheat.prefs';
const DEFAULT_PREFS: Prefs = {
  keys: true,
  lastSymbol: '',
  feed: {},
  theme: 'dark',
  subpanes: '',
  paneShares: {},
};

function read(): Prefs {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE) ?? '{}') as Partial<Prefs>;
    const theme = THEME_CHOICES.find((choice) => choice === kept.theme) ?? DEFAULT_PREFS.theme;
    return { ...DEFAULT_PREFS, ...kept, theme };
  } catch {
    return DEFAULT_PREFS;
  }
}

export const prefs = signal<Prefs>(DEFAULT_PREFS);

export function startPrefs(): void {
  prefs.value = read();
}

export function setPrefs(change: Partial<Prefs>): void {
  prefs.value = { ...prefs.value, ...change };
  try {
    localStorage.setItem(STORE, JSON.stringify(prefs.value));
  } catch {
    // Private windows may refuse storage; the setting then lasts as long as the page.
  }
}

/**
 * Dark or light: what the person chose, what the system says, and paper, which is always light.
 *
 * `theme` is what everything drawn follows; here it is put on the document for CSS and for the
 * browser's own frame. The first paint has it already, from `public/theme.js`.
 */

import { computed, effect, signal } from '@preact/signals';

import type { Theme } from '../engine/lut';
import { announcement } from './page';
import { THEME_CHOICES, prefs, setPrefs } from './prefs';

/** The bar at the top of the page, with which a browser's frame should go. */
const FRAME: Record<Theme, string> = { dark: '#0b0f16', light: '#ffffff' };

const systemLight = signal(false);
/** Paper is being laid out: set by `ui/paper.ts`. */
export const printing = signal(false);

export const theme = computed<Theme>(() => {
  if (printing.value) return 'light';
  const choice = prefs.value.theme;
  if (choice === 'system') return systemLight.value ? 'light' : 'dark';
  return choice;
});

export function nextTheme(): void {
  const at = THEME_CHOICES.indexOf(prefs.value.theme);
  const next = THEME_CHOICES[(at + 1) % THEME_CHOICES.length];
  setPrefs({ theme: next });
  announcement.value = `Theme: ${next}`;
}

/** Follow a media query: now, and whenever it changes. */
export function follow(query: string, onMatch: (matches: boolean) => void): void {
  const media = window.matchMedia(query);
  onMatch(media.matches);
  media.addEventListener('change', ({ matches }) => onMatch(matches));
}

export function startTheme(): void {
  follow('(prefers-color-scheme: light)', (matches) => (systemLight.value = matches));
  effect(() => {
    document.documentElement.dataset['theme'] = theme.value;
    const frame = document.querySelector<HTMLMetaElement>('meta[name=theme-color]');
    if (frame) frame.content = FRAME[theme.value];
  });
}

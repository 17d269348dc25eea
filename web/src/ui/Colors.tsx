/** Theme and palette, with a look at each: for the dialogs, which are fetched later. */

import { colorOf, type PaletteName, type Theme } from '../engine/lut';
import { THEME_CHOICES, prefs, setPrefs, type ThemeChoice } from '../state/prefs';
import { PALETTES } from '../state/query';
import { usePanel } from './context';
import { Segments } from './controls';
import './colors.css';

const THEME_TITLE: Record<ThemeChoice, string> = {
  dark: 'Bright levels on a dark page',
  light: 'Dark levels on a white page',
  system: 'As the system is set, also when it changes',
};

const PALETTE_TITLE: Record<PaletteName, string> = {
  viridis: 'The usual one: purple, green, yellow',
  cividis: 'The same to every kind of color vision',
  inferno: 'Black, red, yellow',
  mako: 'Deep blue to mint',
  greys: 'No hue: the candles have it',
};

const capital = (word: string): string => word[0].toUpperCase() + word.slice(1);

export function ThemeControl() {
  return (
    <Segments
      label="Theme"
      options={THEME_CHOICES}
      value={prefs.value.theme}
      onChoose={(theme) => setPrefs({ theme })}
      text={capital}
      title={(theme) => THEME_TITLE[theme]}
    />
  );
}

/** The palette from its ground to its strongest, as CSS. */
function swatch(palette: PaletteName, theme: Theme): string {
  const look = { transfer: 'linear', palette, theme, lo: 0, hi: 1, gamma: 1 } as const;
  const stops = Array.from({ length: 17 }, (_, i) => `rgb(${colorOf(look, i / 16).join(' ')})`);
  return `linear-gradient(90deg, ${stops.join(', ')})`;
}

export function PaletteControl() {
  const p = usePanel();
  const { palette, theme } = p.look.value;
  return (
    <div class="palettes" role="group" aria-label="Palette">
      {PALETTES.map((name) => (
        <button
          key={name}
          type="button"
          class="button palette"
          data-value={name}
          aria-pressed={name === palette}
          title={PALETTE_TITLE[name]}
          onClick={() => p.set({ palette: name }, 'push')}
        >
          <i aria-hidden="true" style={{ background: swatch(name, theme) }} />
          {capital(name)}
        </button>
      ))}
    </div>
  );
}

/** The map's colors: those of every chart of the page. */

import { computed } from '@preact/signals';

import type { BarTheme } from '../../engine/barstyle';
import { FONT } from '../../engine/chart';
import { chartTheme } from '../../engine/theme';
import { theme } from '../../state/theme';

export const barTheme = computed<BarTheme>(() => {
  const { background, priceLine, text, border, long, short } = chartTheme(theme.value, 'viridis');
  const dark = theme.value === 'dark';
  return {
    ...{ dark, background, long, short, font: FONT },
    text: priceLine,
    muted: text,
    line: border,
    longBar: dark ? '#2f6da3' : '#8fbdf0',
    shortBar: dark ? '#a5642a' : '#f0b27a',
  };
});

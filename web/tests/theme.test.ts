import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

/** The custom properties of a rule of theme.css. */
function variables(selector: string): Record<string, string> {
  const css = readFileSync(new URL('../src/theme.css', import.meta.url), 'utf8');
  const rule = css.slice(css.indexOf(`${selector} {`)).split('}')[0];
  return Object.fromEntries([...rule.matchAll(/--([\w-]+): ([^;]+);/g)].map(([, name, value]) => [name, value]));
}

function luminance(hex: string): number {
  const full = hex.length === 4 ? hex.replace(/[^#]/g, '$&$&') : hex;
  const [r, g, b] = [1, 3, 5].map((i) => {
    const v = parseInt(full.slice(i, i + 2), 16) / 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [a, b] = [luminance(one), luminance(other)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

/** Words which lie on each ground. */
const WORDS: Record<string, readonly string[]> = {
  bg: ['text', 'soft', 'muted', 'accent', 'amber', 'red'],
  chart: ['text', 'soft', 'muted', 'long', 'short'],
  panel: ['strong', 'text', 'soft', 'muted', 'accent', 'long', 'short', 'rise', 'fall', 'amber', 'red'],
  raise: ['text', 'soft', 'muted'],
  'raise-2': ['text', 'soft', 'muted'],
  pressed: ['strong', 'text', 'soft'],
  accent: ['on-accent'],
  'amber-ground': ['text', 'amber'],
  'red-ground': ['text', 'red'],
};
/** What must be seen of a control, and where it lies. */
const SHAPES: Record<string, readonly string[]> = {
  panel: ['accent', 'field', 'handle', 'long', 'short', 'amber', 'red'],
  bg: ['accent', 'field'],
  raise: ['accent', 'field'],
  pressed: ['accent'],
};

const dark = variables(':root');
const light = { ...dark, ...variables(":root[data-theme='light']") };

describe.each([
  ['dark', dark],
  ['light', light],
])('%s', (_, colors) => {
  const pairs = (of: typeof WORDS) => Object.entries(of).flatMap(([ground, list]) => list.map((one) => [one, ground]));

  it.each(pairs(WORDS))('%s is legible on %s', (word, ground) => {
    expect(contrast(colors[word], colors[ground])).toBeGreaterThanOrEqual(4.5);
  });

  it.each(pairs(SHAPES))('%s is seen on %s', (shape, ground) => {
    expect(contrast(colors[shape], colors[ground])).toBeGreaterThanOrEqual(3);
  });
});

it('gives every color in both themes', () => {
  expect(Object.keys(variables(":root[data-theme='light']")).sort()).toEqual(Object.keys(variables(':root')).sort());
});

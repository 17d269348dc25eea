/**
 * Which tiers of leverage are drawn, and a mixture of one's own in place of the model's.
 *
 * Both change the subscription; the picture before stays until the new one is there.
 */

import { formatMixture, parseMixture, switchTier, type Mixture } from '../engine/mixture';
import { TIER, TIERS } from '../engine/tiers';
import { usePanel } from './context';
import { Dialog } from './Dialog';

/** What the model assumes where it has learnt nothing, in percent. */
const PRIOR: Mixture = { L1: 24, L2: 22, L3: 30, L4: 12, L5: 12 };

const PRESETS: readonly (readonly [string, Mixture])[] = [
  ['Prior', PRIOR],
  ['Low', { L1: 50, L2: 40, L3: 10, L4: 0, L5: 0 }],
  ['Even', { L1: 20, L2: 20, L3: 20, L4: 20, L5: 20 }],
  ['High', { L1: 0, L2: 0, L3: 20, L4: 40, L5: 40 }],
];

export function TierChips() {
  const p = usePanel();
  const { tiers } = p.query.value;
  const shown = tiers === '' ? TIERS : tiers.split(',');
  return (
    <div class="row" role="group" aria-label="Tiers of leverage drawn">
      {TIERS.map((tier) => {
        const on = shown.includes(tier);
        const only = on && shown.length === 1;
        return (
          <button
            key={tier}
            type="button"
            class="button tier"
            data-tier={tier}
            aria-pressed={on}
            aria-disabled={only}
            title={only ? 'the only one drawn' : on ? 'click to hide it' : 'click to draw it'}
            onClick={() => !only && p.set({ tiers: switchTier(p.query.peek().tiers, tier) }, 'push')}
          >
            {TIER[tier].text}
          </button>
        );
      })}
      {tiers !== '' && (
        <button type="button" class="button" data-name="all-tiers" onClick={() => p.set({ tiers: '' }, 'push')}>
          All
        </button>
      )}
    </div>
  );
}

function Sliders() {
  const p = usePanel();
  const { mixture } = p.query.value;
  const now = parseMixture(mixture) ?? PRIOR;
  const sum = TIERS.reduce((total, tier) => total + now[tier], 0);
  const move = (change: Partial<Mixture>, mode: 'push' | 'replace'): void => {
    const text = formatMixture({ ...now, ...change });
    // With nothing in it there would be no map: the last slider stays where it was.
    if (text !== null) p.set({ mixture: text }, mode);
  };
  return (
    <>
      <div class="row" role="group" aria-label="Presets">
        {PRESETS.map(([name, preset]) => (
          <button
            key={name}
            type="button"
            class="button"
            aria-pressed={mixture === formatMixture(preset)}
            onClick={() => move(preset, 'push')}
          >
            {name}
          </button>
        ))}
      </div>
      <div class="mixture">
        {TIERS.map((tier) => {
          const share = `${Math.round((100 * now[tier]) / sum)} %`;
          return (
            <label key={tier}>
              <span>{TIER[tier].text}</span>
              <input
                type="range"
                min={0}
                max={100}
                value={now[tier]}
                aria-label={`Share of ${TIER[tier].text}`}
                aria-valuetext={share}
                onInput={(event) => move({ [tier]: Number(event.currentTarget.value) }, 'replace')}
              />
              <output>{share}</output>
            </label>
          );
        })}
      </div>
    </>
  );
}

export function Leverage() {
  const p = usePanel();
  const own = p.query.value.mixture !== '';
  return (
    <Dialog name="leverage" title="Leverage" class="aside">
      <h3>Tiers drawn</h3>
      <TierChips />
      <p class="muted">Parts of the whole: hiding a tier makes the others no larger.</p>
      <h3>Mixture</h3>
      <p class={own ? 'own-mixture' : 'muted'}>
        {own ? 'Own mixture: how open interest is spread over leverage.' : "The model's own. Move a slider to try another."}
      </p>
      <Sliders />
      {own && (
        <button type="button" class="button primary" data-name="model-mixture" onClick={() => p.set({ mixture: '' }, 'push')}>
          Back to the model's own
        </button>
      )}
    </Dialog>
  );
}

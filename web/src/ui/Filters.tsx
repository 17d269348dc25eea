/**
 * What of the map is drawn, and on it: one side, some tiers, another mixture, bands. The toolbar
 * and the phone's sheet arrange them; a chunk of its own, the first picture comes before it.
 */

import '../aids.css';
import { dialog } from '../state/page';
import { SIDES } from '../state/query';
import { usePanel } from './context';
import { Segments, Toggle } from './controls';

const SIDE_TITLE = {
  both: 'Longs and shorts',
  long: 'Draw long levels only',
  short: 'Draw short levels only',
} as const;
const SIDE_NAME = { both: ['', 'Both'], long: ['▼ ', 'Longs'], short: ['▲ ', 'Shorts'] } as const;

/** `short`: only signs for the eye, words for the ear. */
export function SideControl({ short }: { short?: boolean }) {
  const p = usePanel();
  return (
    <Segments
      label="Side"
      options={SIDES}
      value={p.query.value.side}
      onChoose={(side) => p.set({ side }, 'push')}
      text={(side) => {
        const [sign, word] = SIDE_NAME[side];
        return (
          <>
            <span aria-hidden="true">{sign}</span>
            <span class={short && sign ? 'sr' : ''}>{word}</span>
          </>
        );
      }}
      title={(side) => SIDE_TITLE[side]}
    />
  );
}

/** Opens the tiers and the mixture; says when they are not the model's. */
export function LeverageButton() {
  const { tiers, mixture } = usePanel().query.value;
  const n = tiers === '' ? '' : ` · ${tiers.split(',').length} of 5`;
  return (
    <button
      type="button"
      class="button"
      data-name="leverage"
      aria-haspopup="dialog"
      aria-pressed={tiers !== '' || mixture !== ''}
      title="Tiers of leverage drawn, and your own mixture"
      onClick={() => (dialog.value = 'leverage')}
    >
      Leverage{n}
    </button>
  );
}

/** Stands beside the model while its mixture is not its own; one click takes it back. */
export function MixtureChip() {
  const p = usePanel();
  const { mixture } = p.query.value;
  if (mixture === '') return null;
  return (
    <button
      type="button"
      class="button own"
      data-name="own-mixture"
      title={`Own mixture of leverage (${mixture}): click for the model's own`}
      onClick={() => p.set({ mixture: '' }, 'push')}
    >
      own mixture ×
    </button>
  );
}

export function ExchangesButton() {
  const p = usePanel();
  if (!p.isCoin.value) return null;
  const held = (p.status.value?.exchanges ?? []).filter((row) => row.age_ms !== null);
  const shown = held.filter((row) => row.included !== false);
  return (
    <button
      type="button"
      class="button"
      data-name="exchanges"
      aria-haspopup="dialog"
      aria-pressed={shown.length < held.length}
      title="Which exchanges are added up"
      onClick={() => (dialog.value = 'exchanges')}
    >
      {shown.length === held.length ? `all ${held.length} exchanges` : `${shown.length} of ${held.length} exchanges`}
    </button>
  );
}

export function BandsToggle() {
  const p = usePanel();
  const on = p.query.value.bands;
  return (
    <Toggle
      on={on}
      name="bands"
      title="Lines at ±1, 2, 5 and 10 % from the last price (B)"
      onToggle={() => p.set({ bands: !on }, 'push')}
    >
      ± %
    </Toggle>
  );
}

/** Beside the symbol: what the picture is made of. */
export function MadeOf() {
  return (
    <>
      <ExchangesButton />
      <MixtureChip />
    </>
  );
}

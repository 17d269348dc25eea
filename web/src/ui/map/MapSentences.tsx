/** Under the map: the price to speak about, and what stands to be liquidated there, to copy. */

import { useEffect, useState } from 'preact/hooks';

import { sideOf } from '../../engine/bars';
import { formatPrice } from '../../format';
import { copyText } from './copy';
import { Notes } from './MapStates';
import type { MapModel } from './model';
import { qualifier, quotation, sentence } from './sentence';

const PAIN = 'Max pain of a side: the price bin which holds the most of its USD now. Not a forecast';
const SAID_MS = 2500;
const STEPS = 1000;

function Copy({ text, label }: { text: string; label: string }) {
  const [said, setSaid] = useState<'copied' | 'failed' | null>(null);
  useEffect(() => {
    if (said === null) return;
    const timer = window.setTimeout(() => setSaid(null), SAID_MS);
    return () => window.clearTimeout(timer);
  }, [said]);
  const copy = async (): Promise<void> => setSaid((await copyText(text)) ? 'copied' : 'failed');
  return (
    <>
      <button type="button" class="button copy" aria-label={label} onClick={() => void copy()}>
        {said === 'copied' ? '✓ Copied' : said === 'failed' ? 'Not allowed' : 'Copy'}
      </button>
      <span class="sr" role="status">
        {said === 'copied' ? 'Copied' : said === 'failed' ? 'The browser did not allow copying' : ''}
      </span>
    </>
  );
}

function Sentence({ m, side }: { m: MapModel; side: 'long' | 'short' }) {
  const map = m.map.value;
  const price = m.priceOf(side);
  const { at } = m;
  const about = m.about.value;
  if (!map || price === null) {
    return <p class="sentence muted">{map ? `No ${side} levels in this map.` : ' '}</p>;
  }
  const led = at !== null && sideOf(map, at) === side;
  return (
    <div class={led ? 'sentence led' : 'sentence'} data-testid={`sentence-${side}`}>
      <p>
        <b class={side} aria-hidden="true">
          {side === 'long' ? '▼' : '▲'}
        </b>{' '}
        {sentence(map, price, about)}{' '}
        <span class="muted">
          ({qualifier(side, about)}){' '}
          {!led && <abbr title={PAIN}>max pain</abbr>}
        </span>
      </p>
      <Copy text={quotation(map, price, about)} label={`Copy the sentence about ${side}s`} />
    </div>
  );
}

/** The price by typing it. What is typed counts with Enter or when the field is left. */
function PriceField({ m }: { m: MapModel }) {
  // While it is typed into, neither pointer nor poll may write over it.
  const [draft, setDraft] = useState<string | null>(null);
  const price = m.at ?? m.map.value?.lastPrice;
  const decimals = m.decimals.value;
  return (
    <label class="field">
      <span>If the price gets to</span>
      <input
        type="number"
        class="number"
        inputmode="decimal"
        step="any"
        aria-label="Price to speak about"
        value={draft ?? price?.toFixed(decimals) ?? ''}
        onInput={(event) => setDraft(event.currentTarget.value)}
        onBlur={() => setDraft(null)}
        onChange={(event) => {
          const wanted = Number(event.currentTarget.value);
          setDraft(null);
          if (wanted > 0) m.choose(wanted, 'push');
        }}
      />
    </label>
  );
}

/** The same by a slider over the whole map. */
function PriceSlider({ m }: { m: MapModel }) {
  const map = m.map.value;
  const [low, high] = map ? [map.edges[0], map.edges[map.edges.length - 1]] : [0, 1];
  const price = m.at ?? map?.lastPrice ?? 0;
  return (
    <input
      type="range"
      class="price-slider"
      min={0}
      max={STEPS}
      step={1}
      disabled={!map}
      aria-label="Price"
      aria-valuetext={map ? `${formatPrice(price, m.decimals.value)}: ${sentence(map, price, m.about.value)}` : 'no map yet'}
      value={Math.round((STEPS * (price - low)) / (high - low))}
      onInput={(event) => m.choose(low + ((high - low) * Number(event.currentTarget.value)) / STEPS, 'replace')}
    />
  );
}

export function MapSentences({ m }: { m: MapModel }) {
  return (
    <div class="map-say">
      <div class="map-price">
        <PriceField m={m} />
        <PriceSlider m={m} />
        <button
          type="button"
          class="button"
          data-name="pain"
          title="Forget the price and speak of each side's max pain (Esc)"
          disabled={m.target === null}
          onClick={() => m.choose(null, 'push')}
        >
          Max pain
        </button>
      </div>
      <Sentence m={m} side="long" />
      <Sentence m={m} side="short" />
      <Notes m={m} />
    </div>
  );
}

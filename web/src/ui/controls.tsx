/** The choices of the page, each once: the toolbar and the phone's sheet arrange them. */

import type { ComponentChildren } from 'preact';

import { atLive, chart, resetView, zone } from '../state/view';
import {
  MODELS,
  PALETTES,
  RANGES,
  STEPS,
  TRANSFERS,
  query,
  setQuery,
  type Model,
} from '../state/query';
import { status } from '../state/live';
import { formatStep } from '../format';
import { zoneLabel } from '../engine/axis';

export const MODEL_TEXT: Record<Model, { name: string; line: string }> = {
  auto: { name: 'Auto', line: 'Calibrated where weights are learnt, else sharp' },
  sharp: { name: 'Sharp', line: 'Precise levels: isolated positions at usual leverages' },
  zones: { name: 'Zones', line: 'Broad zones: adds cross margin and added collateral' },
  calibrated: { name: 'Calibrated', line: 'Weights learnt from realised liquidations' },
};

const TRANSFER_TEXT = { sqrt: '√', linear: 'Lin', log: 'Log' } as const;
const TRANSFER_TITLE = {
  sqrt: 'Square root: small levels stay visible',
  linear: 'Linear: color is proportional to USD',
  log: 'Logarithmic: three decades',
} as const;

export function Segments<T extends string>(props: {
  label: string;
  options: readonly T[];
  value: T;
  onChoose: (value: T) => void;
  text?: (value: T) => ComponentChildren;
  title?: (value: T) => string;
  off?: (value: T) => string | undefined;
}) {
  return (
    <div class="segments" role="group" aria-label={props.label}>
      {props.options.map((option) => {
        const off = props.off?.(option);
        return (
          <button
            key={option}
            type="button"
            data-value={option}
            aria-pressed={option === props.value}
            aria-disabled={off !== undefined}
            title={off ?? props.title?.(option)}
            onClick={() => off === undefined && props.onChoose(option)}
          >
            {props.text ? props.text(option) : option}
          </button>
        );
      })}
    </div>
  );
}

export function RangeControl() {
  return (
    <Segments
      label="Range"
      options={RANGES}
      value={query.value.range}
      onChoose={(range) => setQuery({ range }, 'push')}
    />
  );
}

export function StepControl() {
  const step_ms = status.value?.step_ms ?? 0;
  const auto = step_ms > 0 ? `Auto · ${formatStep(step_ms)}` : 'Auto';
  return (
    <label class="field" title="Candle interval = width of a column">
      <span>Step</span>
      <select
        aria-label="Step"
        value={query.value.step ?? ''}
        onChange={(event) => {
          const step = STEPS.find((s) => s === event.currentTarget.value) ?? null;
          setQuery({ step }, 'push');
        }}
      >
        <option value="">{query.value.step === null ? auto : 'Auto'}</option>
        {STEPS.map((step) => (
          <option key={step} value={step}>
            {step}
          </option>
        ))}
      </select>
    </label>
  );
}

export function ModelControl() {
  return (
    <Segments
      label="Model"
      options={MODELS}
      value={query.value.model}
      onChoose={(model) => setQuery({ model }, 'push')}
      text={(model) => (
        <>
          <span class="ordinal">{MODELS.indexOf(model) || ''}</span> {MODEL_TEXT[model].name}
        </>
      )}
      title={(model) => MODEL_TEXT[model].line}
    />
  );
}

export function ModelLine() {
  const used = MODELS.find((model) => model === status.value?.model);
  const auto = query.value.model === 'auto' && used !== undefined && used !== 'auto';
  return (
    <span class="model-line">
      {auto ? `${MODEL_TEXT[used].name}. ${MODEL_TEXT[used].line}` : MODEL_TEXT[query.value.model].line}
    </span>
  );
}

export function ScaleControl() {
  return (
    <Segments
      label="Color scale"
      options={TRANSFERS}
      value={query.value.transfer}
      onChoose={(transfer) => setQuery({ transfer }, 'push')}
      text={(transfer) => TRANSFER_TEXT[transfer]}
      title={(transfer) => TRANSFER_TITLE[transfer]}
    />
  );
}

export function PaletteControl() {
  return (
    <label class="field">
      <span>Palette</span>
      <select
        aria-label="Palette"
        value={query.value.palette}
        onChange={(event) => {
          const palette = PALETTES.find((p) => p === event.currentTarget.value) ?? 'viridis';
          setQuery({ palette }, 'push');
        }}
      >
        {PALETTES.map((name) => (
          <option key={name} value={name}>
            {name[0].toUpperCase() + name.slice(1)}
          </option>
        ))}
      </select>
    </label>
  );
}

export function Toggle(props: {
  on: boolean;
  title: string;
  onToggle: () => void;
  children: ComponentChildren;
  name: string;
}) {
  return (
    <button
      type="button"
      class="button"
      data-name={props.name}
      aria-pressed={props.on}
      title={props.title}
      onClick={props.onToggle}
    >
      {props.children}
    </button>
  );
}

export function LogPriceToggle() {
  const on = query.value.logPrice;
  return (
    <Toggle
      on={on}
      name="log-price"
      title="Logarithmic price axis (L)"
      onToggle={() => setQuery({ logPrice: !on }, 'push')}
    >
      Log price
    </Toggle>
  );
}

export function ProfileToggle() {
  const on = query.value.profile;
  return (
    <Toggle
      on={on}
      name="profile"
      title="Profile of the newest column at the right edge"
      onToggle={() => setQuery({ profile: !on }, 'push')}
    >
      Profile
    </Toggle>
  );
}

export function RealisedToggle() {
  const on = query.value.realised;
  return (
    <Toggle
      on={on}
      name="realised"
      title="Realised liquidations: ▼ longs, ▲ shorts, sized by USD (R)"
      onToggle={() => setQuery({ realised: !on }, 'push')}
    >
      Liquidations
    </Toggle>
  );
}

export function ZoneToggle() {
  const utc = zone.value === 'utc';
  return (
    <button
      type="button"
      class="button zone"
      data-name="zone"
      title={utc ? 'Times are UTC: switch to local time' : 'Times are local: switch to UTC'}
      onClick={() => setQuery({ zone: utc ? 'local' : 'utc' }, 'push')}
    >
      {zoneLabel(zone.value, Date.now())}
    </button>
  );
}

export function LiveButton() {
  return (
    <button
      type="button"
      class="button"
      data-name="live"
      disabled={atLive.value}
      title="Scroll to the newest column (End)"
      onClick={() => chart.value?.goLive()}
    >
      Go to live
    </button>
  );
}

export function ResetButton() {
  return (
    <button
      type="button"
      class="button"
      data-name="reset"
      title="Whole range, automatic axis, default threshold (Alt+R)"
      onClick={resetView}
    >
      Reset
    </button>
  );
}

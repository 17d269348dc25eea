/** The choices of the page, each once: the toolbar and the phone's sheet arrange them. */

import type { ComponentChildren } from 'preact';

import {
  MODELS,
  RANGES,
  STEPS,
  TRANSFERS,
  VIEWS,
  type Model,
  type PageView,
} from '../state/query';
import { formatStep } from '../format';
import { zoneLabel } from '../engine/axis';
import { toggleTravel } from '../state/travel';
import { usePanel } from './context';
import { Clock } from './icons';

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

const VIEW_TEXT: Record<PageView, { name: string; line: string }> = {
  heatmap: { name: 'Heatmap', line: 'Price and time (V)' },
  map: { name: 'Map', line: 'What rests at each price now, as bars (V)' },
};

export function ViewControl() {
  const p = usePanel();
  return (
    <Segments
      label="View"
      options={VIEWS}
      value={p.query.value.view}
      onChoose={(view) => p.set({ view }, 'push')}
      text={(view) => VIEW_TEXT[view].name}
      title={(view) => VIEW_TEXT[view].line}
    />
  );
}

export function RangeControl() {
  const p = usePanel();
  return (
    <Segments
      label="Range"
      options={RANGES}
      value={p.query.value.range}
      onChoose={(range) => p.set({ range }, 'push')}
    />
  );
}

export function StepControl() {
  const p = usePanel();
  const step_ms = p.status.value?.step_ms ?? 0;
  const auto = step_ms > 0 ? `Auto · ${formatStep(step_ms)}` : 'Auto';
  return (
    <label class="field" title="Candle interval = width of a column">
      <span>Step</span>
      <select
        aria-label="Step"
        value={p.query.value.step ?? ''}
        onChange={(event) => {
          const step = STEPS.find((s) => s === event.currentTarget.value) ?? null;
          p.set({ step }, 'push');
        }}
      >
        <option value="">{p.query.value.step === null ? auto : 'Auto'}</option>
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
  const p = usePanel();
  return (
    <Segments
      label="Model"
      options={MODELS}
      value={p.query.value.model}
      onChoose={(model) => p.set({ model }, 'push')}
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
  const p = usePanel();
  const used = MODELS.find((model) => model === p.status.value?.model);
  const auto = p.query.value.model === 'auto' && used !== undefined && used !== 'auto';
  const own = p.query.value.mixture === '' ? '' : 'Own mixture. ';
  const text = own + (auto ? `${MODEL_TEXT[used].name}. ${MODEL_TEXT[used].line}` : MODEL_TEXT[p.query.value.model].line);
  return (
    <span class="model-line" title={text}>
      {text}
    </span>
  );
}

export function ScaleControl() {
  const p = usePanel();
  return (
    <Segments
      label="Color scale"
      options={TRANSFERS}
      value={p.query.value.transfer}
      onChoose={(transfer) => p.set({ transfer }, 'push')}
      text={(transfer) => TRANSFER_TEXT[transfer]}
      title={(transfer) => TRANSFER_TITLE[transfer]}
    />
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
  const p = usePanel();
  const on = p.query.value.logPrice;
  return (
    <Toggle
      on={on}
      name="log-price"
      title="Logarithmic price axis (L)"
      onToggle={() => p.set({ logPrice: !on }, 'push')}
    >
      Log price
    </Toggle>
  );
}

export function ProfileToggle() {
  const p = usePanel();
  const on = p.query.value.profile;
  return (
    <Toggle
      on={on}
      name="profile"
      title="Profile of the newest column at the right edge"
      onToggle={() => p.set({ profile: !on }, 'push')}
    >
      Profile
    </Toggle>
  );
}

export function RealisedToggle() {
  const p = usePanel();
  const on = p.query.value.realised;
  return (
    <Toggle
      on={on}
      name="realised"
      title="Realised liquidations: ▼ longs, ▲ shorts, sized by USD (R)"
      onToggle={() => p.set({ realised: !on }, 'push')}
    >
      Liquidations
    </Toggle>
  );
}

export function ZoneToggle() {
  const p = usePanel();
  const utc = p.query.value.zone === 'utc';
  return (
    <button
      type="button"
      class="button zone"
      data-name="zone"
      title={utc ? 'Times are UTC: switch to local time' : 'Times are local: switch to UTC'}
      onClick={() => p.set({ zone: utc ? 'local' : 'utc' }, 'push')}
    >
      {zoneLabel(p.query.value.zone, Date.now())}
    </button>
  );
}

/** In time travel the way back to now, else to the newest column. */
export function LiveButton() {
  const p = usePanel();
  const past = p.query.value.asOfMs !== null;
  return (
    <button
      type="button"
      class="button"
      data-name="live"
      disabled={p.atLive.value && !past}
      title={past ? 'Leave the past (W)' : 'Scroll to the newest column (End)'}
      onClick={() => (past ? toggleTravel() : p.chart.value?.goLive())}
    >
      Go to live
    </button>
  );
}

export function TravelButton() {
  const on = usePanel().query.value.asOfMs !== null;
  return (
    <button
      type="button"
      class="icon"
      data-name="travel"
      aria-label="Time travel"
      aria-pressed={on}
      title="Time travel: the map as it was known (W)"
      onClick={toggleTravel}
    >
      <Clock />
    </button>
  );
}

export function ResetButton() {
  const p = usePanel();
  return (
    <button
      type="button"
      class="button"
      data-name="reset"
      title="Whole range, automatic axis, default threshold (Alt+R)"
      onClick={() => p.resetView()}
    >
      Reset
    </button>
  );
}

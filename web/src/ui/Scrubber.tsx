/**
 * Time travel: the bar under the chart which plays the map as it was known, and the badge over
 * it which says so. A chunk of its own; while it is shown, state/replay follows the address bar.
 */

import { effect } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';

import { AheadLayer } from '../engine/ahead';
import { formatTime, zoneLabel, type Zone } from '../engine/axis';
import { SPEEDS } from '../engine/player';
import type { Replay } from '../engine/replay';
import { fromField, timeTicks, toField } from '../engine/ticks';
import { formatAge, formatStep } from '../format';
import { dialog } from '../state/page';
import type { Panel } from '../state/panel';
import { prefs } from '../state/prefs';
import {
  backToLive,
  clockMs,
  earlier,
  faster,
  goTo,
  loading,
  playing,
  revealed,
  speed,
  startReplay,
  step,
  trouble,
} from '../state/replay';
import { usePanel } from './context';
import '../travel.css';

/** "20 Nov 14:05 UTC"; with the year where it is not the one of `nowMs`. */
function shortTime(timeMs: number, zone: Zone, nowMs: number): string {
  const year = formatTime(timeMs, zone, 'year');
  const day = formatTime(timeMs, zone, 'day');
  const date = year === formatTime(nowMs, zone, 'year') ? day : `${day} ${year}`;
  return `${date} ${formatTime(timeMs, zone, 'minute')} ${zoneLabel(zone, timeMs)}`;
}

/** The place on the chart of what is not known yet, or of what followed. */
function useAhead(p: Panel): void {
  useEffect(
    () =>
      effect(() => {
        const chart = p.chart.value;
        if (!chart) return undefined;
        const layer = new AheadLayer({ theme: () => chart.colors, lut: () => p.lut.peek() });
        const remove = chart.addLayer(layer);
        const stop = effect(() => {
          const past = p.past.value;
          void p.asOfMs.value;
          layer.reveal(revealed.value && past ? past.reveal(true) : null);
        });
        return () => {
          stop();
          remove();
        };
      }),
    [p],
  );
}

/** What nobody may overlook: the picture is not the newest. */
export function AsOf() {
  const p = usePanel();
  useAhead(p);
  const asOfMs = p.asOfMs.value;
  if (asOfMs === null) return null;
  const clock = clockMs(p);
  return (
    <div class="asof" data-testid="as-of">
      <b>AS OF</b> {shortTime(asOfMs, p.query.value.zone, clock)}
      <span> · {formatAge(clock - asOfMs)} ago</span>
    </div>
  );
}

function Shape({ d }: { d: string }) {
  return (
    <svg width="16" height="16" viewBox="0 0 16 16" fill="currentColor" aria-hidden="true">
      <path d={d} />
    </svg>
  );
}

const PLAY = 'M4 2.5v11l9.5-5.5z';
const PAUSE = 'M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z';
const BACK = 'M3 3h2v10H3zM13 3v10L6 8z';
const FORWARD = 'M11 3h2v10h-2zM3 3v10l7-5z';

const TICKS_MOST = 8;

function Ticks({ past, zone }: { past: Replay; zone: Zone }) {
  const [first, last] = past.span;
  if (!(last > first)) return null;
  return (
    <div class="scrub-ticks" aria-hidden="true">
      {timeTicks(first, last, TICKS_MOST, zone).map(({ timeMs, label }) => (
        <span key={timeMs} style={{ left: `${(100 * (timeMs - first)) / (last - first)}%` }}>
          {label}
        </span>
      ))}
    </div>
  );
}

function Track() {
  const p = usePanel();
  const past = p.past.value;
  const { zone } = p.query.value;
  void p.asOfMs.value;
  if (!past) return <div class="scrub-track" />;
  const [first] = past.span;
  const last = past.columns - 1;
  return (
    <div class="scrub-track">
      <input
        type="range"
        class="scrub"
        min={0}
        max={last}
        step={1}
        value={past.column}
        style={{ '--known': `${(100 * past.column) / Math.max(1, last)}%` }}
        aria-label="Moment shown"
        aria-valuetext={`${formatTime(past.asOfMs, zone)} ${zoneLabel(zone, past.asOfMs)}`}
        onInput={(event) => {
          playing.value = false;
          goTo(first + Number(event.currentTarget.value) * past.shown.grid.stepMs, 'replace');
        }}
      />
      <Ticks past={past} zone={zone} />
    </div>
  );
}

function Transport() {
  const p = usePanel();
  const on = playing.value;
  const column = p.matrix.value ? formatStep(p.matrix.value.grid.stepMs) : 'column';
  return (
    <div class="transport" role="group" aria-label="Playing">
      <button type="button" class="icon" data-name="step-back" title={`One ${column} back (,)`} aria-label="Step back" onClick={() => step(-1)}>
        <Shape d={BACK} />
      </button>
      <button
        type="button"
        class="icon play"
        data-name="play"
        title={on ? 'Pause (Space)' : 'Play (Space)'}
        aria-label={on ? 'Pause' : 'Play'}
        onClick={() => (playing.value = !on)}
      >
        <Shape d={on ? PAUSE : PLAY} />
      </button>
      <button type="button" class="icon" data-name="step-forward" title={`One ${column} on (.)`} aria-label="Step forward" onClick={() => step(1)}>
        <Shape d={FORWARD} />
      </button>
      <select
        aria-label="Speed"
        title={`Columns of ${column} a second (< and >)`}
        value={speed.value}
        onChange={(event) => {
          const chosen = Number(event.currentTarget.value);
          speed.value = SPEEDS.find((one) => one === chosen) ?? speed.value;
        }}
      >
        {SPEEDS.map((one) => (
          <option key={one} value={one}>
            {one}×
          </option>
        ))}
      </select>
    </div>
  );
}

/** Any moment of the history, by date. */
function GoTo() {
  const p = usePanel();
  const { zone } = p.query.value;
  const asOfMs = p.asOfMs.value;
  const [typed, setTyped] = useState<string | null>(null);
  return (
    <form
      class="goto"
      onSubmit={(event) => {
        event.preventDefault();
        const timeMs = typed === null ? null : fromField(typed, zone);
        if (timeMs === null) return;
        playing.value = false;
        goTo(timeMs, 'push');
        setTyped(null);
      }}
    >
      <input
        type="datetime-local"
        aria-label={`Go to a time, ${zoneLabel(zone, asOfMs ?? 0)}`}
        value={typed ?? (asOfMs === null ? '' : toField(asOfMs, zone))}
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
      <span class="muted">{zoneLabel(zone, asOfMs ?? 0)}</span>
      {typed !== null && (
        <button type="submit" class="button">
          Go
        </button>
      )}
    </form>
  );
}

/** Was the map right? The price after the moment, on the map of the moment. */
function Reveal() {
  if (usePanel().query.value.view === 'map') return null;
  return (
    <button
      type="button"
      class="button"
      data-name="reveal"
      aria-pressed={revealed.value}
      title="Show the candles and liquidations after this moment on its map: was it right?"
      onClick={() => {
        playing.value = false;
        revealed.value = !revealed.value;
      }}
    >
      What followed
    </button>
  );
}

const KEYS: Record<string, () => void> = {
  ' ': () => (playing.value = !playing.value),
  ',': () => void step(-1),
  '.': () => void step(1),
  '<': () => faster(-1),
  '>': () => faster(1),
};

/** Space presses a button which has the focus; keys go into a field. */
function isFor(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof Element)) return true;
  if (target.matches('input:not([type=range]), select, textarea')) return false;
  return key !== ' ' || !target.matches('button, a');
}

function useKeys(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const action = KEYS[event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (dialog.value !== null || !prefs.value.keys || !isFor(event.target, event.key)) return;
      event.preventDefault();
      action();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
}

export function Scrubber() {
  useEffect(startReplay, []);
  useKeys();
  return (
    <section class="travel" aria-label="Time travel" aria-busy={loading.value > 0} data-testid="travel">
      {loading.value > 0 && <div class="busy" role="progressbar" aria-label="Loading the past" />}
      {trouble.value && (
        <p class="travel-trouble" role="alert">
          {trouble.value}
        </p>
      )}
      <div class="travel-bar">
        <Transport />
        <button type="button" class="button" data-name="earlier" title="The window before this one" onClick={() => void earlier()}>
          ‹ Earlier
        </button>
        <Track />
        <GoTo />
        <Reveal />
        <button type="button" class="button primary" data-name="back-to-live" onClick={backToLive}>
          Back to live
        </button>
      </div>
    </section>
  );
}

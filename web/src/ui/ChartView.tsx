/** The figure: chart, readings and states in one box; wires signals to the chart engine. */

import { effect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

import { HeatChart } from '../engine/chart';
import type { HeatKind } from '../engine/heat';
import { chartTheme } from '../engine/theme';
import {
  instrument,
  link,
  mode,
  lastPrice,
  matrix,
  onChange,
  shown,
  status,
  tape,
  tapeRevision,
} from '../state/live';
import {
  announcement,
  atLive,
  chart,
  cursor,
  logPrice,
  look,
  lut,
  pin,
  profile,
  realised,
  symbol,
  zone,
} from '../state/view';
import { pinCursor } from './keys';
import { Legend } from './Legend';
import { Banners, Busy, ModeBadge, Overlay, Watermark } from './States';
import { CAPTION } from './StatusBar';
import { PinnedTooltip, Tooltip } from './Tooltip';

const FIRST_PICTURE = 'liqheat:first-picture';

/** The time of the first picture, for measuring; tests wait for the attribute. */
function markFirstPicture(): void {
  if (document.documentElement.dataset['picture']) return;
  performance.mark(FIRST_PICTURE);
  document.documentElement.dataset['picture'] = 'shown';
}

/** Connect a chart to the signals; returns what undoes it. */
function wire(engine: HeatChart): () => void {
  let fitted: string | null = null;
  const stops = [
    effect(() => {
      const m = matrix.value;
      const key = shown.value;
      if (m) engine.setTick(instrument.peek()?.tick_size, m.closeAt(m.width - 1));
      engine.setMatrix(m, key !== fitted);
      fitted = m ? key : null;
    }),
    effect(() => engine.setLut(lut.value)),
    effect(() => engine.setTheme(chartTheme(look.value.theme, look.value.palette))),
    effect(() => engine.setZone(zone.value)),
    effect(() => engine.setLogPrice(logPrice.value)),
    effect(() => engine.setProfile(profile.value)),
    effect(() => engine.setBubbles(realised.value)),
    effect(() => {
      void tapeRevision.value;
      engine.bubblesChanged();
    }),
    effect(() => engine.setPin(pin.value)),
    effect(() => {
      const tick = instrument.value?.tick_size;
      if (tick && matrix.peek()) engine.setTick(tick, lastPrice.peek());
    }),
    onChange(({ column, scrolled }) => engine.columnChanged(column, scrolled)),
  ];
  return () => stops.forEach((stop) => stop());
}

/** `?renderer=webgl2` or `canvas2d` overrules the choice: for tests, and odd graphics drivers. */
function wantedRenderer(): HeatKind | null {
  const wanted = new URLSearchParams(window.location.search).get('renderer');
  return wanted === 'webgl2' || wanted === 'canvas2d' ? wanted : null;
}

function useChart() {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const reduced = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
    const engine = new HeatChart(
      box.current!,
      {
        onCursor: (at) => (cursor.value = at),
        onClick: () => (pin.value ? (pin.value = null) : pinCursor()),
        onAtLive: (live) => (atLive.value = live),
        onPaint: markFirstPicture,
      },
      reduced,
      tape,
      wantedRenderer(),
    );
    box.current!.dataset.renderer = engine.renderer;
    chart.value = engine;
    const stop = wire(engine);
    return () => {
      stop();
      chart.value = null;
      engine.dispose();
    };
  }, []);
  return box;
}

export function ChartView() {
  const box = useChart();
  const dead = link.value.phase === 'down' || (link.value.phase === 'connecting' && matrix.value);
  const name = `Liquidation heatmap of ${symbol.value}${mode.value === 'simulated' ? ', simulated' : ''}`;
  return (
    <figure class="figure">
      <h1 class="sr">{name}</h1>
      <Legend />
      <div class={dead ? 'stage dead' : 'stage'}>
        <div
          ref={box}
          class="chart"
          role="application"
          tabindex={0}
          aria-label={`${name}. Arrow keys move the cursor, Enter pins it, T opens a table.`}
        />
        <Watermark />
        <div class="stage-badge">
          <ModeBadge />
        </div>
        <Overlay />
        <Busy />
        <Banners />
        <Tooltip />
        <PinnedTooltip />
      </div>
      <figcaption class="sr">
        {name}. {CAPTION}
        {status.value?.usd_scale === 'relative' ? ' Relative scale.' : ''}
      </figcaption>
      <div class="sr" aria-live="polite">
        {announcement.value}
      </div>
    </figure>
  );
}

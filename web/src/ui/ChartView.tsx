/** The figure of one panel: chart, readings and states in one box; wires signals to the chart engine. */

import { effect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

import { HeatChart } from '../engine/chart';
import type { HeatKind } from '../engine/heat';
import { chartTheme } from '../engine/theme';
import { lead, linkCursor, linkTime, take } from '../state/linked';
import { announcement } from '../state/page';
import { active, panels, type Panel } from '../state/panel';
import { usePanel } from './context';
import { lazy } from './lazy';
import { ModelLine } from './controls';
import { Legend } from './Legend';
import { Banners, Busy, ModeBadge, Overlay, Watermark } from './States';
import { CAPTION } from './StatusBar';
import { Title } from './Title';

const Tooltips = lazy(() => import('./Tooltip').then((m) => m.Tooltips));
const Bands = lazy(() => import('./Aids').then((m) => m.Bands));
const ProfileHead = lazy(() => import('./Aids').then((m) => m.ProfileHead));

const AsOf = lazy(() => import('./Scrubber').then((m) => m.AsOf));
/** Fetched with the first sub-pane that is shown. */
const SubPanes = lazy(() => import('./SubPanes').then((m) => m.SubPanes));

const FIRST_PICTURE = 'liqheat:first-picture';

/** The time of the first picture, for measuring; tests wait for the attribute. */
function markFirstPicture(): void {
  if (document.documentElement.dataset['picture']) return;
  performance.mark(FIRST_PICTURE);
  document.documentElement.dataset['picture'] = 'shown';
}

/** Connect a chart to the signals of its panel; returns what undoes it. */
function wire(engine: HeatChart, p: Panel): () => void {
  let fitted: string | null = null;
  const stops = [
    effect(() => {
      const m = p.matrix.value;
      const key = p.shown.value;
      if (m) engine.setTick(p.instrument.peek()?.tick_size, m.closeAt(m.width - 1));
      engine.setMatrix(m, p.takeFit() || key !== fitted);
      fitted = m ? key : null;
    }),
    effect(() => engine.setLut(p.lut.value)),
    effect(() => engine.setTheme(chartTheme(p.look.value.theme, p.look.value.palette))),
    effect(() => engine.setZone(p.query.value.zone)),
    effect(() => engine.setLogPrice(p.query.value.logPrice)),
    effect(() => engine.setProfile(p.query.value.profile)),
    effect(() => {
      const { side } = p.query.value;
      engine.setSide(side === 'both' ? null : side);
    }),
    effect(() => engine.setBubbles(p.query.value.realised)),
    effect(() => {
      void p.tapeRevision.value;
      engine.bubblesChanged();
    }),
    effect(() => engine.setPin(p.pin.value)),
    effect(() => {
      const tick = p.instrument.value?.tick_size;
      if (tick && p.matrix.peek()) engine.setTick(tick, p.lastPrice.peek());
    }),
    effect(() => engine.setTape(p.past.value?.tape ?? p.tape)),
    p.onChange(({ column, scrolled }) => engine.columnChanged(column, scrolled)),
    p.onMoved((moved) => engine.columnsMoved(moved)),
  ];
  return () => stops.forEach((stop) => stop());
}

/** `?renderer=webgl2` or `canvas2d` overrules the choice: for tests, and odd graphics drivers. */
function wantedRenderer(): HeatKind | null {
  const wanted = new URLSearchParams(window.location.search).get('renderer');
  return wanted === 'webgl2' || wanted === 'canvas2d' ? wanted : null;
}

function useChart(p: Panel) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const reduced = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
    const engine = new HeatChart(
      box.current!,
      {
        onCursor: (at) => {
          p.cursor.value = at;
          linkCursor(p);
        },
        onClick: (at) => (p.pin.value ? (p.pin.value = null) : p.pinCursor(at)),
        onAtLive: (live) => (p.atLive.value = live),
        onTimeRange: (fromMs, toMs) => linkTime(p, fromMs, toMs),
        onLayout: (left) => (p.profileLeft.value = left),
        onPaint: markFirstPicture,
      },
      reduced,
      p.tape,
      wantedRenderer(),
    );
    p.chart.value = engine;
    const stop = wire(engine, p);
    return () => {
      stop();
      p.chart.value = null;
      engine.dispose();
    };
  }, [p]);
  return box;
}

export function ChartView() {
  const p = usePanel();
  const box = useChart(p);
  const link = p.link.value;
  const dead = link.phase === 'down' || (link.phase === 'connecting' && p.matrix.value);
  const made = p.mode.value === 'simulated' ? ', simulated' : '';
  const name = `Liquidation heatmap of ${p.symbol.value}${made}`;
  const several = panels.value.length > 1;
  return (
    <figure
      class={several && active.value === p ? 'figure active' : 'figure'}
      data-panel={p.index + 1}
      onPointerEnter={() => lead(p)}
      onPointerDownCapture={() => take(p)}
      onFocusCapture={() => take(p)}
    >
      {p.index === 0 ? <h1 class="sr">{name}</h1> : <h2 class="sr">{name}</h2>}
      <Title />
      <Legend />
      <div class={dead ? 'stage dead' : 'stage'}>
        <div
          ref={box}
          class="chart"
          role="application"
          tabindex={0}
          aria-label={`${name}. Arrow keys move the cursor, Enter pins it, T opens a table.`}
        />
        {p.query.value.bands && <Bands />}
        {p.query.value.profile && p.matrix.value && <ProfileHead />}
        {p.query.value.sub !== '' && <SubPanes />}
        <ModelLine />
        <Watermark />
        <div class="stage-badge">
          <ModeBadge />
        </div>
        {p.asOfMs.value !== null && <AsOf />}
        <Overlay />
        <Busy />
        <Banners />
        {p.matrix.value && <Tooltips />}
      </div>
      <figcaption class="sr">
        {name}. {CAPTION}
        {p.status.value?.usd_scale === 'relative' ? ' Relative scale.' : ''}
      </figcaption>
      {p.index === 0 && (
        <div class="sr" aria-live="polite">
          {announcement.value}
        </div>
      )}
    </figure>
  );
}

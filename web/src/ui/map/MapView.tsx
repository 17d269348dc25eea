/**
 * The liquidation map: price across, what would be liquidated at each price as stacked bars,
 * and the two curves of what lies between the price now and there.
 *
 * A chunk of its own; `ChartView` is what the same panel shows as a heatmap.
 */

import { effect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

import { BarChart } from '../../engine/barchart';
import { parametersOf } from '../../state/map';
import { active, panels, type Panel } from '../../state/panel';
import { lead, take } from '../../state/linked';
import { usePanel } from '../context';
import { lazy } from '../lazy';
import { CAPTION } from '../StatusBar';
import { ModeBadge } from '../States';
import { Title } from '../Title';
import { MapBar } from './MapBar';
import { MapReading, Spoken } from './MapReading';
import { MapSentences } from './MapSentences';
import { MapBanners, MapOverlay } from './MapStates';
import { MapTable } from './MapTable';
import { listenKeys } from './keys';
import { modelOf, type MapModel } from './model';
import { barTheme } from './theme';
import './map.css';

const AsOf = lazy(() => import('../Scrubber').then((part) => part.AsOf));
const AGAIN_PX = 6;

/** Ask while the page is seen and the map is what it shows. */
function follow(m: MapModel, p: Panel): () => void {
  const look = (): void => {
    const picture = p.wanted.value;
    if (document.visibilityState === 'hidden' || !picture) m.poll.pause();
    else {
      const { asOfMs } = p.query.value;
      m.poll.want(picture.instrument, parametersOf(picture, asOfMs), asOfMs !== null);
    }
  };
  const stop = effect(look);
  document.addEventListener('visibilitychange', look);
  return () => {
    stop();
    document.removeEventListener('visibilitychange', look);
    m.poll.pause();
  };
}

function wire(chart: BarChart, m: MapModel): () => void {
  const stops = [
    effect(() => chart.setTheme(barTheme.value)),
    effect(() => chart.setMap(m.map.value, m.parts.value, m.by.value, m.decimals.value)),
    effect(() => chart.setLogPrice(m.panel.query.value.logPrice)),
    effect(() => chart.setHighlight(m.highlight.value)),
    effect(() => chart.setChosen(m.panel.query.value.target)),
  ];
  return () => stops.forEach((stop) => stop());
}

/** A second click on the chosen price takes it back. */
function isChosen(m: MapModel, price: number): boolean {
  const chart = m.chart.value;
  const { target } = m;
  return chart !== null && target !== null && Math.abs(chart.xOf(target) - chart.xOf(price)) < AGAIN_PX;
}

function useBars(m: MapModel) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const chart = new BarChart(box.current!, {
      onCursor: (price) => (m.cursor.value = price),
      onChoose: (price) => m.choose(isChosen(m, price) ? null : price, 'push'),
      onWhole: (whole) => (m.whole.value = whole),
      onPaint: () => {
        m.painted.value++;
        document.documentElement.dataset['picture'] ??= 'shown';
      },
    });
    m.chart.value = chart;
    const stops = [wire(chart, m), follow(m, m.panel), listenKeys(m)];
    return () => {
      stops.forEach((stop) => stop());
      m.chart.value = null;
      chart.dispose();
    };
  }, [m]);
  return box;
}

function Watermark({ m }: { m: MapModel }) {
  if (!m.simulated.value || !m.map.value) return null;
  return (
    <div class="watermark" aria-hidden="true">
      SIMULATED
    </div>
  );
}

export function MapView() {
  const p = usePanel();
  const m = modelOf(p);
  const box = useBars(m);
  const several = panels.value.length > 1;
  const name = `Liquidation map of ${p.symbol.value}${m.simulated.value ? ', simulated' : ''}`;
  const Heading = p.index === 0 ? 'h1' : 'h2';
  return (
    <figure
      class={`figure map${several && active.value === p ? ' active' : ''}`}
      data-panel={p.index + 1}
      onPointerEnter={() => lead(p)}
      onPointerDownCapture={() => take(p)}
      onFocusCapture={() => take(p)}
    >
      <Heading class="sr">{name}</Heading>
      <Title />
      <MapBar m={m} />
      <div class={m.stale.value ? 'stage old' : 'stage'}>
        <div
          ref={box}
          class={m.table.value ? 'bars away' : 'bars'}
          role="application"
          tabindex={0}
          aria-label={`${name}. Arrow keys move the cursor along the price, Enter chooses a price, T shows a table.`}
        />
        <Watermark m={m} />
        <div class="stage-badge">
          <ModeBadge />
        </div>
        {m.table.value && <MapTable m={m} />}
        {p.query.value.asOfMs !== null && <AsOf />}
        <MapOverlay m={m} />
        <MapBanners m={m} />
        {!m.table.value && <MapReading m={m} />}
      </div>
      <MapSentences m={m} />
      <figcaption class="sr">
        {name}. Long levels lie below the price, short levels above it. {CAPTION}
      </figcaption>
      <Spoken m={m} />
    </figure>
  );
}

/**
 * Ties a panel's sub-panes together: which are shown, what lies in them, where they are.
 *
 *     URL, room on screen -> kinds ---> PaneStack --> places, hover (signals for the legends)
 *     matrix, SeriesFeed -> columns --^
 *
 * The relative strength comes from the candles of the picture and moves with every frame; all
 * else comes from the server's series, laid on the matrix by time.
 */

import { batch, computed, effect, signal, untracked, type ReadonlySignal } from '@preact/signals';

import type { HeatChart } from '../engine/chart';
import { rsi } from '../engine/indicators';
import { columnsOf, drawn, type Columns } from '../engine/paneColumns';
import { capacity, type PaneKind } from '../engine/paneKinds';
import { PaneStack, type Hover, type PanePlace } from '../engine/panes';
import type { Panel } from './panel';
import { prefs, setPrefs } from './prefs';
import { subpanesOf } from './query';
import { SeriesFeed } from './series';

export class Subpanes {
  readonly feed: SeriesFeed;
  /** Shown now, from top to bottom; a small chart holds fewer than were asked for. */
  readonly kinds: ReadonlySignal<readonly PaneKind[]>;
  readonly places = signal<readonly PanePlace[]>([]);
  readonly hover = signal<Hover | null>(null);
  /** Values of the series by column; null until there are any. */
  readonly columns = signal<Columns | null>(null);
  readonly strength = signal<Float64Array | null>(null);
  private readonly room = signal(0);
  private stack: PaneStack | null = null;

  constructor(private readonly panel: Panel) {
    const kinds = computed(() => subpanesOf(panel.query.value.sub).slice(0, this.room.value).join());
    this.kinds = computed(() => subpanesOf(kinds.value));
    this.feed = new SeriesFeed(
      panel,
      computed(() => this.kinds.value.some((kind) => kind !== 'rsi')),
    );
  }

  /** Hang the panes on the panel's chart; returns how to take them away. */
  start(): () => void {
    const stops = [
      effect(() => {
        const chart = this.panel.chart.value;
        return chart ? untracked(() => this.hang(chart)) : undefined;
      }),
      effect(() => {
        const kinds = this.kinds.value;
        untracked(() => {
          this.stack?.setKinds(kinds, prefs.peek().paneShares);
          this.fill(true);
        });
      }),
      effect(() => {
        void this.feed.series.value;
        untracked(() => this.fill(true));
      }),
      this.feed.start(),
    ];
    return () => stops.forEach((stop) => stop());
  }

  private hang(chart: HeatChart): () => void {
    chart.setPanes(
      (api, theme) =>
        (this.stack = new PaneStack(api, theme, {
          onColumns: (all) => this.onColumns(all),
          onHover: (hover) => (this.hover.value = hover),
          onPlaces: (places) => (this.places.value = places),
          onResized: (shares) => setPrefs({ paneShares: { ...prefs.peek().paneShares, ...shares } }),
        })),
    );
    const measure = (): void => {
      const { clientWidth, clientHeight } = chart.element;
      if (clientWidth > 0) this.room.value = capacity(clientWidth, clientHeight);
    };
    const observer = new ResizeObserver(measure);
    observer.observe(chart.element);
    measure();
    this.stack?.setKinds(this.kinds.peek(), prefs.peek().paneShares);
    this.fill(true);
    return () => {
      observer.disconnect();
      chart.setPanes(null);
      this.stack = null;
    };
  }

  private onColumns(all: boolean): void {
    this.fill(all);
    if (all) this.feed.appended();
  }

  /** Lay the values on the matrix again: all of them, or what the newest candle changes. */
  private fill(all: boolean): void {
    const m = this.panel.matrix.peek();
    const series = this.feed.series.peek();
    if (!m || !this.stack) return;
    const kinds = this.kinds.peek();
    batch(() => {
      if (kinds.includes('rsi')) {
        const main = (this.strength.value = rsi(m.candles.close, m.width));
        this.stack!.setColumns('rsi', { main });
      }
      if (!all) return;
      const columns = (this.columns.value = series && columnsOf(series, m));
      for (const kind of kinds) if (kind !== 'rsi') this.stack!.setColumns(kind, columns && drawn(kind, columns));
    });
  }
}

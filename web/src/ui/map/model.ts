/**
 * The map page of one panel as signals: what came, how it is split, and where one looks.
 *
 * Everything shown is computed from the poll's reply and the panel's choices; the chart draws
 * the same `map` and `parts` which the sentence, the table and the readings speak of.
 */

import { computed, signal, type ReadonlySignal } from '@preact/signals';

import { priceDecimals } from '../../engine/axis';
import type { BarChart } from '../../engine/barchart';
import { partsOf, sideOf, toPriceMap, type Grouping, type Part, type PriceMap } from '../../engine/bars';
import { TIER, TIERS } from '../../engine/groups';
import { splitSymbol } from '../../format';
import type { MapReply } from '../../net/map';
import { MapPoll } from '../../state/map';
import { nowMs } from '../../state/page';
import type { Panel } from '../../state/panel';
import type { Circumstances } from './sentence';

/** Without news for this long a map is stale, whatever the socket says. */
const STALE_MS = 60_000;

export class MapModel {
  readonly poll = new MapPoll();
  readonly chart = signal<BarChart | null>(null);
  /** The price under the pointer or the keyboard's cursor. */
  readonly cursor = signal<number | null>(null);
  /** Rises with every picture: bars may be others, and elsewhere. */
  readonly painted = signal(0);
  /** The part which stands out. */
  readonly highlight = signal<string | null>(null);
  /** The table is shown instead of the chart. */
  readonly table = signal(false);
  /** The whole map is in view. */
  readonly whole = signal(true);
  readonly reply: ReadonlySignal<MapReply | null>;
  readonly map: ReadonlySignal<PriceMap | null>;
  readonly by: ReadonlySignal<Grouping>;
  readonly parts: ReadonlySignal<readonly Part[]>;
  readonly decimals: ReadonlySignal<number>;
  readonly simulated: ReadonlySignal<boolean>;
  /** What lies across a picture that is not live. */
  readonly watermark: ReadonlySignal<string>;
  readonly ageMs: ReadonlySignal<number | null>;
  readonly stale: ReadonlySignal<boolean>;
  readonly about: ReadonlySignal<Circumstances>;

  constructor(readonly panel: Panel) {
    // What was asked for before another instrument was chosen is not shown under its name.
    const { poll } = this;
    const reply = computed(() => {
      const last = poll.reply.value;
      const name = panel.wanted.value?.instrument;
      return name === undefined || name === poll.instrument ? last : null;
    });
    this.reply = reply;
    this.map = computed(() => (reply.value ? toPriceMap(reply.value) : null));
    this.by = computed(() => {
      const several = (reply.value?.parts?.length ?? 0) > 1;
      return panel.query.value.by || (several ? 'exchange' : 'tier');
    });
    this.parts = computed(() => (reply.value ? partsOf(reply.value, this.by.value) : []));
    this.decimals = computed(() =>
      priceDecimals(this.map.value?.lastPrice ?? NaN, panel.instrument.value?.tick_size),
    );
    this.simulated = computed(() => (reply.value?.mode ?? panel.mode.value) === 'simulated');
    this.watermark = computed(() => {
      const kind = reply.value?.mode ?? panel.mode.value;
      if (kind === 'replay') return panel.recorded.value ? 'RECORDED' : 'REPLAY';
      if (kind === 'simulated') return 'SIMULATED';
      return this.past ? 'THE PAST' : '';
    });
    this.ageMs = computed(() => this.age());
    this.stale = computed(() => {
      const live = (reply.value?.mode ?? 'live') !== 'replay' && !this.past;
      const unheard = this.poll.problem.value !== null && nowMs.value - this.poll.heardMs.value > STALE_MS;
      return live && reply.value !== null && (panel.stale.value || unheard);
    });
    this.about = computed(() => this.circumstances());
  }

  /** The socket knows the newest data; without it the map's own time counts. */
  private age(): number | null {
    const reply = this.reply.value;
    if (!reply) return null;
    const known = this.panel.ageMs.value;
    const age = Math.max(0, nowMs.value - this.poll.heardMs.value);
    if (this.panel.link.value.phase === 'live' && known !== null) return Math.max(0, known);
    return Math.max(age, nowMs.value - reply.as_of_ms);
  }

  private circumstances(): Circumstances {
    const reply = this.reply.value;
    const { exchange, contract } = splitSymbol(this.panel.symbol.value);
    const single = exchange !== 'simulated' && !this.panel.isCoin.value;
    // Of a coin all exchanges go without saying; a choice among them does not.
    const houses = single ? exchange : this.panel.query.value.exchanges.replaceAll(',', ', ');
    return {
      name: houses === '' ? contract : `${contract} on ${houses}`,
      only: this.only(),
      decimals: this.decimals.value,
      simulated: this.simulated.value,
      relative: reply?.quality.usd_scale === 'relative',
      measuredShare: { long: reply?.measured_share_long ?? 0, short: reply?.measured_share_short ?? 0 },
      ageMs: this.ageMs.value,
      asOfMs: reply?.as_of_ms ?? 0,
      past: this.past,
      model: reply ? `${reply.model} ${reply.model_version}` : '',
    };
  }

  /** What was filtered out must be said beside a sum. */
  private only(): string {
    const { tiers, mixture } = this.panel.query.value;
    const shown = TIERS.filter((tier) => tiers.split(',').includes(tier)).map((tier) => TIER[tier].text);
    const some = shown.length > 0 && shown.length < TIERS.length ? `leverage ${shown.join(', ')} only` : '';
    const own = mixture === '' ? '' : `own mixture of leverage ${mixture}`;
    return [some, own].filter(Boolean).join(', ');
  }

  /** The map asked for is one of the past. */
  get past(): boolean {
    return this.panel.query.value.asOfMs !== null;
  }

  /** The price chosen to speak about. */
  get target(): number | null {
    return this.panel.query.value.target;
  }

  /** The price to read at: where one points, else what was chosen. */
  get at(): number | null {
    return this.cursor.value ?? this.target;
  }

  /** The price a side's sentence is about: the one read at, else its max pain; null without levels. */
  priceOf(side: 'long' | 'short'): number | null {
    const map = this.map.value;
    if (!map) return null;
    const { at } = this;
    if (at !== null && sideOf(map, at) === side) return at;
    return map.pains.find((pain) => pain.side === side)?.price ?? null;
  }

  choose(price: number | null, mode: 'push' | 'replace'): void {
    const map = this.map.peek();
    const [low, high] = map ? [map.edges[0], map.edges[map.edges.length - 1] * 0.999999] : [0, Infinity];
    const within = price === null ? null : Math.max(low, Math.min(high, price));
    this.panel.set({ target: within === null ? null : Number(within.toFixed(this.decimals.peek())) }, mode);
  }
}

const models = new WeakMap<Panel, MapModel>();

/** The map of a panel; it outlives its view, so that switching back shows it at once. */
export function modelOf(panel: Panel): MapModel {
  let model = models.get(panel);
  if (!model) models.set(panel, (model = new MapModel(panel)));
  return model;
}

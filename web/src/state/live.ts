/**
 * What one panel knows of the server, as signals; ties its socket to its matrix.
 *
 * A snapshot replaces the matrix (`matrix` changes identity); a column changes it in place
 * and is told to `onChange` listeners (the chart) and by `revision` (the readings). The last
 * picture stays through a disconnect: only its presentation changes.
 *
 * In time travel `past` is shown in its place, and the live picture goes on unseen in `live`.
 */

import { batch, computed, signal } from '@preact/signals';

import { CLIP_SLACK, colorRange, type ColorRange } from '../engine/clip';
import { HeatMatrix } from '../engine/matrix';
import type { Moved, Replay } from '../engine/replay';
import { inView } from '../engine/room';
import { Tape } from '../engine/tape';
import { socketUrl, type Instrument } from '../net/api';
import {
  Link,
  type ColumnFrame,
  type LinkState,
  type LiquidationRow,
  type Problem,
  type Status,
  type Subscription,
} from '../net/ws';
import type { Snapshot } from '../net/codec';
import { instruments, listProblem, nowMs, refreshInstruments } from './page';

/** What is asked for, apart from how it looks. */
export interface Picture extends Subscription {
  readonly key: string;
}

export interface Change {
  readonly column: number;
  readonly scrolled: boolean;
}

export type View = 'loading' | 'empty' | 'error' | 'picture';

/** Columns between two looks at the range. */
const CLIP_EVERY = 8;

/** Three intervals of the source without news are stale; a replay's clock is not ours. */
const STALE_INTERVALS = 3;

/** Whether two windows are so much the same that the view can stay where it is. */
function alike(a: HeatMatrix, b: HeatMatrix): boolean {
  const { stepMs } = a.grid;
  return stepMs === b.grid.stepMs && Math.abs(a.startMs - b.startMs) < (a.width * stepMs) / 2;
}

/** A set of functions to call, and how to leave it. */
class Listeners<T> {
  private readonly all = new Set<(value: T) => void>();

  add(listener: (value: T) => void): () => void {
    this.all.add(listener);
    return () => this.all.delete(listener);
  }

  tell(value: T): void {
    for (const listener of this.all) listener(value);
  }
}

export class Live {
  readonly link = signal<LinkState>({ phase: 'connecting', attempt: 0 });
  readonly status = signal<Status | null>(null);
  readonly socketProblem = signal<Problem | null>(null);
  /** The newest realised liquidation. */
  readonly lastLiquidation = signal<LiquidationRow | null>(null);
  /** Realised liquidations of the picture's time; rises with every change of `tape`. */
  readonly tape = new Tape();
  readonly tapeRevision = signal(0);
  /** What is shown: the live picture, or a moment of the past. */
  readonly matrix = signal<HeatMatrix | null>(null);
  readonly live = signal<HeatMatrix | null>(null);
  readonly past = signal<Replay | null>(null);
  /** The time as of which the picture shown was known; null while it is the live one. */
  readonly asOfMs = signal<number | null>(null);
  /** Rises with every change of the matrix's contents. */
  readonly revision = signal(0);
  /** USD at the top of the color range. */
  readonly clipUsd = signal(0);
  /** Threshold used while none is chosen, as a share of `clipUsd`. */
  readonly autoLow = signal(0);
  /** What four cells of five stay below, as a share of `clipUsd`: the contrast follows it. */
  readonly typical = signal(0);
  /** The picture asked for, and the one on screen. */
  readonly wanted = signal<Picture | null>(null);
  readonly shown = signal<string | null>(null);
  /** What the header of the picture says of its origin; a made-up picture is never plain. */
  readonly pictureMode = signal<Status['mode']>('live');

  /** Server clock minus ours. */
  private readonly skewMs = signal(0);
  /** When the last column frame came [our clock]. */
  private readonly heardMs = signal(0);
  private readonly changes = new Listeners<Change>();
  private readonly moves = new Listeners<Moved>();
  /** Full rows of liquidations as they come; none: some were missed; null: another picture. */
  private readonly liquidations = new Listeners<readonly LiquidationRow[] | null>();
  private clipCode = 0;
  private travelling = false;
  private fitWanted = false;
  private pictureKey: string | null = null;
  /** After a subscribe the whole tape of the window comes again; a redraw keeps it. */
  private tapeIsOld = true;
  private socket: Link | null = null;

  /** What went wrong; without a picture also why the list of instruments is not there. */
  readonly problem = computed<Problem | null>(
    () => this.socketProblem.value ?? (this.wanted.value ? null : listProblem.value),
  );

  /** Close of the newest column, which moves with every frame; a status comes each few seconds. */
  readonly lastPrice = computed<number>(() => {
    void this.revision.value;
    const m = this.matrix.value;
    return m && m.width > 0 ? m.closeAt(m.width - 1) : (this.status.value?.last_price ?? NaN);
  });

  /** The instrument shown; of a coin the one whose candles are drawn. */
  readonly instrument = computed<Instrument | undefined>(() => {
    const find = (one?: string | null): Instrument | undefined =>
      instruments.value?.find((row) => row.instrument === one);
    return find(this.wanted.value?.instrument) ?? find(this.status.value?.candles_of);
  });

  /** Whether a coin over all exchanges is shown. */
  readonly isCoin = computed<boolean>(() => {
    const name = this.wanted.value?.instrument;
    return !!name && !!instruments.value && !instruments.value.some((row) => row.instrument === name);
  });

  readonly mode = computed<Status['mode']>(() =>
    this.pictureMode.value !== 'live' ? this.pictureMode.value : (this.status.value?.mode ?? 'live'),
  );

  /** Data of the past which nobody collects: shown still, unlike a replay. */
  readonly recorded = computed<boolean>(() => {
    const status = this.status.value;
    return this.mode.value === 'replay' && status !== null && status.replay_speed === null;
  });

  /**
   * Age of the data [ms], null when there are none. `data_ms` is the end of the last complete
   * bar; a frame for the bar in progress is newer.
   */
  readonly ageMs = computed<number | null>(() => {
    const data = this.status.value?.data_ms;
    if (data === null || data === undefined) return null;
    return nowMs.value - Math.max(data - this.skewMs.value, this.heardMs.value);
  });

  readonly stale = computed<boolean>(() => {
    const age = this.ageMs.value;
    if (age === null || this.mode.value !== 'live') return false;
    const step = Math.min(this.status.value?.step_ms ?? 300_000, 300_000);
    return age > STALE_INTERVALS * (this.instrument.value?.interval_ms ?? step);
  });

  /** What fills the chart's place. A problem beside a picture is a banner, not a page. */
  readonly view = computed<View>(() => {
    const m = this.matrix.value;
    if (m && m.width > 0) return 'picture';
    if (this.problem.value) return 'error';
    if (instruments.value?.length === 0) return 'empty';
    if (this.status.value?.columns === 0) return 'empty';
    return 'loading';
  });

  /** Hear of every change of a column; returns how to stop. */
  onChange(listener: (change: Change) => void): () => void {
    return this.changes.add(listener);
  }

  /** Hear of columns which come and go in time travel. */
  onMoved(listener: (moved: Moved) => void): () => void {
    return this.moves.add(listener);
  }

  /** Hear of liquidations as they come; of none when some were missed, null for another picture. */
  onLiquidations(listener: (rows: readonly LiquidationRow[] | null) => void): () => void {
    return this.liquidations.add(listener);
  }

  /** Open the socket's end; it connects with the first `want`. */
  connect(): void {
    this.socket = new Link(socketUrl(window.location.href), {
      onState: (state) => this.takeState(state),
      onSnapshot: (snapshot) => this.takeSnapshot(snapshot),
      onColumn: (frame) => this.takeColumn(frame),
      onStatus: (status) => this.takeStatus(status),
      onLiquidations: (rows) => this.takeLiquidations(rows),
      onProblem: (problem) => (this.socketProblem.value = problem),
    });
  }

  disconnect(): void {
    this.socket?.close();
    this.socket = null;
  }

  /** Ask for a picture unless it is the one already asked for. */
  want(subscription: Subscription): void {
    const key = JSON.stringify(subscription);
    if (this.wanted.value?.key === key) return;
    if (this.wanted.value?.instrument !== subscription.instrument) {
      this.matrix.value = this.live.value = null;
      this.past.value = this.asOfMs.value = null;
      this.status.value = null;
      this.clearTape();
    }
    this.wanted.value = { ...subscription, key };
    this.heardMs.value = 0;
    this.socketProblem.value = null;
    this.socket?.subscribe(subscription);
  }

  /** Subscribe again after an error. */
  askAgain(): void {
    const picture = this.wanted.value;
    this.socketProblem.value = null;
    if (!picture) return;
    if (this.link.value.phase === 'down') this.socket?.retryNow();
    else {
      const { key: _key, ...subscription } = picture;
      this.socket?.subscribe(subscription);
    }
  }

  retryNow(): void {
    this.socket?.retryNow();
  }

  showMatrix(m: HeatMatrix): void {
    batch(() => {
      this.live.value = m;
      this.pictureKey = this.wanted.value?.key ?? null;
      if (!this.travelling) this.showLive(m);
    });
  }

  /** While travelling the live picture goes on, but does not take the place of the one shown. */
  travel(on: boolean): void {
    this.travelling = on;
    const m = this.live.peek();
    if (on || (!this.past.peek() && this.matrix.peek() === m)) return;
    batch(() => {
      const before = this.past.value?.shown;
      this.past.value = this.asOfMs.value = null;
      this.fitWanted = !m || !before || !alike(before, m);
      if (m) this.showLive(m);
      else this.matrix.value = null;
      this.tapeRevision.value++;
    });
  }

  /** Show a window of the past, of the picture `key`; `fit` shows the whole of it. */
  showPast(past: Replay, key: string, fit: boolean): void {
    batch(() => {
      this.fitWanted = fit;
      this.past.value = past;
      this.shown.value = key;
      this.matrix.value = past.shown;
      this.readPast(past);
    });
  }

  /** The moment shown is another one: these columns came or went. */
  pastMoved(past: Replay, moved: Moved): void {
    batch(() => this.readPast(past));
    this.moves.tell(moved);
  }

  /** The picture in `live`. */
  get liveKey(): string | null {
    return this.pictureKey;
  }

  /** Whether the window is to be shown as a whole; asked once a picture. */
  takeFit(): boolean {
    const wanted = this.fitWanted;
    this.fitWanted = false;
    return wanted;
  }

  /** Apply a live column; false when its index does not continue the picture. */
  takeColumn(frame: ColumnFrame): boolean {
    const m = this.live.peek();
    if (!m) return false;
    const column = frame.column - m.dropped;
    let scrolled = false;
    if (frame.kind === 'append') {
      if (column !== m.width || frame.codes.length !== m.bins) return false;
      scrolled = m.append(frame.candle, frame.codes);
    } else {
      if (column < 0 || column >= m.width) return false;
      if (frame.kind === 'sparse') {
        if (frame.bins.some((p) => p >= m.bins)) return false;
        m.patch(column, frame.candle, frame.bins, frame.codes);
      } else {
        if (frame.codes.length !== m.bins) return false;
        m.replace(column, frame.candle, frame.codes);
      }
    }
    this.heardMs.value = Date.now();
    if (this.matrix.peek() !== m) return true;
    const at = scrolled ? m.width - 1 : column;
    if (frame.kind === 'append' && m.width % CLIP_EVERY === 0) this.updateClip(m, false);
    this.changes.tell({ column: at, scrolled });
    this.revision.value++;
    return true;
  }

  private showLive(m: HeatMatrix): void {
    this.updateClip(m, true);
    this.shown.value = this.pictureKey;
    this.matrix.value = m;
    this.revision.value++;
  }

  private readPast(past: Replay): void {
    this.asOfMs.value = past.asOfMs;
    this.setColors(past.range);
    this.revision.value++;
    this.tapeRevision.value++;
  }

  private updateClip(m: HeatMatrix, force: boolean): void {
    const range = m.priceRange();
    const counts = m.histogram(...(range ? inView(m, ...range) : ([0, Infinity] as const)));
    const colors = colorRange(counts, m.usd);
    if (force || Math.abs(colors.code - this.clipCode) >= CLIP_SLACK) this.setColors(colors);
  }

  private setColors({ code, clipUsd, typical, autoLow }: ColorRange): void {
    this.clipCode = code;
    batch(() => {
      this.clipUsd.value = clipUsd;
      this.typical.value = typical;
      this.autoLow.value = autoLow;
    });
  }

  private takeState(state: LinkState): void {
    if (state.phase === 'waiting') this.tapeIsOld = true;
    this.link.value = state;
  }

  private takeSnapshot(snapshot: Snapshot): void {
    this.socketProblem.value = null;
    if (this.tapeIsOld) this.clearTape();
    // The list may date from before there were data: intervals and history are in it.
    if (!this.instrument.peek()?.interval_ms) void refreshInstruments();
    const { simulated, replay } = snapshot.header;
    this.pictureMode.value = simulated ? 'simulated' : replay ? 'replay' : 'live';
    this.showMatrix(new HeatMatrix(snapshot, Math.min(this.status.value?.columns_wanted ?? 0, 8192)));
  }

  private takeStatus(next: Status): void {
    this.skewMs.value = next.server_ms - Date.now();
    this.status.value = next;
  }

  private takeLiquidations(rows: readonly LiquidationRow[]): void {
    if (rows.length === 0) {
      // The server's word for rows which we were too slow to take.
      this.liquidations.tell(rows);
      return;
    }
    this.tape.add(
      rows.map((row) => ({
        timeMs: row.event_ms,
        price: row.price,
        usd: row.notional_usd,
        side: row.position_side,
      })),
    );
    this.tapeRevision.value++;
    const newest = rows.reduce((a, b) => (b.event_ms >= a.event_ms ? b : a));
    if (newest.event_ms >= (this.lastLiquidation.value?.event_ms ?? 0)) this.lastLiquidation.value = newest;
    this.liquidations.tell(rows);
  }

  private clearTape(): void {
    this.tapeIsOld = false;
    this.tape.clear();
    this.tapeRevision.value++;
    this.lastLiquidation.value = null;
    this.liquidations.tell(null);
  }
}

/**
 * Time travel: keeps every panel at the moment of the address bar (`at=`), and plays.
 *
 * The window of a moment is a copy of the live one where that reaches so far back; else it is
 * fetched as it was known half a range later, so that there is something to play: column by
 * column it is the same map as one fetched at the moment itself. While no window is there the
 * picture before stays, marked with its own time, and nothing of the live one is shown.
 */

import { effect, signal, untracked } from '@preact/signals';

import type { HeatMatrix } from '../engine/matrix';
import { Player, SPEEDS, type Speed } from '../engine/player';
import { Replay, snapshotOf } from '../engine/replay';
import { formatTime } from '../engine/axis';
import { ApiError } from '../net/api';
import { fetchTape, fetchWindow, realisedOf } from '../net/past';
import type { Picture } from './live';
import { instruments, nowMs, refreshInstruments } from './page';
import { active, panels, type Panel } from './panel';
import { choices } from './query';

export const playing = signal(false);
export const speed = signal<Speed>(2);
/** Windows on their way. */
export const loading = signal(0);
/** What followed the moment is shown, too. */
export const revealed = signal(false);
/** Why a moment cannot be shown. */
export const trouble = signal<string | null>(null);

/** The clock of the data [ms]: of a replay or a recording its own. */
export function clockMs(p: Panel): number {
  const data = p.status.value?.data_ms;
  return p.mode.value === 'replay' && data ? data : nowMs.value;
}

/** Columns of the live picture whose step is over. */
function complete(p: Panel, m: HeatMatrix): number {
  const data = p.status.peek()?.data_ms ?? Infinity;
  return m.timeMs(m.width) <= data || m.width === 1 ? m.width : m.width - 1;
}

/** The newest moment there is to travel to. */
function newestMs(p: Panel): number {
  const m = p.live.peek();
  return m ? m.timeMs(complete(p, m)) : Infinity;
}

/** When the history of what is shown begins, by the list as it is here; null while unknown. */
function listedMs(p: Panel): number | null {
  const list = instruments.peek() ?? [];
  const name = p.wanted.peek()?.instrument;
  const coin = p.isCoin.peek() ? p.instrument.peek()?.coin : undefined;
  const starts = list.filter((row) => row.instrument === name || (coin !== undefined && row.coin === coin));
  const known = starts.flatMap((row) => (row.start_ms === null ? [] : [row.start_ms]));
  return known.length > 0 ? Math.min(...known) : null;
}

/** The same; where `timeMs` lies before, the list is read again: history may have been added. */
async function historyMs(p: Panel, timeMs: number): Promise<number | null> {
  const start = listedMs(p);
  if (start !== null && timeMs < start) await refreshInstruments();
  return listedMs(p);
}

function tooEarly(p: Panel): string {
  const start = listedMs(p);
  const { zone } = p.query.peek();
  const since = start === null ? '' : ` (history starts ${formatTime(start, zone)}${zone === 'utc' ? ' UTC' : ''})`;
  return `No data are stored that early${since}.`;
}

/** Time that a whole window of the picture takes [ms]. */
function rangeMs(p: Panel, m: HeatMatrix): number {
  const { columns_wanted = 0 } = p.status.peek() ?? {};
  return Math.max(columns_wanted, m.width) * m.grid.stepMs;
}

/** One panel on its way through time. */
class Traveller {
  private key: string | null = null;
  /** The window, and the liquidations of a copy, on their way. */
  private fetching: AbortController | null = null;
  private filling: AbortController | null = null;
  /** Whether the window is a copy of the live one. */
  private copied = false;
  private readonly stopHearing: () => void;

  constructor(private readonly panel: Panel) {
    // The live tape comes after the picture: a copy takes in what it missed, and hides what is new.
    this.stopHearing = panel.onLiquidations((rows) => {
      const past = panel.past.peek();
      if (!past || !this.copied) return;
      if (rows === null) past.tape.clear();
      else past.tape.add(rows.map(realisedOf));
    });
  }

  /** Show the moment; fetches its window where there is none yet. */
  go(atMs: number): void {
    const { panel } = this;
    const picture = panel.wanted.peek();
    const live = panel.live.peek();
    if (!picture || !live || panel.liveKey !== picture.key) return;
    const past = panel.past.peek();
    if (past && this.key === picture.key && this.within(past.span, atMs)) {
      this.fetching?.abort();
      trouble.value = null;
      const moved = past.seek(past.columnAt(atMs));
      if (moved) panel.pastMoved(past, moved);
      return;
    }
    const columns = complete(panel, live);
    if (this.within([live.timeMs(1), live.timeMs(columns)], atMs) || atMs > live.timeMs(columns)) {
      this.fetching?.abort();
      this.copied = true;
      const copy = new Replay(snapshotOf(live, columns), panel.tape.all());
      this.show(copy, picture, atMs);
      void this.fill(copy, picture);
    } else void this.fetch(picture, live, atMs);
  }

  stop(): void {
    this.fetching?.abort();
    this.filling?.abort();
    this.stopHearing();
  }

  private within([first, last]: readonly [number, number], atMs: number): boolean {
    return atMs >= first && atMs <= last;
  }

  private show(past: Replay, picture: Picture, atMs: number): void {
    const { panel } = this;
    const before = panel.past.peek()?.shown ?? panel.matrix.peek();
    past.seek(past.columnAt(atMs));
    const same = before?.startMs === past.shown.startMs && before.grid.stepMs === past.shown.grid.stepMs;
    this.key = picture.key;
    trouble.value = null;
    panel.showPast(past, picture.key, !same);
  }

  /** The socket told of the newest liquidations only: read all of the window. */
  private async fill(past: Replay, picture: Picture): Promise<void> {
    const { panel } = this;
    this.filling?.abort();
    const asked = (this.filling = new AbortController());
    const [first, last] = past.span;
    try {
      const rows = await fetchTape(picture, first - past.shown.grid.stepMs, last, asked.signal);
      if (asked.signal.aborted) return;
      past.tape.clear();
      past.tape.add(rows);
      if (panel.past.peek() === past) panel.tapeRevision.value++;
    } catch {
      if (!asked.signal.aborted) trouble.value = 'Of the liquidations of this window only the newest could be read.';
    }
  }

  private async fetch(picture: Picture, live: HeatMatrix, atMs: number): Promise<void> {
    const { panel } = this;
    this.fetching?.abort();
    const asked = new AbortController();
    this.fetching = asked;
    loading.value++;
    try {
      const { stepMs } = live.grid;
      const start = await historyMs(panel, atMs - stepMs);
      if (asked.signal.aborted) return;
      if (start !== null && atMs < start + stepMs) {
        trouble.value = tooEarly(panel);
        return;
      }
      const end = Math.min(atMs + rangeMs(panel, live) / 2, live.timeMs(complete(panel, live)));
      const window = await fetchWindow(picture, Math.floor(end / stepMs) * stepMs, asked.signal);
      const { t0Ms, columns, stepMs: step } = window.header;
      const rows = await fetchTape(picture, t0Ms, t0Ms + columns * step, asked.signal);
      if (asked.signal.aborted) return;
      this.filling?.abort();
      this.copied = false;
      this.show(new Replay(window, rows), picture, atMs);
    } catch (error) {
      if (asked.signal.aborted) return;
      if (error instanceof ApiError) {
        const { status, title, detail } = error.problem;
        trouble.value = status === 404 ? tooEarly(panel) : `${title}. ${detail ?? ''}`;
      } else trouble.value = `The server sent something unreadable: ${String(error)}`;
    } finally {
      loading.value--;
    }
  }
}

/** Go to a moment: 'push' for a choice, 'replace' for a way there. */
export function goTo(atMs: number, mode: 'push' | 'replace'): void {
  const p = active.peek();
  p.set({ asOfMs: Math.min(Math.round(atMs), newestMs(p)) }, mode);
}

/** Go by columns of the active panel; false at an end. */
export function step(columns: number): boolean {
  const past = active.peek().past.peek();
  if (!past) return false;
  if (columns > 0 && past.asOfMs >= newestMs(active.peek())) return false;
  goTo(Math.max(past.span[0], past.asOfMs + columns * past.shown.grid.stepMs), 'replace');
  return true;
}

/** Half a window before the first moment of this one. */
export async function earlier(): Promise<void> {
  const p = active.peek();
  const past = p.past.peek();
  if (!past) return;
  const [first, last] = past.span;
  const { stepMs } = past.shown.grid;
  const start = await historyMs(p, first - 2 * stepMs);
  if (start !== null && first <= start + 2 * stepMs) trouble.value = tooEarly(p);
  else goTo(Math.max(first - (last - first) / 2, (start ?? -Infinity) + stepMs), 'push');
}

export function backToLive(): void {
  playing.value = false;
  active.peek().set({ asOfMs: null }, 'push');
}

export function faster(by: 1 | -1): void {
  const at = SPEEDS.indexOf(speed.peek()) + by;
  speed.value = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, at))];
}

/** Play while `playing`: columns of the active panel, as many a second as `speed` says. */
function play(): () => void {
  const player = new Player();
  let frame = 0;
  const run = (now: number): void => {
    frame = requestAnimationFrame(run);
    if (loading.peek() > 0) return player.rest();
    const columns = player.frame(now, speed.peek());
    if (columns > 0 && !step(columns)) playing.value = false;
  };
  return effect(() => {
    if (!playing.value) return;
    player.rest();
    frame = requestAnimationFrame(run);
    return () => cancelAnimationFrame(frame);
  });
}

/** Follow the address bar until the returned function is called. */
export function startReplay(): () => void {
  const travellers = new Map<Panel, Traveller>();
  const follow = effect(() => {
    const atMs = choices.value.first.asOfMs;
    if (atMs === null) return;
    revealed.value = false;
    for (const panel of panels.value) {
      // A moment needs the picture which is asked for, and the live one to tell how far it goes.
      void panel.wanted.value;
      void panel.live.value;
      const traveller = travellers.get(panel) ?? new Traveller(panel);
      travellers.set(panel, traveller);
      untracked(() => traveller.go(atMs));
    }
  });
  const reveal = effect(() => {
    const on = revealed.value;
    for (const panel of panels.value) {
      panel.past.value?.reveal(on);
      untracked(() => panel.tapeRevision.value++);
    }
  });
  const stops = [follow, reveal, play()];
  return () => {
    stops.forEach((stop) => stop());
    revealed.value = false;
    travellers.forEach((traveller) => traveller.stop());
    playing.value = false;
    trouble.value = null;
  };
}

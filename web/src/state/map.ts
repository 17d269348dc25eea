/**
 * The liquidation map of one panel: asked for every few seconds while somebody looks.
 *
 * The last map stays through errors, as the last picture does: only its presentation changes.
 * Time and the asking are injected, so that tests need neither a clock nor a server.
 */

import { batch, signal } from '@preact/signals';

import { ApiError } from '../net/api';
import { fetchMap, type MapReply } from '../net/map';
import type { Problem } from '../net/ws';

/** A map is asked for again after this time. */
export const EVERY_MS = 5000;
/** After failures in a row the wait doubles, up to this. */
const LONGEST_MS = 40_000;

export interface Tools {
  readonly ask: typeof fetchMap;
  readonly later: (run: () => void, ms: number) => number;
  readonly cancel: (timer: number) => void;
  readonly now: () => number;
}

const BROWSER: Tools = {
  ask: fetchMap,
  later: (run, ms) => window.setTimeout(run, ms),
  cancel: (timer) => window.clearTimeout(timer),
  now: () => Date.now(),
};

/**
 * The query of /map which belongs to a picture: what the socket is asked, by exchange too; of
 * the past when a time is given.
 */
export function parametersOf(picture: object, asOfMs: number | null = null): string {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(picture)) {
    if (name !== 'key' && value !== null && value !== undefined) q.set(name, String(value));
  }
  q.set('parts', 'exchange');
  if (asOfMs !== null) q.set('as_of_ms', String(asOfMs));
  return q.toString();
}

export class MapPoll {
  readonly reply = signal<MapReply | null>(null);
  /** Why the last asking failed; the map, if there is one, is older then. */
  readonly problem = signal<Problem | null>(null);
  /** When the server last said that this is the map [our clock]. */
  readonly heardMs = signal(0);
  /** The next asking after a failure [our clock]. */
  readonly retryAtMs = signal(0);
  /** Another map than the one shown is on its way. */
  readonly busy = signal(false);
  /** Of the map shown: what was asked. */
  readonly shown = signal<string | null>(null);

  /** Of what the map shown is, or will be. */
  instrument = '';
  private wanted: string | null = null;
  private etag: string | null = null;
  private timer: number | null = null;
  private asking: AbortController | null = null;
  private failures = 0;

  constructor(private readonly tools: Tools = BROWSER) {}

  /**
   * Ask for a map now and from time to time; of another instrument nothing is kept. `patient`
   * lets a question on its way be answered first: a player would else never see one.
   */
  want(instrument: string, parameters: string, patient = false): void {
    if (this.wanted === parameters) return;
    const later = patient && this.asking !== null && this.instrument === instrument;
    batch(() => {
      if (this.instrument !== instrument) [this.reply.value, this.shown.value] = [null, null];
      this.problem.value = null;
      this.busy.value = true;
    });
    [this.instrument, this.wanted, this.failures] = [instrument, parameters, 0];
    if (!later) void this.ask();
  }

  /** Stop asking: nobody looks. What is shown stays. */
  pause(): void {
    this.clear();
    this.wanted = null;
  }

  /** Ask at once. */
  retry(): void {
    if (this.wanted !== null) void this.ask();
  }

  private clear(): void {
    if (this.timer !== null) this.tools.cancel(this.timer);
    this.timer = null;
    this.asking?.abort();
    this.asking = null;
  }

  private async ask(): Promise<void> {
    this.clear();
    const wanted = this.wanted!;
    const asking = (this.asking = new AbortController());
    const etag = this.shown.value === wanted ? this.etag : null;
    try {
      const answer = await this.tools.ask(new URLSearchParams(wanted), etag, asking.signal);
      if (asking.signal.aborted) return;
      this.take(answer, wanted);
    } catch (error) {
      if (asking.signal.aborted) return;
      this.fail(error);
    }
    this.asking = null;
    if (this.wanted !== wanted) return void this.ask();
    // The past does not change.
    if (this.failures === 0 && wanted.includes('as_of_ms=')) return;
    const wait = Math.min(LONGEST_MS, EVERY_MS * 2 ** Math.max(0, this.failures - 1));
    this.retryAtMs.value = this.tools.now() + wait;
    this.timer = this.tools.later(() => void this.ask(), wait);
  }

  private take(answer: Awaited<ReturnType<typeof fetchMap>>, wanted: string): void {
    this.failures = 0;
    batch(() => {
      if (answer !== 'unchanged') {
        this.reply.value = answer.reply;
        this.etag = answer.etag;
      }
      this.shown.value = wanted;
      this.problem.value = null;
      this.busy.value = false;
      this.heardMs.value = this.tools.now();
    });
  }

  private fail(error: unknown): void {
    this.failures++;
    const said = error instanceof ApiError ? error.problem : { status: 0, title: 'The answer cannot be read' };
    batch(() => {
      this.problem.value = said;
      this.busy.value = false;
    });
  }
}

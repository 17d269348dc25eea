/**
 * The live connection as a state machine; no DOM, no signals, time and socket injected.
 *
 *     connecting --open--> waiting --snapshot--> live --hole in seq--> waiting (subscribe again)
 *         ^                                       |
 *         |                    close, or silence for SILENCE_MS
 *         +------- retry after backoff ------- down
 *
 * Frames are handled strictly in order, though a snapshot is unpacked asynchronously. While
 * `waiting`, changes are dropped: they belong to a picture we no longer have.
 */

import {
  decodeSnapshot,
  gunzip,
  readFrame,
  type DenseFrame,
  type Frame,
  type Snapshot,
  type SparseFrame,
} from './codec';

/** The server sends something at least every 5 s; two and a bit of those missed is silence. */
export const SILENCE_MS = 13_000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_LAST_MS = 30_000;

export interface Subscription {
  readonly instrument: string;
  /** Of a coin: only these, comma between; null is all. */
  readonly exchanges: string | null;
  readonly model: string;
  readonly range: string;
  readonly step: string | null;
  readonly bins: number;
  readonly scale: 'log' | 'linear';
  /** Of the model's leverages only these are drawn, comma between; all when not given. */
  readonly tiers?: string | undefined;
  /** Another mixture of leverages than the model's. */
  readonly leverage?: string | undefined;
}

export interface ExchangeStatus {
  readonly exchange: string;
  readonly state: 'live' | 'late' | 'stale' | 'down' | 'refused';
  readonly age_ms: number | null;
  readonly detail?: string | null;
  /** Whether it is in the picture; of a coin some may be switched off. */
  readonly included?: boolean;
}

export interface Status {
  readonly type: 'status';
  readonly mode: 'live' | 'simulated' | 'replay';
  readonly instrument: string;
  readonly model: string;
  readonly model_version: string;
  readonly step_ms: number;
  readonly data_ms: number | null;
  readonly server_ms: number;
  readonly replay_speed: number | null;
  readonly columns: number;
  readonly columns_wanted: number;
  readonly collecting_since_ms: number | null;
  readonly coverage: Readonly<Record<string, boolean>>;
  readonly warm_days: number;
  readonly usd_scale: 'relative' | 'usd';
  readonly last_price: number | null;
  /** The instrument whose candles are drawn. */
  readonly candles_of?: string | null;
  readonly exchanges: readonly ExchangeStatus[];
  readonly note?: string | null;
}

export interface LiquidationRow {
  readonly event_ms: number;
  readonly instrument: string;
  readonly position_side: 'long' | 'short';
  readonly price: number;
  readonly qty: number;
  readonly notional_usd: number;
  readonly price_kind: string;
}

/** RFC 9457 members. */
export interface Problem {
  readonly status: number;
  readonly title: string;
  readonly detail?: string;
  readonly field?: string;
  /** To be named when asking for help. */
  readonly request_id?: string;
}

export type LinkState =
  | { readonly phase: 'connecting'; readonly attempt: number }
  | { readonly phase: 'waiting' | 'live' }
  | { readonly phase: 'down'; readonly attempt: number; readonly retryAtMs: number };

export type ColumnFrame = DenseFrame | SparseFrame;

export interface LinkEvents {
  readonly onState: (state: LinkState) => void;
  readonly onSnapshot: (snapshot: Snapshot) => void;
  /** Apply a change; false when it does not fit the picture: a snapshot is asked for. */
  readonly onColumn: (frame: ColumnFrame) => boolean;
  readonly onStatus: (status: Status) => void;
  readonly onLiquidations: (rows: readonly LiquidationRow[]) => void;
  readonly onProblem: (problem: Problem) => void;
}

export interface SocketLike {
  binaryType: string;
  readyState: number;
  onopen: ((event: Event) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  send(data: string): void;
  close(): void;
}

export interface LinkTools {
  readonly open: (url: string) => SocketLike;
  readonly now: () => number;
  readonly random: () => number;
  readonly later: (run: () => void, ms: number) => number;
  readonly cancel: (timer: number) => void;
}

export const browserTools: LinkTools = {
  open: (url) => new WebSocket(url),
  now: () => Date.now(),
  random: () => Math.random(),
  later: (run, ms) => window.setTimeout(run, ms),
  cancel: (timer) => window.clearTimeout(timer),
};

/** Exponential with jitter: between half and all of 0.5, 1, 2 ... 30 s. */
export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** Math.max(0, attempt - 1));
  return Math.round(full * (0.5 + 0.5 * random));
}

export class Link {
  private socket: SocketLike | null = null;
  private wanted: Subscription | null = null;
  private attempt = 0;
  private seq = 0;
  private awaiting = true;
  private silence: number | null = null;
  private retry: number | null = null;
  private asking: number | null = null;
  /** Unreadable messages since the last good picture. */
  private garbled = 0;
  private queue: Promise<void> = Promise.resolve();

  constructor(
    private readonly url: string,
    private readonly events: LinkEvents,
    private readonly tools: LinkTools = browserTools,
  ) {}

  /** Ask for a picture; replaces the one before. Opens the socket when needed. */
  subscribe(wanted: Subscription): void {
    this.wanted = wanted;
    if (this.socket?.readyState === 1) this.sendSubscribe();
    else if (!this.socket && this.retry === null) this.connect();
  }

  /** Stop waiting for the backoff (a click, or the browser came back online). */
  retryNow(): void {
    if (this.socket) return;
    this.clearRetry();
    this.connect();
  }

  close(): void {
    this.wanted = null;
    this.clearRetry();
    this.drop();
  }

  private connect(): void {
    this.retry = null;
    this.events.onState({ phase: 'connecting', attempt: this.attempt });
    const socket = this.tools.open(this.url);
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.sendSubscribe();
    socket.onmessage = (event) => this.receive(socket, event.data);
    socket.onclose = () => this.lost(socket);
    this.listen(socket);
  }

  private sendSubscribe(): void {
    if (!this.wanted || !this.socket) return;
    this.awaiting = true;
    this.events.onState({ phase: 'waiting' });
    this.socket.send(JSON.stringify({ op: 'subscribe', ...this.wanted }));
  }

  private receive(socket: SocketLike, data: unknown): void {
    if (socket !== this.socket) return;
    this.listen(socket);
    this.queue = this.queue.then(async () => {
      if (socket !== this.socket) return;
      try {
        if (typeof data === 'string') this.onJson(data);
        else if (data instanceof ArrayBuffer) await this.onFrame(socket, readFrame(data));
      } catch (error) {
        const detail = error instanceof Error ? error.message : String(error);
        this.events.onProblem({ status: 0, title: 'The server sent something unreadable', detail });
        this.askLater(socket);
      }
    });
  }

  /** What could not be read is missing: ask for a whole picture, ever more slowly. */
  private askLater(socket: SocketLike): void {
    if (socket !== this.socket || this.asking !== null) return;
    this.garbled++;
    this.asking = this.tools.later(
      () => {
        this.asking = null;
        if (socket === this.socket) this.sendSubscribe();
      },
      backoffMs(this.garbled, this.tools.random()),
    );
  }

  private onJson(text: string): void {
    const message = JSON.parse(text) as { type: string } | null;
    if (typeof message?.type !== 'string') throw new Error('a message without a type');
    if (message.type === 'status') this.events.onStatus(message as unknown as Status);
    else if (message.type === 'liquidations') {
      this.events.onLiquidations((message as unknown as { rows: LiquidationRow[] }).rows);
    } else if (message.type === 'error') this.events.onProblem(message as unknown as Problem);
  }

  private async onFrame(socket: SocketLike, frame: Frame): Promise<void> {
    if (frame.kind === 'snapshot') {
      const snapshot = decodeSnapshot(await gunzip(frame.payload));
      if (socket !== this.socket) return;
      this.awaiting = false;
      this.attempt = this.garbled = 0;
      this.seq = frame.seq;
      this.events.onSnapshot(snapshot);
      this.events.onState({ phase: 'live' });
      return;
    }
    if (this.awaiting) return;
    if (frame.kind === 'heartbeat') {
      if (frame.seq !== this.seq) this.sendSubscribe();
      return;
    }
    const fits = frame.seq === this.seq + 1 && this.events.onColumn(frame);
    if (fits) this.seq = frame.seq;
    else this.sendSubscribe();
  }

  private listen(socket: SocketLike): void {
    if (this.silence !== null) this.tools.cancel(this.silence);
    this.silence = this.tools.later(() => this.lost(socket), SILENCE_MS);
  }

  private lost(socket: SocketLike): void {
    if (socket !== this.socket) return;
    this.drop();
    if (!this.wanted) return;
    this.attempt++;
    const wait = backoffMs(this.attempt, this.tools.random());
    this.retry = this.tools.later(() => this.connect(), wait);
    const retryAtMs = this.tools.now() + wait;
    this.events.onState({ phase: 'down', attempt: this.attempt, retryAtMs });
  }

  private drop(): void {
    const { socket } = this;
    this.socket = null;
    if (this.silence !== null) this.tools.cancel(this.silence);
    if (this.asking !== null) this.tools.cancel(this.asking);
    this.silence = this.asking = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
  }

  private clearRetry(): void {
    if (this.retry !== null) this.tools.cancel(this.retry);
    this.retry = null;
  }
}

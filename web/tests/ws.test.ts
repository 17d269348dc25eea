import { gzipSync } from 'node:zlib';

import { beforeEach, describe, expect, it } from 'vitest';

import { Link, SILENCE_MS, backoffMs, type LinkEvents, type LinkState, type SocketLike } from '../src/net/ws';
import { fixtureBytes } from './helpers';

class FakeSocket implements SocketLike {
  binaryType = '';
  readyState = 0;
  onopen: ((event: Event) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  sent: string[] = [];
  send(data: string): void {
    this.sent.push(data);
  }
  close(): void {
    this.readyState = 3;
  }
  open(): void {
    this.readyState = 1;
    this.onopen?.(new Event('open'));
  }
  say(data: unknown): void {
    this.onmessage?.({ data } as MessageEvent);
  }
  hangUp(): void {
    this.readyState = 3;
    this.onclose?.({} as CloseEvent);
  }
}

function frame(type: number, seq: number, payload: Uint8Array = new Uint8Array()): ArrayBuffer {
  const bytes = new Uint8Array(9 + payload.length);
  bytes[0] = type;
  new DataView(bytes.buffer).setBigUint64(1, BigInt(seq), true);
  bytes.set(payload, 9);
  return bytes.buffer;
}

const snapshot = (seq: number): ArrayBuffer => frame(1, seq, new Uint8Array(gzipSync(fixtureBytes())));
const append = (seq: number): ArrayBuffer => frame(2, seq, new Uint8Array(24 + 8));

const wanted = {
  instrument: 'binance:BTCUSDT',
  exchanges: null,
  model: 'sharp',
  range: '3d',
  step: null,
  bins: 400,
  scale: 'log' as const,
};

/** Clock, timers and sockets by hand. */
class World {
  now = 0;
  sockets: FakeSocket[] = [];
  timers = new Map<number, { at: number; run: () => void }>();
  states: LinkState[] = [];
  columns: number[] = [];
  snapshots = 0;
  problems: string[] = [];
  accept = true;
  private nextTimer = 1;

  link(): Link {
    const events: LinkEvents = {
      onState: (state) => this.states.push(state),
      onSnapshot: () => this.snapshots++,
      onColumn: (column) => {
        if (this.accept) this.columns.push(column.seq);
        return this.accept;
      },
      onStatus: () => undefined,
      onLiquidations: () => undefined,
      onProblem: (problem) => this.problems.push(problem.title),
    };
    return new Link('ws://x/ws', events, {
      open: () => {
        const socket = new FakeSocket();
        this.sockets.push(socket);
        return socket;
      },
      now: () => this.now,
      random: () => 1,
      later: (run, ms) => {
        this.timers.set(this.nextTimer, { at: this.now + ms, run });
        return this.nextTimer++;
      },
      cancel: (timer) => this.timers.delete(timer),
    });
  }

  pass(ms: number): void {
    this.now += ms;
    for (const [key, timer] of [...this.timers]) {
      if (timer.at > this.now) continue;
      this.timers.delete(key);
      timer.run();
    }
  }

  get socket(): FakeSocket {
    return this.sockets.at(-1)!;
  }

  get phase(): string | undefined {
    return this.states.at(-1)?.phase;
  }

  subscriptions(): number {
    return this.socket.sent.filter((text) => text.includes('"subscribe"')).length;
  }
}

/** Let the frame queue (gunzip included) run dry, however long that takes. */
async function drain(): Promise<void> {
  await (link as unknown as { queue: Promise<void> }).queue;
}

let world: World;
let link: Link;

async function goLive(): Promise<void> {
  link.subscribe(wanted);
  world.socket.open();
  world.socket.say(snapshot(10));
  await drain();
}

beforeEach(() => {
  world = new World();
  link = world.link();
});

describe('link', () => {
  it('subscribes on open and is live with the snapshot', async () => {
    await goLive();
    expect(JSON.parse(world.socket.sent[0])).toEqual({ op: 'subscribe', ...wanted });
    expect(world.states.map((s) => s.phase)).toEqual(['connecting', 'waiting', 'live']);
    expect(world.snapshots).toBe(1);
  });

  it('applies frames which arrive while a snapshot is unpacked, in order', async () => {
    link.subscribe(wanted);
    world.socket.open();
    world.socket.say(snapshot(10));
    world.socket.say(append(11));
    world.socket.say(append(12));
    await drain();
    expect(world.columns).toEqual([11, 12]);
  });

  it('subscribes again on a hole in seq and waits for the snapshot', async () => {
    await goLive();
    world.socket.say(append(11));
    world.socket.say(append(13));
    world.socket.say(append(14));
    await drain();
    expect(world.columns).toEqual([11]);
    expect(world.subscriptions()).toBe(2);
    expect(world.phase).toBe('waiting');
    world.socket.say(snapshot(20));
    world.socket.say(append(21));
    await drain();
    expect(world.columns).toEqual([11, 21]);
    expect(world.phase).toBe('live');
  });

  it('takes a heartbeat with another seq for a hole', async () => {
    await goLive();
    world.socket.say(frame(5, 10));
    await drain();
    expect(world.subscriptions()).toBe(1);
    world.socket.say(frame(5, 11));
    await drain();
    expect(world.subscriptions()).toBe(2);
  });

  it('asks for a snapshot when a column does not fit', async () => {
    await goLive();
    world.accept = false;
    world.socket.say(append(11));
    await drain();
    expect(world.subscriptions()).toBe(2);
  });

  it('reports what it cannot read and goes on', async () => {
    await goLive();
    world.socket.say(new ArrayBuffer(3));
    world.socket.say('{');
    world.socket.say(append(11));
    await drain();
    expect(world.problems).toHaveLength(2);
    expect(world.columns).toEqual([11]);
  });

  it('asks for a whole picture after something unreadable, ever more slowly', async () => {
    await goLive();
    world.socket.say(frame(7, 0));
    world.socket.say(frame(7, 0));
    await drain();
    expect(world.subscriptions()).toBe(1);
    world.pass(500);
    expect(world.subscriptions()).toBe(2);
    for (const wait of [1000, 2000, 4000]) {
      world.socket.say(frame(1, 11, new Uint8Array([1, 2, 3])));
      await drain();
      world.pass(wait - 1);
      const before = world.subscriptions();
      world.pass(1);
      expect(world.subscriptions()).toBe(before + 1);
    }
    world.socket.say(snapshot(20));
    world.socket.say(frame(7, 0));
    await drain();
    world.pass(500);
    expect(world.subscriptions()).toBe(6);
  });

  it('reconnects after silence, with growing waits', async () => {
    await goLive();
    world.pass(SILENCE_MS - 1);
    world.socket.say(frame(5, 10));
    world.pass(SILENCE_MS - 1);
    expect(world.sockets).toHaveLength(1);
    world.pass(2);
    expect(world.states.at(-1)).toEqual({ phase: 'down', attempt: 1, retryAtMs: world.now + 500 });
    world.pass(500);
    expect(world.sockets).toHaveLength(2);
    world.socket.hangUp();
    expect(world.states.at(-1)).toMatchObject({ phase: 'down', attempt: 2, retryAtMs: world.now + 1000 });
  });

  it('starts the backoff anew after a snapshot', async () => {
    await goLive();
    world.socket.hangUp();
    world.pass(500);
    world.socket.open();
    world.socket.say(snapshot(3));
    await drain();
    world.socket.hangUp();
    expect(world.states.at(-1)).toMatchObject({ attempt: 1 });
  });

  it('does not wait when told to retry now', async () => {
    await goLive();
    world.socket.hangUp();
    link.retryNow();
    expect(world.sockets).toHaveLength(2);
    world.pass(60_000);
    expect(world.sockets.length).toBeLessThanOrEqual(3);
  });

  it('stays closed once closed', async () => {
    await goLive();
    link.close();
    world.pass(100_000);
    expect(world.sockets).toHaveLength(1);
  });
});

describe('backoff', () => {
  it('doubles up to half a minute and never halves below half', () => {
    expect([1, 2, 3, 9].map((n) => backoffMs(n, 1))).toEqual([500, 1000, 2000, 30_000]);
    expect(backoffMs(2, 0)).toBe(500);
  });
});

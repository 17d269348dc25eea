import { describe, expect, it } from 'vitest';

import { ApiError } from '../src/net/api';
import type { MapAnswer } from '../src/net/map';
import { EVERY_MS, MapPoll, parametersOf } from '../src/state/map';
import { mapReply } from './helpers';

/** A server whose answers are given by hand, and a clock which is wound by hand. */
function bench() {
  const asked: { parameters: string; etag: string | null; signal: AbortSignal }[] = [];
  const answers: (MapAnswer | Error)[] = [];
  const timers: { run: () => void; ms: number }[] = [];
  const poll = new MapPoll({
    ask: (parameters, etag, signal) => {
      asked.push({ parameters: parameters.toString(), etag, signal });
      const next = answers.shift();
      if (next === undefined) return new Promise(() => {});
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
    },
    later: (run, ms) => timers.push({ run, ms }),
    cancel: () => timers.pop(),
    now: () => 1000,
  });
  return { poll, asked, answers, timers };
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
const reply = mapReply({ long: { 4: 1 }, short: { 15: 1 } });
const down = new ApiError({ status: 503, title: 'Busy' });

describe('asking for a map', () => {
  it('repeats with the tag of the body at hand, and keeps it when unchanged', async () => {
    const { poll, asked, answers, timers } = bench();
    answers.push({ reply, etag: '"a"' }, 'unchanged');
    poll.want('BTC', 'instrument=BTC');
    expect(poll.busy.value).toBe(true);
    await settle();
    expect([poll.reply.value, poll.busy.value]).toEqual([reply, false]);
    expect(timers.at(-1)?.ms).toBe(EVERY_MS);
    timers.pop()!.run();
    await settle();
    expect(asked.map(({ etag }) => etag)).toEqual([null, '"a"']);
    expect(poll.reply.value).toBe(reply);
  });

  it('keeps the last map through failures, which come slower and slower', async () => {
    const { poll, answers, timers } = bench();
    answers.push({ reply, etag: null }, down, down, down);
    poll.want('BTC', 'instrument=BTC');
    await settle();
    const waits: number[] = [];
    for (let i = 0; i < 3; i++) {
      timers.pop()!.run();
      await settle();
      waits.push(timers.at(-1)!.ms);
    }
    expect(waits).toEqual([EVERY_MS, 2 * EVERY_MS, 4 * EVERY_MS]);
    expect(poll.problem.value?.title).toBe('Busy');
    expect(poll.reply.value).toBe(reply);
    answers.push({ reply, etag: null });
    poll.retry();
    await settle();
    expect(poll.problem.value).toBeNull();
  });

  it('shows nothing of another instrument, but the old map of another range', async () => {
    const { poll, answers, asked } = bench();
    answers.push({ reply, etag: '"a"' });
    poll.want('BTC', 'instrument=BTC');
    await settle();
    poll.want('BTC', 'instrument=BTC&range=1w');
    expect(poll.reply.value).toBe(reply);
    // The tag was of another question's answer.
    expect(asked[1].etag).toBeNull();
    poll.want('ETH', 'instrument=ETH');
    expect(poll.reply.value).toBeNull();
    expect(asked[1].signal.aborted).toBe(true);
  });

  it('asks nothing while nobody looks', async () => {
    const { poll, answers, asked, timers } = bench();
    answers.push({ reply, etag: null });
    poll.want('BTC', 'instrument=BTC');
    await settle();
    poll.pause();
    expect(timers).toEqual([]);
    expect(asked.length).toBe(1);
    poll.want('BTC', 'instrument=BTC');
    expect(asked.length).toBe(2);
  });

  it('lets a question about the past be answered before the next', async () => {
    const { poll, answers, asked, timers } = bench();
    answers.push({ reply, etag: null }, { reply, etag: null });
    poll.want('BTC', 'as_of_ms=1', true);
    poll.want('BTC', 'as_of_ms=2', true);
    poll.want('BTC', 'as_of_ms=3', true);
    expect(asked.map(({ parameters }) => parameters)).toEqual(['as_of_ms=1']);
    expect(asked[0].signal.aborted).toBe(false);
    await settle();
    expect(asked.map(({ parameters }) => parameters)).toEqual(['as_of_ms=1', 'as_of_ms=3']);
    expect(poll.shown.value).toBe('as_of_ms=3');
    // The past does not change: nothing is asked again.
    expect(timers).toEqual([]);
  });

  it('takes over what the picture asks, and the split by exchange', () => {
    const picture = { key: 'x', instrument: 'BTC', exchanges: null, model: 'auto', bins: 400 };
    expect(parametersOf(picture)).toBe('instrument=BTC&model=auto&bins=400&parts=exchange');
    expect(parametersOf({ instrument: 'BTC' }, 5)).toBe('instrument=BTC&parts=exchange&as_of_ms=5');
  });
});

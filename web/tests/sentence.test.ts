import { describe, expect, it } from 'vitest';

import { toPriceMap } from '../src/engine/bars';
import { qualifier, quotation, sentence, type Circumstances } from '../src/ui/map/sentence';
import { mapReply } from './helpers';

const map = toPriceMap(mapReply({ long: { 4: 30e6 }, short: { 15: 20e6 } }));
const about: Circumstances = {
  name: 'BTC',
  only: '',
  past: false,
  decimals: 2,
  simulated: false,
  relative: false,
  measuredShare: { long: 0, short: 0 },
  ageMs: 12_000,
  asOfMs: Date.UTC(2026, 10, 20, 18, 57),
  model: 'sharp 2026.11.5',
};

describe('sentence', () => {
  it('says longs of a fall and shorts of a rise', () => {
    expect(sentence(map, 93, about)).toBe(
      'If BTC falls to $93.00 (−7.00 %), about $30.0M of longs stand to be liquidated',
    );
    expect(sentence(map, 108, about)).toBe(
      'If BTC rises to $108.00 (+8.00 %), about $20.0M of shorts stand to be liquidated',
    );
  });

  it('says so where the map shows nothing', () => {
    expect(sentence(map, 99.5, about)).toContain('nothing the map shows of longs stands to be');
  });

  it('never predicts', () => {
    for (const price of [60, 93, 99, 101, 108, 150]) {
      expect(quotation(map, price, about)).not.toMatch(/\bwill\b|\bgoing to\b|\bshould\b|expect/i);
      expect(quotation(map, price, about)).toMatch(/^If /);
    }
  });
});

describe('quotation', () => {
  it('says what it rests on, and when', () => {
    expect(quotation(map, 93, about)).toBe(
      'If BTC falls to $93.00 (−7.00 %), about $30.0M of longs stand to be liquidated ' +
        '(modelled; data 12 s old, model sharp 2026.11.5, as of Fri 20 Nov 2026 18:57 UTC).',
    );
  });

  it('begins with the warning when the market is made up', () => {
    expect(quotation(map, 93, { ...about, simulated: true })).toMatch(/^SIMULATED MARKET: If /);
  });

  it('says when it is of the past', () => {
    const text = quotation(map, 93, { ...about, past: true, simulated: true });
    expect(text).toMatch(/^SIMULATED MARKET, A MAP OF THE PAST: If /);
    expect(text).toContain('(modelled; as known on Fri 20 Nov 2026 18:57 UTC');
  });

  it('tells the measured share, the scale and an unknown age', () => {
    const partly = { ...about, measuredShare: { long: 0.314, short: 0 }, relative: true, ageMs: null };
    expect(qualifier('long', partly)).toBe(
      'modelled, 31 % of open interest measured, relative scale; age unknown',
    );
    expect(qualifier('short', partly)).toBe('modelled, relative scale; age unknown');
  });

  it('says what the sum leaves out', () => {
    const some = { ...about, only: 'leverage 10x, 50x only' };
    expect(qualifier('long', some)).toBe('modelled, leverage 10x, 50x only; data 12 s old');
  });
});

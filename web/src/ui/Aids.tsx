/**
 * Reading aids on the chart, each put there while it is wanted: distance bands, and the head of
 * the profile (what it is split by, its legend, the max pain). A chunk of its own.
 */

import { effect, signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';

import '../aids.css';
import { BandLayer } from '../engine/bands';
import { FONT } from '../engine/chart';
import type { Profile } from '../engine/profile';
import { formatPrice, formatUsd } from '../format';
import { startSplit, type SplitState } from '../state/split';
import { GROUPINGS } from '../state/query';
import { usePanel } from './context';

/** Lines at round distances from the price. */
export function Bands() {
  const p = usePanel();
  useEffect(
    () =>
      effect(() => {
        const chart = p.chart.value;
        return chart?.addLayer(new BandLayer(() => ({ ...chart.colors.bands, font: FONT })));
      }),
    [p],
  );
  return null;
}

const SPLIT_TEXT = { side: 'by side', tier: 'by leverage', exchange: 'by exchange' } as const;

function Pain({ profile, decimals }: { profile: Profile; decimals: number }) {
  const { long, short } = profile.pain;
  return (
    <dl class="profile-pain" title="Max pain: the price at which the most of a side would be liquidated at once">
      {[short, long].map(
        (point) =>
          point && (
            <div key={point.side} class={point.side}>
              <dt>{point.side === 'short' ? '▲' : '▼'} max pain</dt>
              <dd title={`${formatUsd(point.usd)} in one bin`}>{formatPrice(point.price, decimals)}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

/** Over the profile's strip: its split, colors and max pain. */
export function ProfileHead() {
  const p = usePanel();
  const [state] = useState(() => signal<SplitState>({ kind: 'asking' }));
  useEffect(() => startSplit(p, state), [p]);
  void p.revision.value;
  const chart = p.chart.value;
  const left = p.profileLeft.value;
  const profile = left === null ? null : chart?.profile;
  if (!chart || !profile) return null;
  const { kind } = state.value;
  const { split } = p.query.value;
  return (
    <div class="profile-head" style={{ left: `${left! + 2}px` }}>
      <select
        aria-label="Profile"
        value={split}
        onChange={(event) => {
          const next = GROUPINGS.find((one) => one === event.currentTarget.value) ?? 'side';
          p.set({ split: next }, 'push');
        }}
      >
        {GROUPINGS.map((one) => (
          <option key={one} value={one}>
            {SPLIT_TEXT[one]}
          </option>
        ))}
      </select>
      {kind === 'asking' && split !== 'side' && profile.groups.length === 0 && <p class="muted">loading …</p>}
      {kind === 'failed' && (
        <p role="alert">{split === 'side' ? 'no max pain: ' : ''}the map could not be loaded</p>
      )}
      {profile.groups.length > 0 && (
        <ul class="profile-legend" data-testid="profile-legend">
          {profile.groups.map((group) => (
            <li key={group.name}>
              <i style={{ background: group.color }} />
              {group.name}
            </li>
          ))}
        </ul>
      )}
      <Pain profile={profile} decimals={chart.priceDecimals} />
    </div>
  );
}

/** The bottom line: how fresh, how complete, which model, and what the picture is not. */

import { formatAge, formatPrice, formatUsd, splitSymbol } from '../format';
import {
  ageMs,
  health,
  lastLiquidation,
  link,
  mode,
  nowMs,
  problem,
  recorded,
  stale,
  status,
} from '../state/live';
import type { ExchangeStatus } from '../net/ws';
import { formatTime } from '../engine/axis';
import { chart, zone } from '../state/view';

/** `short` stands beside the badge, which says recorded, simulated or replay already. */
export function LinkChip({ short }: { short?: boolean }) {
  const state = link.value;
  const age = ageMs.value;
  let tone = 'wait';
  let text = state.phase === 'connecting' ? 'connecting' : 'waiting';
  if (state.phase === 'down') [tone, text] = ['red', 'disconnected'];
  else if (recorded.value && age !== null) {
    [tone, text] = ['amber', `${short ? '' : 'recorded · '}${formatAge(age)} old`];
  } else if (status.value && age !== null) {
    tone = stale.value ? 'amber' : 'green';
    const word = stale.value ? 'stale' : mode.value === 'live' ? 'live' : mode.value;
    if (mode.value === 'replay') text = replayClock(status.value.data_ms!, short);
    else text = short && mode.value === 'simulated' ? formatAge(age) : `${word} · ${formatAge(age)}`;
  } else if (problem.value) [tone, text] = ['red', 'error'];
  else if (status.value) text = 'no data';
  return (
    <span class={`chip link ${tone}`} data-testid="link" title="Age of the newest data">
      <i aria-hidden="true" />
      {text}
    </span>
  );
}

/** A replay has no age, but a clock of its own. */
function replayClock(dataMs: number, short?: boolean): string {
  const clock = `${formatTime(dataMs, zone.value, 'day')} ${formatTime(dataMs, zone.value, 'minute')}`;
  return short ? clock : `replay · ${clock}`;
}

const TONE: Record<ExchangeStatus['state'], string> = {
  live: 'green',
  late: 'amber',
  stale: 'amber',
  down: 'red',
  refused: 'red',
};

function Exchange({ row }: { row: ExchangeStatus }) {
  const age = row.age_ms === null ? '' : ` ${formatAge(row.age_ms)}`;
  return (
    <span class={`chip ${TONE[row.state]}`} title={row.detail ?? `${row.exchange}: ${row.state}`}>
      <i aria-hidden="true" />
      {row.exchange} {row.state === 'live' ? '' : row.state}
      {age}
    </span>
  );
}

const COVERAGE: Record<string, string> = {
  open_interest: 'open interest',
  taker_volume: 'taker volume',
  mark: 'mark price',
  liquidations: 'liquidations',
};

function Coverage() {
  const s = status.value;
  if (!s) return null;
  const missing = Object.keys(COVERAGE).filter((key) => s.coverage[key] === false);
  if (missing.length === 0) return null;
  const names = missing.map((key) => COVERAGE[key]).join(', ');
  return (
    <span class="missing" title={`The estimate is made without: ${names}`}>
      without {names}
    </span>
  );
}

/** Older ones are on the chart; a line about yesterday is no news. */
const NEWS_MS = 15 * 60_000;

function LastLiquidation() {
  const row = lastLiquidation.value;
  // A replay's news are new by the replay's clock.
  const clock = mode.value === 'replay' ? (status.value?.data_ms ?? 0) : nowMs.value;
  if (!row || recorded.value || clock - row.event_ms > NEWS_MS) return null;
  const { contract } = splitSymbol(row.instrument);
  const price = formatPrice(row.price, chart.value?.priceDecimals ?? 2);
  return (
    <span class={`last-liq ${row.position_side}`} title="Newest realised liquidation">
      liquidated: {row.position_side} {formatUsd(row.notional_usd)} {contract} @ {price} ·{' '}
      {formatAge(clock - row.event_ms)}
    </span>
  );
}

export const CAPTION =
  'Estimate: expected USD if touched. Levels are modelled from public data; not a prediction.';

export function StatusBar() {
  const s = status.value;
  return (
    <footer class={link.value.phase === 'down' ? 'status unknown' : 'status'}>
      <LinkChip />
      {!recorded.value && s?.exchanges.map((row) => <Exchange key={row.exchange} row={row} />)}
      <Coverage />
      <LastLiquidation />
      <span class="caption">
        {CAPTION}
        {s?.usd_scale === 'relative' && (
          <b title={`${s.warm_days.toFixed(1)} days of history so far`}> Relative scale.</b>
        )}
      </span>
      <span class="model-id">{s?.model_version ?? health.value?.model_version ?? ''}</span>
    </footer>
  );
}

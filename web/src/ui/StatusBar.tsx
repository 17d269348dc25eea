/** The bottom line: how fresh, how complete, which model, and what the picture is not. */

import { formatAge, formatPrice, formatUsd, splitSymbol } from '../format';
import { health, nowMs } from '../state/page';
import type { ExchangeStatus } from '../net/ws';
import { formatTime } from '../engine/axis';
import { switched } from '../state/query';
import type { Zone } from '../engine/axis';
import { usePanel } from './context';

/** `short` stands beside the badge, which says recorded, simulated or replay already. */
export function LinkChip({ short }: { short?: boolean }) {
  const p = usePanel();
  const state = p.link.value;
  const age = p.ageMs.value;
  let tone = 'wait';
  let text = state.phase === 'connecting' ? 'connecting' : 'waiting';
  if (state.phase === 'down') [tone, text] = ['red', 'disconnected'];
  else if (p.recorded.value && age !== null) {
    [tone, text] = ['amber', `${short ? '' : 'recorded · '}${formatAge(age)} old`];
  } else if (p.status.value && age !== null) {
    tone = p.stale.value ? 'amber' : 'green';
    const word = p.stale.value ? 'stale' : p.mode.value === 'live' ? 'live' : p.mode.value;
    if (p.mode.value === 'replay') text = replayClock(p.status.value.data_ms!, p.query.value.zone, short);
    else text = short && p.mode.value === 'simulated' ? formatAge(age) : `${word} · ${formatAge(age)}`;
  } else if (p.problem.value) [tone, text] = ['red', 'error'];
  else if (p.status.value) text = 'no data';
  return (
    <span class={`chip link ${tone}`} data-testid="link" title="Age of the newest data">
      <i aria-hidden="true" />
      {text}
    </span>
  );
}

/** A replay has no age, but a clock of its own. */
function replayClock(dataMs: number, zone: Zone, short?: boolean): string {
  const clock = `${formatTime(dataMs, zone, 'day')} ${formatTime(dataMs, zone, 'minute')}`;
  return short ? clock : `replay · ${clock}`;
}

const TONE: Record<ExchangeStatus['state'], string> = {
  live: 'green',
  late: 'amber',
  stale: 'amber',
  down: 'red',
  refused: 'red',
};

function words(row: ExchangeStatus): string {
  if (row.state === 'live') return row.exchange;
  const age = row.age_ms === null ? '' : ` ${formatAge(row.age_ms)}`;
  return `${row.exchange} ${row.state}${age}`;
}

function Exchange({ row }: { row: ExchangeStatus }) {
  return (
    <span class={`chip ${TONE[row.state]}`} title={row.detail || `${row.exchange}: ${row.state}`}>
      <i aria-hidden="true" />
      {words(row)}
    </span>
  );
}

/** Of a coin: each exchange is switched on and off; one without data has nothing to switch. */
function Switch({ row, all, shown }: { row: ExchangeStatus; all: readonly string[]; shown: readonly string[] }) {
  const p = usePanel();
  const on = row.included !== false;
  const next = switched(shown, all, row.exchange);
  const last = on && shown.length === 1;
  const what = last ? 'the only one shown' : on ? 'click to leave it out' : 'click to add it';
  return (
    <button
      type="button"
      class={`chip switch ${on ? TONE[row.state] : 'off'}`}
      aria-pressed={on}
      aria-disabled={last}
      data-exchange={row.exchange}
      title={`${row.exchange}: ${what}.${row.detail ? ` ${row.detail}` : ''}`}
      onClick={() => !last && p.set({ exchanges: next }, 'push')}
    >
      <i aria-hidden="true" />
      {words(row)}
    </button>
  );
}

/** A chip an exchange: how fresh it is, and of a coin whether it is added up. */
export function Exchanges() {
  const p = usePanel();
  const rows = p.status.value?.exchanges ?? [];
  const held = rows.filter((row) => row.age_ms !== null);
  if (!p.isCoin.value || held.length < 2) return rows.map((row) => <Exchange key={row.exchange} row={row} />);
  const all = held.map((row) => row.exchange);
  const shown = held.filter((row) => row.included !== false).map((row) => row.exchange);
  return (
    <span class="switches" role="group" aria-label="Exchanges added up">
      {rows.map((row) =>
        row.age_ms === null ? (
          <Exchange key={row.exchange} row={row} />
        ) : (
          <Switch key={row.exchange} row={row} all={all} shown={shown} />
        ),
      )}
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
  const p = usePanel();
  const s = p.status.value;
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
  const p = usePanel();
  const row = p.lastLiquidation.value;
  // A replay's news are new by the replay's clock.
  const clock = p.mode.value === 'replay' ? (p.status.value?.data_ms ?? 0) : nowMs.value;
  // In the past it would tell what was to come.
  if (!row || p.recorded.value || p.asOfMs.value !== null || clock - row.event_ms > NEWS_MS) return null;
  const { contract } = splitSymbol(row.instrument);
  const price = formatPrice(row.price, p.chart.value?.priceDecimals ?? 2);
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
  const p = usePanel();
  const s = p.status.value;
  return (
    <footer class={p.link.value.phase === 'down' ? 'status unknown' : 'status'}>
      <LinkChip />
      {(p.isCoin.value || !p.recorded.value) && <Exchanges />}
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

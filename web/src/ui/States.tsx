/**
 * Everything the page can be besides well: loading, empty, stale, disconnected, made up.
 *
 * One overlay fills the chart's place when there is no picture; banners lie over a picture
 * which is not what it seems. The chart's box never changes size.
 */

import { formatAge, formatStep } from '../format';
import { formatTime } from '../engine/axis';
import {
  ageMs,
  askAgain,
  instruments,
  link,
  matrix,
  mode,
  nowMs,
  problem,
  recorded,
  retryNow,
  shown,
  stale,
  status,
  view,
  wanted,
} from '../state/live';
import { panel, symbol, zone } from '../state/view';

export function ModeBadge() {
  if (mode.value === 'simulated') {
    return (
      <span class="badge simulated" title="A made-up market: no real prices, no real positions">
        SIMULATED
      </span>
    );
  }
  if (mode.value === 'replay') {
    if (recorded.value) {
      return (
        <span class="badge recorded" title={status.value?.note || 'Data of the past; nothing is collecting'}>
          RECORDED
        </span>
      );
    }
    const speed = status.value?.replay_speed;
    return (
      <span class="badge replay" title="Recorded data, played again">
        REPLAY{speed ? ` ${speed}×` : ''}
      </span>
    );
  }
  return null;
}

/** Big letters across the picture, so that a cropped screenshot cannot pass for real. */
export function Watermark() {
  if (mode.value !== 'simulated' || view.value !== 'picture') return null;
  return (
    <div class="watermark" aria-hidden="true">
      SIMULATED
    </div>
  );
}

export function Overlay() {
  switch (view.value) {
    case 'loading':
      return <Skeleton />;
    case 'empty':
      return <Empty />;
    case 'error':
      return <ErrorCard />;
    default:
      return null;
  }
}

function Skeleton() {
  const asleep = link.value.phase === 'down';
  return (
    <div class="overlay skeleton" data-testid="skeleton">
      <div class="bands" aria-hidden="true">
        {[12, 22, 34, 58, 71, 86].map((top, i) => (
          <i key={top} style={{ top: `${top}%`, opacity: 0.35 + 0.1 * (i % 3) }} />
        ))}
      </div>
      <p role="status">
        {asleep
          ? 'No connection to the server.'
          : `Loading ${symbol.value.split(':').pop() || 'instruments'} …`}
      </p>
    </div>
  );
}

function Progress() {
  const s = status.value;
  if (!s || s.collecting_since_ms === null) return null;
  return (
    <p>
      Collecting since {formatTime(s.collecting_since_ms, zone.value)}
      {s.columns_wanted > 0 ? `, ${s.columns} of ${s.columns_wanted} columns` : ''}.
    </p>
  );
}

function Empty() {
  const none = instruments.value?.length === 0;
  return (
    <div class="overlay" data-testid="empty">
      <div class="card">
        <h2>{none ? 'No contracts yet' : `No data yet for ${symbol.value}`}</h2>
        <Progress />
        {status.value?.note && <p>{status.value.note}</p>}
        <p class="muted">
          {none
            ? 'The server has no instruments. Start it with `liqheat up` to collect, with `liqheat up --offline` for a simulated market, or bring your own bars:'
            : 'The picture appears by itself with the first completed step. To have history at once, bring your own bars:'}
        </p>
        <pre>liqheat import bars.parquet</pre>
        {!none && (
          <button type="button" class="button" onClick={() => (panel.value = 'symbols')}>
            Choose another contract
          </button>
        )}
      </div>
    </div>
  );
}

function ErrorCard() {
  const p = problem.value!;
  return (
    <div class="overlay" data-testid="error" role="alert">
      <div class="card error">
        <h2>{p.title}</h2>
        {p.detail && <p>{p.detail}</p>}
        <p class="muted">
          {p.status > 0 ? `Status ${p.status}` : 'No answer'}
          {p.field ? ` · field ${p.field}` : ''}
          {` · ${formatTime(nowMs.peek(), 'utc', 'second')} UTC`}
        </p>
        <button type="button" class="button primary" onClick={askAgain}>
          Try again
        </button>
      </div>
    </div>
  );
}

export function Banners() {
  return (
    <div class="banners">
      <Disconnected />
      <ProblemBanner />
      <StaleBanner />
      <PartialBanner />
    </div>
  );
}

function Disconnected() {
  const state = link.value;
  const waiting = state.phase === 'connecting' && state.attempt > 0;
  if (state.phase !== 'down' && !waiting) return null;
  const seconds =
    state.phase === 'down' ? Math.max(0, Math.ceil((state.retryAtMs - nowMs.value) / 1000)) : 0;
  return (
    <div class="banner red" role="alert" data-testid="disconnected">
      <b>Disconnected</b>
      <span>
        {matrix.value ? 'This is the last picture received. ' : ''}
        {waiting ? 'Reconnecting …' : `Retry in ${seconds} s`}
      </span>
      <button type="button" class="button" onClick={retryNow} disabled={waiting}>
        Retry now
      </button>
    </div>
  );
}

function ProblemBanner() {
  const p = problem.value;
  if (!p || view.value !== 'picture' || link.value.phase === 'down') return null;
  return (
    <div class="banner red" role="alert" data-testid="problem">
      <b>{p.title}</b>
      <span>{p.detail}</span>
      <button type="button" class="button" onClick={askAgain}>
        Try again
      </button>
    </div>
  );
}

function StaleBanner() {
  if (!stale.value || view.value !== 'picture' || link.value.phase === 'down') return null;
  const late = (status.value?.exchanges ?? []).filter((row) => row.state !== 'live');
  return (
    <div class="banner amber" role="status" data-testid="stale">
      <b>Stale</b>
      <span>
        The last data are {formatAge(ageMs.value ?? 0)} old
        {late.length > 0 ? ` (${late.map((row) => `${row.exchange}: ${row.state}`).join(', ')})` : ''}.
      </span>
    </div>
  );
}

function PartialBanner() {
  const s = status.value;
  if (!s || view.value !== 'picture' || s.columns === 0 || s.columns >= s.columns_wanted) return null;
  if (s.collecting_since_ms === null) return null;
  return (
    <div class="banner plain" data-testid="partial">
      <span>
        {recorded.value ? 'Recorded' : 'Collecting'} since{' '}
        {formatTime(s.collecting_since_ms, zone.value)} · {s.columns} of{' '}
        {s.columns_wanted} columns of {formatStep(s.step_ms)}
      </span>
    </div>
  );
}

/** A hairline at the top while another picture is on its way. */
export function Busy() {
  const asked = wanted.value?.key;
  if (!asked || asked === shown.value || view.value !== 'picture' || problem.value) return null;
  return <div class="busy" role="progressbar" aria-label="Loading" />;
}

/**
 * Everything the page can be besides well: loading, empty, stale, disconnected, made up.
 *
 * One overlay fills the chart's place when there is no picture; banners lie over a picture
 * which is not what it seems. The chart's box never changes size.
 */

import { formatAge, formatStep } from '../format';
import { formatTime } from '../engine/axis';
import { nowMs } from '../state/page';
import { usePanel } from './context';
import { lazy } from './lazy';

export function ModeBadge() {
  const p = usePanel();
  if (p.mode.value === 'simulated') {
    return (
      <span class="badge simulated" title="A made-up market: no real prices, no real positions">
        SIMULATED
      </span>
    );
  }
  if (p.mode.value === 'replay') {
    if (p.recorded.value) {
      return (
        <span class="badge recorded" title={p.status.value?.note || 'Data of the past; nothing is collecting'}>
          RECORDED
        </span>
      );
    }
    const speed = p.status.value?.replay_speed;
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
  const p = usePanel();
  if (p.mode.value !== 'simulated' || p.view.value !== 'picture') return null;
  return (
    <div class="watermark" aria-hidden="true">
      SIMULATED
    </div>
  );
}

export function Overlay() {
  const p = usePanel();
  switch (p.view.value) {
    case 'loading':
      return <Skeleton />;
    case 'empty':
      return <Card of="empty" />;
    case 'error':
      return <Card of="error" />;
    default:
      return null;
  }
}

const loadCard = () => import('./Cards').then((m) => m.Card);
/** Fetched with the page's other late parts: when it is needed, the server may be gone. */
const Card = lazy(loadCard, Skeleton);
window.addEventListener('load', () => window.setTimeout(() => void loadCard().catch(() => undefined), 500));

function Skeleton() {
  const p = usePanel();
  const asleep = p.link.value.phase === 'down';
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
          : `Loading ${p.symbol.value.split(':').pop() || 'instruments'} …`}
      </p>
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
  const p = usePanel();
  const state = p.link.value;
  const waiting = state.phase === 'connecting' && state.attempt > 0;
  if (state.phase !== 'down' && !waiting) return null;
  const seconds =
    state.phase === 'down' ? Math.max(0, Math.ceil((state.retryAtMs - nowMs.value) / 1000)) : 0;
  return (
    <div class="banner red" role="alert" data-testid="disconnected">
      <b>Disconnected</b>
      <span>
        {p.matrix.value ? 'This is the last picture received. ' : ''}
        {waiting ? 'Reconnecting …' : `Retry in ${seconds} s`}
      </span>
      <button type="button" class="button" onClick={() => p.retryNow()} disabled={waiting}>
        Retry now
      </button>
    </div>
  );
}

function ProblemBanner() {
  const p = usePanel();
  const failed = p.problem.value;
  if (!failed || p.view.value !== 'picture' || p.link.value.phase === 'down') return null;
  return (
    <div class="banner red" role="alert" data-testid="problem">
      <b>{failed.title}</b>
      <span>{failed.detail}</span>
      <button type="button" class="button" onClick={() => p.askAgain()}>
        Try again
      </button>
    </div>
  );
}

function StaleBanner() {
  const p = usePanel();
  if (!p.stale.value || p.view.value !== 'picture' || p.link.value.phase === 'down') return null;
  if (p.asOfMs.value !== null) return null; // the past is meant to be old
  const late = (p.status.value?.exchanges ?? []).filter((row) => row.state !== 'live');
  return (
    <div class="banner amber" role="status" data-testid="stale">
      <b>Stale</b>
      <span>
        The last data are {formatAge(p.ageMs.value ?? 0)} old
        {late.length > 0 ? ` (${late.map((row) => `${row.exchange}: ${row.state}`).join(', ')})` : ''}.
      </span>
    </div>
  );
}

function PartialBanner() {
  const p = usePanel();
  const s = p.status.value;
  if (!s || p.view.value !== 'picture' || s.columns === 0 || s.columns >= s.columns_wanted) return null;
  if (s.collecting_since_ms === null || p.asOfMs.value !== null) return null;
  return (
    <div class="banner plain" data-testid="partial">
      <span>
        {p.recorded.value ? 'Recorded' : 'Collecting'} since{' '}
        {formatTime(s.collecting_since_ms, p.query.value.zone)} · {s.columns} of{' '}
        {s.columns_wanted} columns of {formatStep(s.step_ms)}
      </span>
    </div>
  );
}

/** A hairline at the top while another picture is on its way. */
export function Busy() {
  const p = usePanel();
  const asked = p.wanted.value?.key;
  if (!asked || asked === p.shown.value || p.view.value !== 'picture' || p.problem.value) return null;
  return <div class="busy" role="progressbar" aria-label="Loading" />;
}

/** Everything the map page can be besides well: loading, empty, failed, old. */

import { formatTime } from '../../engine/axis';
import { formatAge } from '../../format';
import { dialog, instruments, nowMs } from '../../state/page';
import type { MapModel } from './model';

/** Bars where bars will be: the page does not jump when they come. */
const HEIGHTS = [22, 38, 61, 44, 30, 52, 34, 18, 9, 0, 8, 20, 36, 28, 58, 72, 49, 40, 26, 33];

function Skeleton({ m }: { m: MapModel }) {
  const name = m.panel.symbol.value.split(':').pop() || 'instruments';
  return (
    <div class="overlay skeleton" data-testid="skeleton">
      <div class="ghost" aria-hidden="true">
        {HEIGHTS.map((height, k) => (
          <i key={k} style={{ height: `${height}%` }} />
        ))}
      </div>
      <p role="status">Loading the map of {name} …</p>
    </div>
  );
}

function Failed({ m }: { m: MapModel }) {
  const problem = m.poll.problem.value!;
  const seconds = Math.max(0, Math.ceil((m.poll.retryAtMs.value - nowMs.value) / 1000));
  return (
    <div class="overlay" data-testid="map-error" role="alert">
      <div class="card error">
        <h2>{problem.title}</h2>
        {problem.detail && <p>{problem.detail}</p>}
        <p class="muted">
          {problem.status > 0 ? `Status ${problem.status}` : 'No answer'}
          {problem.field ? ` · field ${problem.field}` : ''}
          {problem.request_id ? ` · request ${problem.request_id}` : ''}
          {` · ${formatTime(nowMs.peek(), 'utc', 'second')} UTC · again in ${seconds} s`}
        </p>
        <button type="button" class="button primary" onClick={() => m.poll.retry()}>
          Try again
        </button>
      </div>
    </div>
  );
}

function Empty({ title, text }: { title: string; text: string }) {
  return (
    <div class="overlay" data-testid="map-empty">
      <div class="card">
        <h2>{title}</h2>
        <p class="muted">{text}</p>
        <button type="button" class="button" onClick={() => (dialog.value = 'symbols')}>
          Choose another contract
        </button>
      </div>
    </div>
  );
}

export function MapOverlay({ m }: { m: MapModel }) {
  const map = m.map.value;
  if (map && map.pains.length === 0) {
    return <Empty title="No levels in this map" text="Nothing rests within the prices shown. A longer range may show more." />;
  }
  if (map) return null;
  if (instruments.value?.length === 0) {
    return <Empty title="No contracts yet" text="The map appears by itself once the server has data." />;
  }
  if (m.poll.problem.value) return <Failed m={m} />;
  return <Skeleton m={m} />;
}

function ProblemBanner({ m }: { m: MapModel }) {
  const problem = m.poll.problem.value;
  if (!problem || !m.map.value) return null;
  const seconds = Math.max(0, Math.ceil((m.poll.retryAtMs.value - nowMs.value) / 1000));
  return (
    <div class="banner red" role="alert" data-testid="map-problem">
      <b>{problem.title}</b>
      <span>
        {problem.detail ? `${problem.detail}. ` : ''}This is the last map received,{' '}
        {formatAge(nowMs.value - m.poll.heardMs.value)} ago; again in {seconds} s
        {problem.request_id ? ` · request ${problem.request_id}` : ''}
      </span>
      <button type="button" class="button" onClick={() => m.poll.retry()}>
        Retry now
      </button>
    </div>
  );
}

function StaleBanner({ m }: { m: MapModel }) {
  if (!m.stale.value || m.poll.problem.value) return null;
  const late = (m.panel.status.value?.exchanges ?? []).filter((row) => row.state !== 'live');
  return (
    <div class="banner amber" role="status" data-testid="stale">
      <b>Stale</b>
      <span>
        The last data are {formatAge(m.ageMs.value ?? 0)} old
        {late.length > 0 ? ` (${late.map((row) => `${row.exchange}: ${row.state}`).join(', ')})` : ''}.
      </span>
    </div>
  );
}

/** What must be said beside the numbers: scale and what is measured. */
export function Notes({ m }: { m: MapModel }) {
  const reply = m.reply.value;
  if (!reply) return null;
  const percent = (share: number): string => `${Math.round(share * 100)} %`;
  const { measured_share_long: long, measured_share_short: short, measured_age_ms: age } = reply;
  const measured = long > 0 || short > 0;
  const relative = reply.quality.usd_scale === 'relative';
  if (!measured && !relative) return null;
  return (
    <div class="map-notes" data-testid="map-notes">
      {relative && <b>Relative scale: read sizes against each other, not as USD.</b>}
      {measured && (
        <span>
          Measured: {percent(long)} of longs', {percent(short)} of shorts' open interest
          {age === null ? '' : `, ${formatAge(age)} old`}.
        </span>
      )}
    </div>
  );
}

export function MapBanners({ m }: { m: MapModel }) {
  return (
    <>
      {m.poll.busy.value && m.map.value && <div class="busy" role="progressbar" aria-label="Loading" />}
      <div class="banners">
        <ProblemBanner m={m} />
        <StaleBanner m={m} />
      </div>
    </>
  );
}

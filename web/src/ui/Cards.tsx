/** What stands in the picture's place when there is none: no data yet, or an error. */

import { formatTime } from '../engine/axis';
import { dialog, instruments, nowMs } from '../state/page';
import { usePanel } from './context';

export function Card({ of }: { of: 'empty' | 'error' }) {
  return of === 'empty' ? <Empty /> : <ErrorCard />;
}

function Progress() {
  const p = usePanel();
  const s = p.status.value;
  if (!s || s.collecting_since_ms === null) return null;
  return (
    <p>
      Collecting since {formatTime(s.collecting_since_ms, p.query.value.zone)}
      {s.columns_wanted > 0 ? `, ${s.columns} of ${s.columns_wanted} columns` : ''}.
    </p>
  );
}

function Empty() {
  const p = usePanel();
  const none = instruments.value?.length === 0;
  return (
    <div class="overlay" data-testid="empty">
      <div class="card">
        <h2>{none ? 'No contracts yet' : `No data yet for ${p.symbol.value}`}</h2>
        <Progress />
        {p.status.value?.note && <p>{p.status.value.note}</p>}
        <p class="muted">
          {none
            ? 'The server has no instruments. Start it with `liqheat up` to collect, with `liqheat up --offline` for a simulated market, or bring your own bars:'
            : 'The picture appears by itself with the first completed step. To have history at once, bring your own bars:'}
        </p>
        <pre>liqheat import bars.parquet</pre>
        {!none && (
          <button type="button" class="button" onClick={() => (dialog.value = 'symbols')}>
            Choose another contract
          </button>
        )}
      </div>
    </div>
  );
}

function ErrorCard() {
  const p = usePanel();
  const failed = p.problem.value!;
  return (
    <div class="overlay" data-testid="error" role="alert">
      <div class="card error">
        <h2>{failed.title}</h2>
        {failed.detail && <p>{failed.detail}</p>}
        <p class="muted">
          {failed.status > 0 ? `Status ${failed.status}` : 'No answer'}
          {failed.field ? ` · field ${failed.field}` : ''}
          {` · ${formatTime(nowMs.peek(), 'utc', 'second')} UTC`}
          {failed.request_id && (
            <>
              {' · request '}
              <code title="The server's log has this id">{failed.request_id}</code>
            </>
          )}
        </p>
        <button type="button" class="button primary" onClick={() => p.askAgain()}>
          Try again
        </button>
      </div>
    </div>
  );
}

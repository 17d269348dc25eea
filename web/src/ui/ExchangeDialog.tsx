/** Of a coin: which exchanges are added up, how fresh each is, and why one is not there. */

import { formatAge } from '../format';
import type { ExchangeStatus } from '../net/ws';
import { switched } from '../state/query';
import { usePanel } from './context';
import { Dialog } from './Dialog';

/** "live, 2 s old", "down: connection refused", "no data yet". */
function state({ state: word, age_ms, detail }: ExchangeStatus): string {
  const age = age_ms === null ? 'no data' : `${formatAge(age_ms)} old`;
  return `${word}, ${age}${detail ? `: ${detail}` : ''}`;
}

function Row({ row, all, shown }: { row: ExchangeStatus; all: readonly string[]; shown: readonly string[] }) {
  const p = usePanel();
  const { exchange } = row;
  const on = shown.includes(exchange);
  const only = on && shown.length === 1;
  const empty = row.age_ms === null;
  return (
    <li class={row.state} data-exchange={exchange}>
      <label class="check">
        <input
          type="checkbox"
          checked={on}
          disabled={empty || only}
          onChange={() => p.set({ exchanges: switched(shown, all, exchange) }, 'push')}
        />
        <b>{exchange}</b>
      </label>
      <span class="muted">{state(row)}</span>
      {!empty && !only && all.length > 1 && (
        <button
          type="button"
          class="button"
          aria-label={`Only ${exchange}`}
          onClick={() => p.set({ exchanges: exchange }, 'push')}
        >
          Only
        </button>
      )}
    </li>
  );
}

export function ExchangeDialog() {
  const p = usePanel();
  const rows = p.status.value?.exchanges ?? [];
  const held = rows.filter((row) => row.age_ms !== null);
  const all = held.map((row) => row.exchange);
  const shown = held.filter((row) => row.included !== false).map((row) => row.exchange);
  return (
    <Dialog name="exchanges" title="Exchanges added up" class="aside">
      {rows.length === 0 && <p class="muted">Nothing is known of them yet.</p>}
      <ul class="exchange-rows">
        {rows.map((row) => (
          <Row key={row.exchange} row={row} all={all} shown={shown} />
        ))}
      </ul>
      <div class="row">
        <button
          type="button"
          class="button"
          data-name="all-exchanges"
          disabled={shown.length === all.length}
          onClick={() => p.set({ exchanges: '' }, 'push')}
        >
          All
        </button>
        <span class="muted">
          {shown.length} of {all.length} with data are in the picture
        </span>
      </div>
    </Dialog>
  );
}

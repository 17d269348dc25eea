/** What stands below the last row of the feed: more, why there is none, or what went wrong. */

import type { FeedStore } from '../state/feed';
import { setFeedPrefs } from '../state/feedprefs';
import { usePanel } from './context';

function Problem({ store }: { store: FeedStore }) {
  const p = store.problem.value;
  if (!p) return null;
  return (
    <div class="feed-end" role="alert" data-testid="feed-problem">
      <p>
        <b>Older liquidations could not be read.</b> {p.detail ?? p.title}
      </p>
      <button type="button" class="button" onClick={() => void store.readNewest()}>
        Try again
      </button>
    </div>
  );
}

/** Nothing to show: the reason, and what would change it. */
function Nothing({ store }: { store: FeedStore }) {
  const p = usePanel();
  void store.revision.value;
  const { side, minUsd, hidden } = store.filter.value;
  const filtered = side !== 'all' || minUsd > 0 || hidden.length > 0;
  if (store.busy.value !== null) return <p class="feed-end">Reading the liquidations …</p>;
  if (p.status.value?.coverage['liquidations'] === false) {
    const many = p.isCoin.value;
    return (
      <p class="feed-end" data-testid="feed-none">
        {many ? 'None of these exchanges publishes' : 'This exchange does not publish'} its liquidations. The map is
        made without them.
      </p>
    );
  }
  if (p.link.value.phase === 'down') {
    return <p class="feed-end">No connection to the server: liquidations appear once it is back.</p>;
  }
  if (!filtered) {
    return (
      <p class="feed-end">
        {store.hasOlder ? 'No liquidations since the feed was opened.' : 'No liquidations in this window.'}
      </p>
    );
  }
  return (
    <div class="feed-end">
      <p>None of what was recorded passes the filters.</p>
      <button
        type="button"
        class="button"
        onClick={() => setFeedPrefs({ side: 'all', minUsd: 0, hidden: [] })}
      >
        Show all
      </button>
    </div>
  );
}

export function FeedEnd({ store, rows }: { store: FeedStore; rows: number }) {
  void store.revision.value;
  if (store.problem.value) return <Problem store={store} />;
  const busy = store.busy.value === 'older';
  const older = store.hasOlder && (
    <button type="button" class="button" disabled={busy} data-testid="feed-older" onClick={() => void store.readOlder()}>
      {busy ? 'Reading …' : 'Older'}
    </button>
  );
  if (rows === 0) {
    return (
      <>
        <Nothing store={store} />
        {!busy && older && <div class="feed-end">{older}</div>}
      </>
    );
  }
  if (older) return <div class="feed-end">{store.canGrow ? older : 'No more rows are kept here.'}</div>;
  return store.busy.value === null ? <p class="feed-end">Nothing older is recorded.</p> : null;
}

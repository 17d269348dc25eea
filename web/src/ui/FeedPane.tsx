/**
 * The feed's place on the page and its switch. The place has its width before the feed itself
 * is fetched, so that nothing moves when it comes.
 */

import { FEED_WIDTH, prefs } from '../state/prefs';
import { usePanel } from './context';
import { FeedIcon } from './icons';
import { lazy } from './lazy';

const Feed = lazy(() => import('./Feed').then((m) => m.Feed));

export function FeedPane() {
  if (!usePanel().query.value.feed) return null;
  const { width, tall } = prefs.value.feed;
  const place = { class: tall ? 'feed tall' : 'feed', style: { '--feed-width': `${width ?? FEED_WIDTH}px` } };
  return (
    <aside id="feed" {...place} aria-label="Feed of realised liquidations">
      <Feed />
    </aside>
  );
}

export function FeedButton({ text }: { text?: string }) {
  const p = usePanel();
  const on = p.query.value.feed;
  return (
    <button
      type="button"
      class={text ? 'button' : 'icon'}
      data-name="feed"
      aria-pressed={on}
      aria-label={text ? undefined : 'Feed of liquidations (F)'}
      title="Feed of realised liquidations (F)"
      onClick={() => p.set({ feed: !on }, 'push')}
    >
      <FeedIcon /> {text}
    </button>
  );
}

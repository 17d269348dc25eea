/** The page on the whole screen, where the browser lets it: not on phones of every maker. */

import { announcement } from '../state/page';

export function toggleFullscreen(): void {
  const done = document.fullscreenElement
    ? document.exitFullscreen()
    : (document.documentElement.requestFullscreen?.() ?? Promise.reject(new Error('not supported')));
  done.catch((error: unknown) => {
    announcement.value = `The browser does not give the whole screen: ${String(error)}`;
  });
}

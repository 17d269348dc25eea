/** Parts of the page which are fetched when they are first shown: the first picture comes sooner. */

import type { FunctionComponent } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/**
 * A component out of a chunk of its own; `Meanwhile`, or nothing, until it is there. A chunk which cannot be
 * fetched (the server was updated under an open page) says so instead of staying blank.
 */
export function lazy<P extends object>(
  load: () => Promise<FunctionComponent<P>>,
  Meanwhile?: FunctionComponent,
): FunctionComponent<P> {
  let known: FunctionComponent<P> | null = null;
  return function Lazy(props: P) {
    const [Part, setPart] = useState<FunctionComponent<P> | null>(() => known);
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (known) return;
      load().then(
        (part) => setPart(() => (known = part)),
        () => setFailed(true),
      );
    }, []);
    if (failed) return <p role="alert">This part of the page could not be fetched. Reload the page.</p>;
    if (Part) return <Part {...props} />;
    return Meanwhile ? <Meanwhile /> : null;
  };
}

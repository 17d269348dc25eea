/**
 * The sub-panes of a panel: hangs them on its chart, and lays a legend's line over each.
 *
 * A chunk of its own: fetched when a panel shows a sub-pane for the first time.
 */

import { useEffect, useMemo } from 'preact/hooks';

import { formatTime } from '../engine/axis';
import type { PaneKind } from '../engine/paneKinds';
import type { PanePlace } from '../engine/panes';
import { formatPrice } from '../format';
import { toggleSubpane } from '../state/paneChoice';
import type { Panel } from '../state/panel';
import { Subpanes } from '../state/subpanes';
import { usePanel } from './context';
import { Close } from './icons';
import { PANE_TEXT, readingAt, strengthAt, type Part } from './paneText';
import '../subpanes.css';

/** The column under the crosshair; null beside the columns. */
function columnAt(panes: Subpanes): number | null {
  const hover = panes.hover.value;
  return hover && hover.column >= 0 ? hover.column : null;
}

function partsOf(p: Panel, panes: Subpanes, kind: PaneKind): readonly Part[] | null {
  const t = columnAt(panes);
  if (kind === 'rsi') {
    const lead = p.isCoin.value ? (p.status.value?.candles_of ?? null) : null;
    return panes.strength.value && strengthAt(panes.strength.value, lead, t);
  }
  const series = panes.feed.series.value;
  const columns = panes.columns.value;
  return series && columns && readingAt(kind, { series, columns, coin: p.isCoin.value }, t);
}

function Values({ parts }: { parts: readonly Part[] }) {
  return (
    <>
      {parts.map(({ text, tone, title }) => (
        <span key={text} class={tone ?? ''} title={title}>
          {text}
        </span>
      ))}
    </>
  );
}

/** Values, or why there are none. */
function Reading({ panes, kind }: { panes: Subpanes; kind: PaneKind }) {
  const p = usePanel();
  const series = panes.feed.series.value;
  const problem = panes.feed.problem.value;
  const parts = partsOf(p, panes, kind);
  if (parts) return <Values parts={parts} />;
  if (kind === 'rsi' || series) {
    return (
      <span class="note" title={series?.notes.join('\n')}>
        {PANE_TEXT[kind].none}
      </span>
    );
  }
  if (!problem) return <span class="note">loading …</span>;
  return (
    <span class="error" role="alert">
      {problem.title}
      <button type="button" class="link" onClick={() => panes.feed.retry()}>
        Retry
      </button>
    </span>
  );
}

function PaneLegend({ panes, place }: { panes: Subpanes; place: PanePlace }) {
  const p = usePanel();
  const { name, line } = PANE_TEXT[place.kind];
  // Values are there, but newer ones do not come.
  const late = panes.feed.series.value && panes.feed.problem.value && place.kind !== 'rsi';
  return (
    <div
      class={columnAt(panes) === null ? 'pane-legend' : 'pane-legend at-cursor'}
      data-pane={place.kind}
      style={{ top: `${place.top + 2}px` }}
    >
      <b title={line}>{name}</b>
      <Reading panes={panes} kind={place.kind} />
      {late && (
        <span class="error" title={panes.feed.problem.value?.title}>
          not updated
        </span>
      )}
      <button
        type="button"
        class="icon"
        aria-label={`Close ${name}`}
        title={`Close ${name}`}
        onClick={() => toggleSubpane(p, place.kind)}
      >
        <Close />
      </button>
    </div>
  );
}

/** Widths of the reading with four prices and with the close alone, and what the first needs [CSS px]. */
const TIP_WIDTH = 500;
const TIP_NARROW = 250;
const TIP_WIDE = 560;

/** The pointer is on a sub-pane: the heat has a time to read there, and no price. */
function TimeTip({ panes }: { panes: Subpanes }) {
  const p = usePanel();
  void p.revision.value;
  const m = p.matrix.value;
  const hover = panes.hover.value;
  const first = panes.places.value[0];
  if (!m || !first || !hover || hover.pane === 0 || hover.column < 0 || hover.column >= m.width) return null;
  const { zone } = p.query.value;
  const { open, high, low, close } = m.candles;
  const decimals = p.chart.value?.priceDecimals ?? 2;
  const width = p.chart.value?.paneSize().width ?? 0;
  const wide = width >= TIP_WIDE;
  // Inside of the pane, also of a small one; what does not fit there is left out.
  const left = Math.max(4, Math.min(hover.x + 10, width - (wide ? TIP_WIDTH : TIP_NARROW)));
  const cells = [['O', open], ['H', high], ['L', low], ['C', close]] as const;
  return (
    <div
      class="tip pane-tip"
      data-testid="time-tip"
      style={{ left: `${left}px`, bottom: `calc(100% - ${first.top - 6}px)` }}
    >
      <span class="tip-time">
        {formatTime(m.timeMs(hover.column), zone)}
        {zone === 'utc' ? ' UTC' : ''}
      </span>
      {m.isGap(hover.column) ? (
        <span class="note">no data in this step</span>
      ) : (
        cells.slice(wide ? 0 : 3).map(([name, values]) => (
          <span key={name}>
            <i>{name}</i> {formatPrice(values[hover.column], decimals)}
          </span>
        ))
      )}
    </div>
  );
}

export function SubPanes() {
  const p = usePanel();
  const panes = useMemo(() => new Subpanes(p), [p]);
  useEffect(() => panes.start(), [panes]);
  return (
    <>
      {panes.places.value.map((place) => (
        <PaneLegend key={place.kind} panes={panes} place={place} />
      ))}
      <TimeTip panes={panes} />
    </>
  );
}

/**
 * The reading at the cursor, and at a pinned cell.
 *
 * Upper part: the cell, as it was at that time. Lower part: from the price now to the
 * cursor's price, on the newest column. The two are kept apart because a level of the past
 * may have been swept since. A chunk of its own: needed once a cursor moves.
 */

import { useCallback, useRef, useState } from 'preact/hooks';

import { formatTime } from '../engine/axis';
import type { cellAt } from '../engine/levels';
import type { HeatMatrix } from '../engine/matrix';
import type { Bubble } from '../engine/tape';
import { formatFullUsd, formatPercent, formatPrice, formatUsd } from '../format';
import type { Exact } from '../state/exact';
import type { Panel } from '../state/panel';
import { usePanel } from './context';
import { Close } from './icons';
import { CellReading, ProfileReading } from './Reading';
import { SIDE_TEXT, describe } from './words';

const MARGIN = 14;

function Candle(props: { m: HeatMatrix; column: number; decimals: number }) {
  const { m, column, decimals } = props;
  if (column >= m.width || column < 0) return null;
  if (m.isGap(column)) return <div class="tip-gap">no data in this step</div>;
  const c = m.candles;
  const cells = [
    ['O', c.open],
    ['H', c.high],
    ['L', c.low],
    ['C', c.close],
  ] as const;
  return (
    <dl class="tip-ohlc">
      {cells.map(([name, series]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{formatPrice(series[column], decimals)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The exact figure once it is there, with its details; else what the color says. */
function Cell(props: { m: HeatMatrix; cell: ReturnType<typeof cellAt>; usd: string | null; sure: Exact | null }) {
  const { m, cell, usd, sure } = props;
  const known = cell && sure && sure.bin === cell.bin && sure.timeMs === m.timeMs(cell.column);
  if (known) {
    const sides = (['long', 'short'] as const).filter((side) => sure[`${side}Usd`] >= 0.5);
    return (
      <>
        <div class="tip-cell" data-testid="exact">
          {sides.map((side) => (
            <div key={side} class={side}>
              <b>{formatFullUsd(sure[`${side}Usd`])}</b> {SIDE_TEXT[side]}
            </div>
          ))}
          {sides.length === 0 && <span class="muted">no level here</span>}
        </div>
        {sides.length > 0 && <CellReading m={m} sure={sure} />}
      </>
    );
  }
  return (
    <div class={`tip-cell ${cell && usd ? cell.side : ''}`}>
      {cell && usd ? (
        <>
          <b>{usd}</b> {SIDE_TEXT[cell.side]}
        </>
      ) : (
        <span class="muted">{cell ? 'no level here' : 'outside of the map'}</span>
      )}
    </div>
  );
}

function Liquidated(props: { bubble: Bubble }) {
  const { usd, side, count } = props.bubble;
  return (
    <div class={`tip-way ${side}`} data-testid="liquidated">
      <span>liquidated{count > 1 ? ` ×${count}` : ''}</span>
      <b>
        {formatUsd(usd)} {side}s
      </b>
    </div>
  );
}

interface At {
  readonly m: HeatMatrix;
  readonly column: number;
  readonly price: number;
  readonly sure: Exact | null;
  readonly bubble?: Bubble | null | undefined;
}

function Body({ m, column, price, sure, bubble }: At) {
  const p = usePanel();
  const { zone } = p.query.value;
  const last = p.lastPrice.value;
  const decimals = p.chart.value?.priceDecimals ?? 2;
  const { cell, usd, way, waySide, distance } = describe(m, column, price, last);
  const future = column >= m.width;
  return (
    <>
      <div class="tip-price">
        <strong>{formatPrice(price, decimals)}</strong>
        <span class="tip-distance">{formatPercent(distance)}</span>
      </div>
      <div class="tip-time">
        {future ? (p.asOfMs.value === null ? 'newest column' : 'the map of then') : formatTime(m.timeMs(column), zone)}
        {!future && zone === 'utc' ? ' UTC' : ''}
      </div>
      <Candle m={m} column={column} decimals={decimals} />
      <Cell m={m} cell={cell} usd={usd} sure={sure} />
      {bubble && <Liquidated bubble={bubble} />}
      <div class={`tip-way ${waySide}`}>
        <span>{p.asOfMs.value === null ? 'now' : 'then'} → here</span>
        <b>
          {way > 0 ? '~' : ''}
          {formatUsd(way)} {waySide}s
        </b>
      </div>
    </>
  );
}

/** On a narrow pane a finger covers the cursor: the reading goes to the other upper corner. */
const NARROW = 600;

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Where a box goes which tells of a point, so that it covers neither the point nor the edge. */
function place(p: Panel, x: number, y: number, box: Size): Record<string, string> {
  const pane = p.chart.value?.paneSize() ?? { width: 800, height: 600 };
  const right = Math.max(4, pane.width - box.width - 8);
  const low = Math.max(4, pane.height - box.height - 8);
  if (pane.width < NARROW) {
    const top = y < box.height + 60 ? low : Math.min(40, low);
    return { left: `${x < pane.width / 2 ? right : 8}px`, top: `${top}px` };
  }
  const left = x + MARGIN + box.width > pane.width ? x - MARGIN - box.width : x + MARGIN;
  const top = y + MARGIN + box.height > pane.height ? y - MARGIN - box.height : y + MARGIN;
  return { left: `${Math.max(4, left)}px`, top: `${Math.max(4, Math.min(top, low))}px` };
}

const FIRST_SIZE: Size = { width: 216, height: 176 };

/** The size of an element as it is now: its contents come in pieces. */
function useSize(): readonly [Size, (element: HTMLElement | null) => void] {
  const [size, setSize] = useState(FIRST_SIZE);
  const observer = useRef<ResizeObserver | null>(null);
  const ref = useCallback((element: HTMLElement | null) => {
    observer.current?.disconnect();
    if (!element) return;
    observer.current = new ResizeObserver(() => {
      setSize({ width: element.offsetWidth, height: element.offsetHeight });
    });
    observer.current.observe(element);
  }, []);
  return [size, ref];
}

function CursorTooltip() {
  const p = usePanel();
  void p.revision.value;
  const m = p.matrix.value;
  const at = p.cursor.value;
  const [size, ref] = useSize();
  if (!m || m.width === 0 || !at || at.column < 0 || p.isPinned(at)) return null;
  const chart = p.chart.value;
  const profile = chart?.profileAt(at.x);
  return (
    <div ref={ref} class="tip" data-testid="tooltip" style={place(p, at.x, at.y, size)}>
      {profile ? (
        <ProfileReading profile={profile} m={m} price={at.price} />
      ) : (
        <Body m={m} column={at.column} price={at.price} sure={p.exact.value} bubble={chart?.bubbleAt(at.x, at.y)} />
      )}
    </div>
  );
}

function PinnedTooltip() {
  const p = usePanel();
  void p.revision.value;
  const m = p.matrix.value;
  const pinned = p.pin.value;
  if (!m || m.width === 0 || !pinned) return null;
  return (
    <div class="tip pinned" data-testid="pinned">
      <button type="button" class="icon" aria-label="Unpin" onClick={() => (p.pin.value = null)}>
        <Close />
      </button>
      <Body m={m} column={m.columnOf(pinned.timeMs)} price={pinned.price} sure={p.exactPin.value} />
    </div>
  );
}

/** The readings of a panel: at its cursor, and at its pin. */
export function Tooltips() {
  return (
    <>
      <CursorTooltip />
      <PinnedTooltip />
    </>
  );
}

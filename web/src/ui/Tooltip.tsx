/**
 * The reading at the cursor, and at a pinned cell.
 *
 * Upper part: the cell, as it was at that time. Lower part: from the price now to the
 * cursor's price, on the newest column. The two are kept apart because a level of the past
 * may have been swept since.
 */

import { formatTime } from '../engine/axis';
import { cellAt, usdBetween } from '../engine/levels';
import type { HeatMatrix, Side } from '../engine/matrix';
import type { Bubble } from '../engine/tape';
import { formatFullUsd, formatPercent, formatPrice, formatUsd } from '../format';
import type { Panel } from '../state/panel';
import { usePanel } from './context';
import { Close } from './icons';

const MARGIN = 14;
const WIDTH = 216;
const HEIGHT = 176;

export const SIDE_TEXT: Record<Side, string> = { long: '▼ longs', short: '▲ shorts' };

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

/** What the cursor's cell and way hold, in words; also what a screen reader is told. */
export function describe(m: HeatMatrix, column: number, price: number, last: number) {
  const cell = cellAt(m, column, price);
  const at = Math.max(0, Math.min(column, m.width - 1));
  const usd = cell && cell.usd > 0 ? `~${formatUsd(cell.usd)}` : null;
  const way = usdBetween(m, last, price);
  const waySide: Side = price < last ? 'long' : 'short';
  return { cell, at, usd, way, waySide, distance: price / last - 1 };
}

/** The exact figure once it is there, else what the color says. */
function Cell(props: { m: HeatMatrix; cell: ReturnType<typeof cellAt>; usd: string | null }) {
  const { m, cell, usd } = props;
  const sure = usePanel().exact.value;
  const known = cell && sure && sure.bin === cell.bin && sure.timeMs === m.timeMs(cell.column);
  if (known) {
    const sides = (['long', 'short'] as const).filter((side) => sure[`${side}Usd`] >= 0.5);
    return (
      <div class="tip-cell" data-testid="exact">
        {sides.map((side) => (
          <div key={side} class={side}>
            <b>{formatFullUsd(sure[`${side}Usd`])}</b> {SIDE_TEXT[side]}
          </div>
        ))}
        {sides.length === 0 && <span class="muted">no level here</span>}
      </div>
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

function Body(props: { m: HeatMatrix; column: number; price: number; bubble?: Bubble | null | undefined }) {
  const { m, column, price, bubble } = props;
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
        {future ? 'newest column' : `${formatTime(m.timeMs(column), zone)}`}
        {!future && zone === 'utc' ? ' UTC' : ''}
      </div>
      <Candle m={m} column={column} decimals={decimals} />
      <Cell m={m} cell={cell} usd={usd} />
      {bubble && <Liquidated bubble={bubble} />}
      <div class={`tip-way ${waySide}`}>
        <span>now → here</span>
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

function place(p: Panel, x: number, y: number): Record<string, string> {
  const pane = p.chart.value?.paneSize() ?? { width: 800, height: 600 };
  if (pane.width < NARROW) {
    const top = y < HEIGHT + 60 ? `${pane.height - HEIGHT - 8}px` : '40px';
    return x < pane.width / 2 ? { left: `${pane.width - 200}px`, top } : { left: '8px', top };
  }
  const left = x + MARGIN + WIDTH > pane.width ? x - MARGIN - WIDTH : x + MARGIN;
  const top = y + MARGIN + HEIGHT > pane.height ? y - MARGIN - HEIGHT : y + MARGIN;
  return { left: `${Math.max(4, left)}px`, top: `${Math.max(4, top)}px` };
}

export function Tooltip() {
  const p = usePanel();
  void p.revision.value;
  const m = p.matrix.value;
  const at = p.cursor.value;
  if (!m || m.width === 0 || !at || at.column < 0 || p.isPinned(at)) return null;
  return (
    <div class="tip" data-testid="tooltip" style={place(p, at.x, at.y)}>
      <Body
        m={m}
        column={at.column}
        price={at.price}
        bubble={p.chart.value?.bubbleAt(at.x, at.y)}
      />
    </div>
  );
}

export function PinnedTooltip() {
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
      <Body m={m} column={m.columnOf(pinned.timeMs)} price={pinned.price} />
    </div>
  );
}

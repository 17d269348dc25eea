/**
 * What stands at the cursor, in detail: measured or modelled, on which exchanges, and whether
 * they agree; and the reading of the profile.
 */

import { useEffect, useState } from 'preact/hooks';

import '../aids.css';
import { agreement, agreementText, clusterAt, type ExchangePart } from '../engine/agreement';
import { exchangeColors } from '../engine/groups';
import type { HeatMatrix } from '../engine/matrix';
import type { Profile } from '../engine/profile';
import { exchangesAt, groupsAt, originAt, type Share } from '../engine/reading';
import { formatAge, formatPercent, formatPrice, formatUsd } from '../format';
import { askCoin, coinOf } from '../state/agree';
import type { Exact } from '../state/exact';
import { theme } from '../state/theme';
import { usePanel } from './context';
import { SIDE_TEXT } from './words';

/** Rows of a split which are named; the rest is one row. */
const ROWS = 6;

function Shares(props: { rows: readonly Share[]; colors: readonly string[]; label: string }) {
  const { rows, colors, label } = props;
  const rest = rows.slice(ROWS);
  const usd = rest.reduce((sum, row) => sum + row.usd, 0);
  return (
    <ul class="tip-shares" aria-label={label} data-testid="shares">
      {rows.slice(0, ROWS).map((row, i) => (
        <li key={row.name}>
          <i style={{ background: colors[i] }} />
          <span>{row.name}</span>
          <b>{formatUsd(row.usd)}</b>
          <span class="muted">{Math.round(row.share * 100)} %</span>
        </li>
      ))}
      {rest.length > 0 && (
        <li>
          <i />
          <span>{rest.length} more</span>
          <b>{formatUsd(usd)}</b>
          <span />
        </li>
      )}
    </ul>
  );
}

function Origin({ sure }: { sure: Exact }) {
  const origin = originAt(sure.column, sure.column.measured ?? [], sure.bin);
  if (!origin) return null;
  const percent = Math.round(origin.measured * 100);
  if (percent === 0) {
    return (
      <div class="tip-origin" data-testid="origin" title="Estimated from public aggregates">
        <span class="tag">modelled</span>
      </div>
    );
  }
  const age = origin.ageMs === null ? '' : `, read ${formatAge(origin.ageMs)} ago`;
  return (
    <div class="tip-origin" data-testid="origin" title="Read from public positions">
      <span class="tag measured">measured</span> {percent} %{age}
      {percent < 100 ? '; the rest modelled' : ''}
    </div>
  );
}

type Others = { readonly parts: readonly ExchangePart[] } | 'asking' | 'failed' | 'alone';

/** The parts of the coin: those of the answer, or asked for when one exchange is shown. */
function useParts(sure: Exact, m: HeatMatrix, wanted: boolean): Others {
  const p = usePanel();
  const own = p.isCoin.value ? (sure.column.parts ?? []) : null;
  const coin = own ? null : coinOf(p);
  const [others, setOthers] = useState<Others>('asking');
  const { timeMs } = sure;
  useEffect(() => {
    if (!wanted || coin === null) return;
    let here = true;
    setOthers('asking');
    askCoin(p, m, coin, timeMs).then(
      ({ parts, price_edges }) => here && setOthers(price_edges.length === m.bins + 1 ? { parts: parts ?? [] } : 'failed'),
      () => here && setOthers('failed'),
    );
    return () => {
      here = false;
    };
  }, [p, m, coin, timeMs, wanted]);
  if (own) return { parts: own };
  return coin === null ? 'alone' : others;
}

const WORDS = {
  asking: 'asking the other exchanges …',
  failed: 'the other exchanges could not be asked',
  alone: 'this exchange only: no other has this coin here',
} as const;

function Agreement({ sure, m }: { sure: Exact; m: HeatMatrix }) {
  const p = usePanel();
  const run = clusterAt(sure.column.long_usd, sure.column.short_usd, sure.bin);
  const others = useParts(sure, m, run !== null);
  if (!run) return null;
  const decimals = p.chart.value?.priceDecimals ?? 2;
  const text = typeof others === 'string' ? WORDS[others] : agreementText(agreement(run, others.parts));
  return (
    <div class="tip-agree" data-testid="agreement">
      <span class="muted">
        cluster {formatPrice(m.edge(run.from), decimals)} – {formatPrice(m.edge(run.to), decimals)}
      </span>
      <br />
      {text}
    </div>
  );
}

/** Below the exact figure of a cell. */
export function CellReading({ sure, m }: { sure: Exact; m: HeatMatrix }) {
  const rows = exchangesAt(sure.column.parts ?? [], sure.bin);
  const coin = usePanel().isCoin.value;
  return (
    <>
      <Origin sure={sure} />
      {coin && rows.length > 0 && (
        <Shares rows={rows} colors={exchangeColors(rows.map((row) => row.name), theme.value)} label="By exchange" />
      )}
      <Agreement sure={sure} m={m} />
    </>
  );
}

/** What the profile holds at a price: now, whatever the time under the cursor. */
export function ProfileReading({ profile, m, price }: { profile: Profile; m: HeatMatrix; price: number }) {
  const p = usePanel();
  const bin = Math.floor(m.position(price));
  if (bin < 0 || bin >= m.bins) return <span class="muted">outside of the map</span>;
  const side = bin < profile.split ? 'long' : 'short';
  const rows = groupsAt(profile, bin);
  const colorOf = (name: string): string => profile.groups.find((group) => group.name === name)!.color;
  const pain = profile.pain[side];
  return (
    <>
      <div class="tip-price">
        <strong>{formatPrice(price, p.chart.value?.priceDecimals ?? 2)}</strong>
        <span class="tip-distance">{formatPercent(price / p.lastPrice.value - 1)}</span>
      </div>
      <div class="tip-time">profile of the newest column</div>
      <div class={`tip-cell ${side}`}>
        <b>~{formatUsd(profile.usd[bin])}</b> {SIDE_TEXT[side]}
      </div>
      {rows.length > 0 && <Shares rows={rows} colors={rows.map((row) => colorOf(row.name))} label="Split" />}
      <div class={`tip-way ${side}`}>
        <span>{p.asOfMs.value === null ? 'now' : 'then'} → here</span>
        <b>
          ~{formatUsd(profile.cumulative[bin])} {side}s
        </b>
      </div>
      {pain && (
        <div class="tip-way">
          <span>max pain</span>
          <b>
            {formatPrice(pain.price, p.chart.value?.priceDecimals ?? 2)} · {formatUsd(pain.usd)}
          </b>
        </div>
      )}
    </>
  );
}

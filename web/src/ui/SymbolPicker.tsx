/** Search over the instruments the server has: type, arrows, Enter. */

import { useEffect, useRef, useState } from 'preact/hooks';

import { formatAge, splitSymbol } from '../format';
import type { Instrument } from '../net/api';
import { coinsOf, dialog, instruments, nowMs, refreshInstruments, type Coin } from '../state/page';
import { active as activePanel } from '../state/panel';
import { usePanel } from './context';
import { Dialog } from './Dialog';

const SHOWN = 200;

// Spread, because the JSX types allow this role only beside a <datalist>.
const COMBOBOX = {
  role: 'combobox',
  'aria-expanded': 'true',
  'aria-controls': 'symbol-list',
} as object;

/** Every word must occur somewhere in "exchange coin contract". */
export function filterInstruments(list: readonly Instrument[], text: string): Instrument[] {
  const words = text.toLowerCase().split(/[\s:/]+/).filter(Boolean);
  return list.filter((row) => {
    const hay = `${row.instrument} ${row.coin} ${row.exchange}`.toLowerCase();
    return words.every((word) => hay.includes(word));
  });
}

/** Coins whose name has every word, "all exchanges" included. */
export function filterCoins(list: readonly Coin[], text: string): Coin[] {
  const words = text.toLowerCase().split(/[\s:/]+/).filter(Boolean);
  return list.filter((coin) => words.every((word) => `${coin.name} all exchanges`.toLowerCase().includes(word)));
}

function choose(name: string): void {
  dialog.value = null;
  activePanel.value.set({ instrument: name, exchanges: '' }, 'push');
}

function CoinRow(props: { coin: Coin; active: boolean; id: string }) {
  const { coin } = props;
  return (
    <li
      id={props.id}
      role="option"
      aria-selected={props.active}
      data-symbol={coin.name}
      onClick={() => choose(coin.name)}
    >
      <strong>{coin.coin}</strong>
      <span class="muted">{coin.simulated ? 'simulated' : 'all exchanges'}</span>
      <span class="muted history">the sum of {coin.count} contracts</span>
      <span class="kinds">
        <abbr title="added up over all exchanges">SUM</abbr>
      </span>
    </li>
  );
}

function Row(props: { row: Instrument; active: boolean; id: string }) {
  const { row } = props;
  const days = row.start_ms !== null && row.end_ms !== null ? row.end_ms - row.start_ms : 0;
  const has = (kind: string): boolean => row.kinds.includes(kind);
  return (
    <li
      id={props.id}
      role="option"
      aria-selected={props.active}
      data-symbol={row.instrument}
      onClick={() => choose(row.instrument)}
    >
      <strong>{splitSymbol(row.instrument).contract}</strong>
      <span class="muted">{row.exchange}</span>
      <span class="muted history">
        {row.bars > 0 ? `${formatAge(days)} of history` : 'no data yet'}
        {row.end_ms !== null && row.bars > 0 && ` · ${formatAge(nowMs.peek() - row.end_ms)} old`}
      </span>
      <span class="kinds">
        {has('open_interest') && <abbr title="open interest">OI</abbr>}
        {has('liquidations') && <abbr title="realised liquidations">LIQ</abbr>}
      </span>
    </li>
  );
}

export function SymbolPicker() {
  const p = usePanel();
  const [text, setText] = useState('');
  const [active, setActive] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const coins = filterCoins(coinsOf(instruments.value ?? []), text);
  const rows = filterInstruments(instruments.value ?? [], text).slice(0, SHOWN);
  const names = [...coins.map((coin) => coin.name), ...rows.map((row) => row.instrument)];
  const at = Math.min(active, Math.max(0, names.length - 1));
  const open = dialog.value === 'symbols';
  useEffect(() => {
    setText('');
    if (open) void refreshInstruments();
    const held = instruments.peek() ?? [];
    const every = [...coinsOf(held).map((coin) => coin.name), ...held.map((row) => row.instrument)];
    setActive(Math.max(0, every.indexOf(p.symbol.peek())));
  }, [open]);
  useEffect(() => list.current?.children[at]?.scrollIntoView({ block: 'nearest' }), [at]);
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === 'ArrowDown') setActive(Math.min(at + 1, names.length - 1));
    else if (event.key === 'ArrowUp') setActive(Math.max(at - 1, 0));
    else if (event.key === 'Enter' && names[at]) choose(names[at]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog name="symbols" title="Choose a contract" class="picker">
      <input
        type="search"
        autofocus
        aria-label="Search contracts"
        {...COMBOBOX}
        aria-activedescendant={names[at] ? `symbol-${at}` : undefined}
        placeholder="BTC, binance eth, …"
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setActive(0);
        }}
        onKeyDown={onKey}
      />
      <ul id="symbol-list" role="listbox" aria-label="Contracts" ref={list}>
        {coins.map((coin, i) => (
          <CoinRow key={coin.name} coin={coin} active={i === at} id={`symbol-${i}`} />
        ))}
        {rows.map((row, i) => {
          const place = coins.length + i;
          return <Row key={row.instrument} row={row} active={place === at} id={`symbol-${place}`} />;
        })}
      </ul>
      {names.length === 0 && (
        <p class="muted">{instruments.value ? 'Nothing matches.' : 'Waiting for the server …'}</p>
      )}
    </Dialog>
  );
}

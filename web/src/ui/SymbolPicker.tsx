/** Search over the instruments the server has: type, arrows, Enter. */

import { useEffect, useRef, useState } from 'preact/hooks';

import { formatAge, splitSymbol } from '../format';
import type { Instrument } from '../net/api';
import { instruments, nowMs, refreshInstruments } from '../state/live';
import { setQuery } from '../state/query';
import { panel, symbol } from '../state/view';
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

function choose(row: Instrument): void {
  panel.value = null;
  setQuery({ instrument: row.instrument }, 'push');
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
      onClick={() => choose(row)}
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
  const [text, setText] = useState('');
  const [active, setActive] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const rows = filterInstruments(instruments.value ?? [], text).slice(0, SHOWN);
  const at = Math.min(active, Math.max(0, rows.length - 1));
  const open = panel.value === 'symbols';
  useEffect(() => {
    setText('');
    if (open) void refreshInstruments();
    setActive(Math.max(0, (instruments.peek() ?? []).findIndex((r) => r.instrument === symbol.peek())));
  }, [open]);
  useEffect(() => list.current?.children[at]?.scrollIntoView({ block: 'nearest' }), [at]);
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === 'ArrowDown') setActive(Math.min(at + 1, rows.length - 1));
    else if (event.key === 'ArrowUp') setActive(Math.max(at - 1, 0));
    else if (event.key === 'Enter' && rows[at]) choose(rows[at]);
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
        aria-activedescendant={rows[at] ? `symbol-${at}` : undefined}
        placeholder="BTC, binance eth, …"
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setActive(0);
        }}
        onKeyDown={onKey}
      />
      <ul id="symbol-list" role="listbox" aria-label="Contracts" ref={list}>
        {rows.map((row, i) => (
          <Row key={row.instrument} row={row} active={i === at} id={`symbol-${i}`} />
        ))}
      </ul>
      {rows.length === 0 && (
        <p class="muted">{instruments.value ? 'Nothing matches.' : 'Waiting for the server …'}</p>
      )}
    </Dialog>
  );
}

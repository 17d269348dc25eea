/** Put another panel beside this one: every guide says to check a level on other sources. */

import { splitSymbol } from '../format';
import { dialog, instruments } from '../state/page';
import { addPanel, panels, type Panel } from '../state/panel';
import { MODELS, PANELS_MOST, RANGES, type Query } from '../state/query';
import { usePanel } from './context';
import { MODEL_TEXT } from './controls';
import { Dialog } from './Dialog';

interface Proposal {
  readonly text: string;
  readonly change: Partial<Query>;
}

/** Another exchange with the same coin, or the coin over all exchanges. */
function otherSource(p: Panel): Proposal | null {
  const list = instruments.value ?? [];
  const now = p.instrument.value;
  if (!now) return null;
  const shown = panels.value.map((panel) => panel.symbol.value);
  const next = list.find(
    (row) => row.coin === now.coin && row.bars > 0 && row.exchange !== now.exchange && !shown.includes(row.instrument),
  );
  if (!next) return null;
  return {
    text: `${splitSymbol(next.instrument).contract} on ${next.exchange}`,
    change: { instrument: next.instrument, exchanges: '' },
  };
}

function otherCoin(p: Panel): Proposal | null {
  const now = p.instrument.value;
  const next = (instruments.value ?? []).find(
    (row) => row.bars > 0 && row.coin !== now?.coin && row.exchange === now?.exchange,
  );
  return next ? { text: splitSymbol(next.instrument).contract, change: { instrument: next.instrument, exchanges: '' } } : null;
}

function otherView(p: Panel): Proposal {
  const heat = p.query.value.view === 'heatmap';
  return { text: heat ? 'Liquidation map' : 'Heatmap', change: { view: heat ? 'map' : 'heatmap' } };
}

function proposals(p: Panel): readonly (readonly [string, Proposal | null])[] {
  const { range, model } = p.query.value;
  const at = RANGES.indexOf(range);
  const longer = RANGES[Math.min(RANGES.length - 1, at + (at < 4 ? 2 : 1))];
  const shown = MODELS.find((name) => name === p.status.value?.model) ?? model;
  const other = shown === 'zones' ? 'sharp' : 'zones';
  return [
    ['Another exchange', otherSource(p)],
    ['A longer range', longer === range ? null : { text: `${range} beside ${longer}`, change: { range: longer } }],
    ['Another model', { text: MODEL_TEXT[other].name, change: { model: other } }],
    ['Another coin', otherCoin(p)],
    ['The other view', otherView(p)],
    ['The same once more', { text: 'to be changed', change: {} }],
  ];
}

function Choices() {
  const p = usePanel();
  if (panels.value.length >= PANELS_MOST) {
    return <p class="muted">There are {PANELS_MOST} panels already: close one first.</p>;
  }
  const { instrument, exchanges, range, step, model } = p.query.value;
  return (
    <div class="choices">
      {proposals(p).map(([name, proposal]) => (
        <button
          key={name}
          type="button"
          class="button choice"
          disabled={proposal === null}
          onClick={() => {
            dialog.value = null;
            if (proposal) addPanel({ instrument, exchanges, range, step, model, ...proposal.change });
          }}
        >
          <b>{name}</b>
          <span class="muted">{proposal?.text ?? 'there is none'}</span>
        </button>
      ))}
    </div>
  );
}

export function Compare() {
  return (
    <Dialog name="compare" title="Compare side by side">
      {dialog.value === 'compare' && <Choices />}
      <p class="muted">
        Panels share the cursor, and those of one range the time. The toolbar changes the panel you touched last.
      </p>
    </Dialog>
  );
}

/** The line over a panel which is one of several. */

import { splitSymbol } from '../format';
import { panels, removePanel } from '../state/panel';
import { usePanel } from './context';
import { MODEL_TEXT } from './controls';
import { Close } from './icons';

/** Of several panels: what each shows, and how to close it. */
export function Title() {
  const p = usePanel();
  if (panels.value.length < 2) return null;
  const { exchange, contract } = splitSymbol(p.symbol.value);
  const { range, model, view } = p.query.value;
  return (
    <div class="panel-title">
      <strong>{contract}</strong>
      <span class="muted">{exchange || 'all exchanges'}</span>
      <span class="muted">
        {range} · {MODEL_TEXT[model].name}
        {view === 'map' && ' · Map'}
      </span>
      <span class="spacer" />
      <button
        type="button"
        class="icon small"
        aria-label={`Close panel ${p.index + 1}`}
        title="Close this panel"
        onClick={(event) => {
          event.stopPropagation();
          removePanel(p.index);
        }}
      >
        <Close />
      </button>
    </div>
  );
}

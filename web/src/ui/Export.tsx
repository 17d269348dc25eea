/** The dialog which takes the picture and its figures out of the page. */

import { signal } from '@preact/signals';

import { active } from '../state/panel';
import { announcement, dialog } from '../state/page';
import { usePanel } from './context';
import { Dialog } from './Dialog';
import { copyPng, saveCells, savePng } from './saving';
import './export.css';

interface Outcome {
  readonly text: string;
  readonly failed: boolean;
}

const outcome = signal<Outcome | null>(null);

/** Do it, and say how it went; a failure which nobody would see opens the dialog. */
async function run(work: () => Promise<string>): Promise<void> {
  outcome.value = null;
  try {
    outcome.value = { text: await work(), failed: false };
  } catch (error) {
    outcome.value = { text: error instanceof Error ? error.message : String(error), failed: true };
    dialog.value = 'export';
  }
  announcement.value = outcome.value.text;
}

/** The key `s`. */
export function saveNow(): void {
  void run(() => savePng(active.value));
}

function Choice(props: { name: string; title: string; text: string; work: () => Promise<string> }) {
  return (
    <button type="button" class="export-choice" data-name={props.name} onClick={() => void run(props.work)}>
      <strong>{props.title}</strong>
      <span class="muted">{props.text}</span>
    </button>
  );
}

export function Export() {
  const p = usePanel();
  return (
    <Dialog name="export" title="Export what is in sight">
      <div class="export-choices">
        <Choice
          name="png"
          title="Save as PNG (S)"
          text="The chart with title, color scale, caption and UTC time, in the screen's own pixels."
          work={() => savePng(p)}
        />
        <Choice name="copy" title="Copy as PNG" text="The same picture, to the clipboard." work={() => copyPng(p)} />
        <Choice
          name="csv"
          title="Cells as CSV"
          text="One line per cell: start_ms, price_low, price_high, long_usd, short_usd."
          work={() => saveCells(p, 'csv')}
        />
        <Choice
          name="json"
          title="Cells as JSON"
          text="The same cells as two matrices, with the price edges."
          work={() => saveCells(p, 'json')}
        />
      </div>
      <p class={outcome.value?.failed ? 'export-outcome failed' : 'export-outcome'} role="status">
        {outcome.value?.text}
      </p>
      <p class="muted">
        Values are those of the picture, rounded as it is drawn; each file says how coarse. Every digit of the whole
        range comes from <code>/api/v1/heatmap</code>.
      </p>
    </Dialog>
  );
}

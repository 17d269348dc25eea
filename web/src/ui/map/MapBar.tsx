/** Over the map: how bars are split, what each part is, zoom and table. */

import type { Part } from '../../engine/bars';
import { stylesOf, swatch } from '../../engine/barstyle';
import { formatUsd } from '../../format';
import { GROUPINGS, type Grouping } from '../../state/query';
import { Segments, Toggle } from '../controls';
import type { MapModel } from './model';
import { savePng } from './save';
import { barTheme } from './theme';

const BY_TEXT: Record<Grouping, { name: string; line: string }> = {
  side: { name: 'Side', line: 'Longs and shorts; modelled and measured apart' },
  tier: { name: 'Leverage', line: 'By leverage tier of the model; what is measured is apart' },
  exchange: { name: 'Exchange', line: 'By exchange' },
};

function GroupControl({ m }: { m: MapModel }) {
  return (
    <Segments
      label="Bars by"
      options={GROUPINGS}
      value={m.by.value}
      onChoose={(by) => m.panel.set({ by }, 'push')}
      text={(by) => BY_TEXT[by].name}
      title={(by) => BY_TEXT[by].line}
    />
  );
}

function PartChip({ m, part, background }: { m: MapModel; part: Part; background: string }) {
  const on = m.highlight.value === part.id;
  const usd = formatUsd(part.total);
  return (
    <button
      type="button"
      class="part"
      data-part={part.id}
      aria-pressed={on}
      title={`${part.label}: ${usd} in the map. Click to make it stand out`}
      onClick={() => (m.highlight.value = on ? null : part.id)}
    >
      <i aria-hidden="true" style={{ background }} />
      <span>{part.label}</span>
      <b>{usd}</b>
    </button>
  );
}

/** What the colors and hatchings mean, with each part's sum over the map. */
function PartChips({ m }: { m: MapModel }) {
  const parts = m.parts.value;
  const theme = barTheme.value;
  const styles = stylesOf(parts, m.by.value, theme);
  return (
    <div class="parts" role="group" aria-label="Parts of the bars">
      {parts.map((part, k) => (
        <PartChip key={part.id} m={m} part={part} background={swatch(styles[k], theme)} />
      ))}
    </div>
  );
}

function Zoom({ m }: { m: MapModel }) {
  const zoom = (factor: number) => () => m.chart.value?.zoom(factor);
  return (
    <span class="zoom" role="group" aria-label="Zoom">
      <button type="button" class="button" aria-label="Zoom out" title="Zoom out (−)" disabled={m.whole.value} onClick={zoom(1.6)}>
        −
      </button>
      <button type="button" class="button" aria-label="Zoom in" title="Zoom in (+)" onClick={zoom(1 / 1.6)}>
        +
      </button>
      <button
        type="button"
        class="button"
        data-name="whole"
        aria-label="Whole map"
        title="Whole map (Home)"
        disabled={m.whole.value}
        onClick={() => m.chart.value?.fit()}
      >
        Whole
      </button>
    </span>
  );
}

export function MapBar({ m }: { m: MapModel }) {
  return (
    <div class="map-bar">
      <GroupControl m={m} />
      <PartChips m={m} />
      <Zoom m={m} />
      <Toggle
        on={m.table.value}
        name="map-table"
        title="The largest bars as a table (T)"
        onToggle={() => (m.table.value = !m.table.value)}
      >
        Table
      </Toggle>
      <button type="button" class="button" data-name="save" title="Save as PNG (S)" onClick={() => savePng(m)}>
        PNG
      </button>
    </div>
  );
}

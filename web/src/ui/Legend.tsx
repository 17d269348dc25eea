/**
 * The color legend, which is also the threshold: two native range inputs lie over the ramp.
 *
 * Positions are legend positions (after the transfer), values are kept as shares of the top
 * of the range. Native inputs bring keyboard, touch and screen readers; `aria-valuetext`
 * says the USD.
 */

import { backward, colorOf, forward, type Look } from '../engine/lut';
import { formatUsd } from '../format';
import type { Panel } from '../state/panel';
import { usePanel } from './context';

const STEPS = 1000;
/** The two handles may not meet. */
const APART = 0.02;

export function moveLow(p: Panel, position: number): void {
  const current = p.look.value;
  const top = forward(current.transfer, current.hi) - APART;
  const lo = backward(current.transfer, Math.max(0, Math.min(position, top)));
  p.set({ lo, hi: current.hi }, 'replace');
}

export function moveHigh(p: Panel, position: number): void {
  const current = p.look.value;
  const bottom = forward(current.transfer, current.lo) + APART;
  const hi = backward(current.transfer, Math.min(1, Math.max(position, bottom)));
  p.set({ lo: current.lo, hi }, 'replace');
}

/** Ramp from bottom (0) to top (clip), as CSS. */
function ramp(current: Look, direction: string): string {
  const stops: string[] = [];
  const n = 48;
  for (let i = 0; i <= n; i++) {
    const share = backward(current.transfer, i / n);
    const [r, g, b] = colorOf(current, share);
    stops.push(`rgb(${r} ${g} ${b}) ${((100 * i) / n).toFixed(1)}%`);
  }
  return `linear-gradient(${direction}, ${stops.join(', ')})`;
}

interface Tick {
  readonly position: number;
  readonly label: string;
}

/** Round USD values (1, 2, 5 x 10^k), at least `apart` of the legend from each other. */
export function legendTicks(current: Look, clip: number, apart = 0.085): Tick[] {
  if (!(clip > 0)) return [];
  const ticks: Tick[] = [];
  const top = 10 ** Math.ceil(Math.log10(clip));
  let last = 1;
  for (let decade = top; decade > clip * 1e-4; decade /= 10) {
    for (const factor of [5, 2, 1]) {
      const usd = (factor * decade) / 10;
      const position = forward(current.transfer, usd / clip);
      if (usd >= clip || position < 0.05 || last - position < apart) continue;
      ticks.push({ position, label: formatUsd(usd).replace(/\.0+(?=\D)/, '') });
      last = position;
    }
  }
  return ticks;
}

function Handle(props: {
  label: string;
  share: number;
  onMove: (p: Panel, position: number) => void;
  name: string;
}) {
  const p = usePanel();
  const current = p.look.value;
  const position = forward(current.transfer, props.share);
  const usd = formatUsd(props.share * p.clipUsd.value);
  return (
    <input
      type="range"
      class={`handle ${props.name}`}
      min={0}
      max={STEPS}
      step={1}
      value={Math.round(position * STEPS)}
      aria-label={props.label}
      aria-valuetext={`${usd}, ${Math.round(props.share * 100)} percent of the top`}
      onInput={(event) => props.onMove(p, Number(event.currentTarget.value) / STEPS)}
    />
  );
}

export function Legend(props: { horizontal?: boolean }) {
  const p = usePanel();
  const current = p.look.value;
  const clip = p.clipUsd.value;
  const relative = p.status.value?.usd_scale === 'relative';
  const along = (position: number) =>
    props.horizontal ? { left: `${position * 100}%` } : { bottom: `${position * 100}%` };
  const ends = { lo: forward(current.transfer, current.lo), hi: forward(current.transfer, current.hi) };
  return (
    <div class={props.horizontal ? 'legend horizontal' : 'legend'}>
      <div class="legend-top" title="Top of the color range: 99.5 % of the cells lie below">
        {clip > 0 ? `≥ ${formatUsd(clip)}` : '–'}
      </div>
      <div class={clip > 0 ? 'legend-scale' : 'legend-scale blank'}>
        <div class="legend-ramp" style={{ background: ramp(current, props.horizontal ? 'to right' : 'to top') }} />
        {legendTicks(current, clip, props.horizontal ? 0.16 : 0.085).map((tick) => (
          <span key={tick.label} class="legend-tick" style={along(tick.position)}>
            {tick.label}
          </span>
        ))}
        <div class="legend-cut lo" style={along(ends.lo)} data-usd={formatUsd(current.lo * clip)} />
        <div class="legend-cut hi" style={along(ends.hi)} data-usd={formatUsd(current.hi * clip)} />
        <Handle
          name="lo"
          label="Threshold: hide levels below"
          share={current.lo}
          onMove={moveLow}
        />
        <Handle
          name="hi"
          label="Strongest color from"
          share={current.hi}
          onMove={moveHigh}
        />
      </div>
      <output class="legend-window" title="Levels below the lower handle are hidden">
        &gt; {formatUsd(current.lo * clip)}
      </output>
      <div class="legend-unit">{relative ? 'relative' : 'USD / bin'}</div>
    </div>
  );
}

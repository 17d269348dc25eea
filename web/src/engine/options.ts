/** What the chart library is told once: looks of the axes, words on them, how they are moved. */

import { ColorType, CrosshairMode, type TickMarkType, type Time, type createChart } from 'lightweight-charts';

import { formatTime, tickLabel, type Zone } from './axis';
import { FONT, type ChartTheme } from './theme';

type Options = NonNullable<Parameters<typeof createChart>[1]>;

export function chartOptions(theme: ChartTheme, zone: Zone, reducedMotion: boolean): Options {
  const { layout, crosshair, rightPriceScale, ...colors } = colorOptions(theme);
  return {
    ...colors,
    autoSize: true,
    layout: {
      ...layout,
      // The container has the color: the heat may lie under the chart.
      background: { type: ColorType.Solid, color: 'transparent' },
      fontFamily: FONT,
      fontSize: 11,
      attributionLogo: true,
    },
    crosshair: { ...crosshair, mode: CrosshairMode.Normal },
    rightPriceScale: {
      ...rightPriceScale,
      scaleMargins: { top: 0, bottom: 0 },
      ensureEdgeTickMarksVisible: true,
    },
    kineticScroll: { touch: !reducedMotion, mouse: false },
    ...timeOptions(theme, zone),
  };
}

export function colorOptions({ text, grid, border, crosshair, label }: ChartTheme): Options {
  const line = { color: crosshair, labelBackgroundColor: label };
  return {
    layout: { textColor: text, panes: { separatorColor: border, separatorHoverColor: grid } },
    grid: { vertLines: { color: grid }, horzLines: { color: grid } },
    crosshair: { vertLine: line, horzLine: line },
    rightPriceScale: { borderColor: border },
    timeScale: { borderColor: border },
  };
}

export function timeOptions(theme: ChartTheme, zone: Zone): Options {
  return {
    localization: { timeFormatter: (time: Time) => formatTime((time as number) * 1000, zone) },
    timeScale: {
      borderColor: theme.border,
      timeVisible: true,
      secondsVisible: false,
      minBarSpacing: 0.05,
      enableConflation: true,
      tickMarkFormatter: (time: Time, type: TickMarkType) => tickLabel(time as number, type, zone),
    },
  };
}

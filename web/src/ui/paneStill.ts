/**
 * The legends of the sub-panes on a still picture of the chart: on the page they are text over
 * it, and a picture without them would not say what its curves are.
 */

import { FONT } from '../engine/chart';

/** Write them onto `picture`, whose pixels are `ratio` to a CSS pixel of `figure`'s chart. */
export function writePaneLegends(picture: HTMLCanvasElement, figure: Element, ratio: number): void {
  const context = picture.getContext('2d');
  if (!context) return;
  context.textBaseline = 'middle';
  for (const legend of figure.querySelectorAll<HTMLElement>('.pane-legend')) {
    // Values under the pointer belong to a crosshair, which the picture has not.
    const named = legend.classList.contains('at-cursor');
    const parts = legend.querySelectorAll(named ? ':scope > b' : ':scope > b, :scope > span');
    const y = (legend.offsetTop + legend.offsetHeight / 2) * ratio;
    let x = legend.offsetLeft * ratio;
    for (const part of parts) {
      const { color, fontSize, fontWeight } = getComputedStyle(part);
      context.font = `${fontWeight} ${parseFloat(fontSize) * ratio}px ${FONT}`;
      context.fillStyle = color;
      context.fillText(part.textContent ?? '', x, y);
      x += context.measureText(part.textContent ?? '').width + 8 * ratio;
    }
  }
}

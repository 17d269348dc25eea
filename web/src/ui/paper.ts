/**
 * Printing: light colors, and when it was printed.
 *
 * Browsers lay a page out for paper without a turn of the event loop, and a chart which has to
 * change its size needs one. So each chart is printed as a still picture of what is on screen,
 * in light colors, which `paper.css` fits to the paper.
 */

import { panels } from '../state/panel';
import { follow, printing } from '../state/theme';
import './paper.css';

const STILL = 'still';
/** The most a picture takes of paper [CSS px]: with its legend it fits A4 and Letter laid across. */
const MOST = { width: 860, height: 540 } as const;

/** The liquidation map's canvases in one, drawn anew at once. */
function stillOfBars(bars: Element): HTMLCanvasElement {
  bars.dispatchEvent(new Event('paper'));
  const picture = document.createElement('canvas');
  const layers = [...bars.querySelectorAll('canvas')];
  [picture.width, picture.height] = [layers[0]?.width ?? 0, layers[0]?.height ?? 0];
  for (const layer of layers) picture.getContext('2d')!.drawImage(layer, 0, 0);
  return picture;
}

function layOnPaper(): void {
  printing.value = true;
  const stages = document.querySelectorAll<HTMLElement>('.stage');
  for (const { chart, index } of panels.peek()) {
    const stage = stages[index];
    const drawn = stage?.querySelector('.chart, .bars');
    if (!stage || !drawn) continue;
    const picture = drawn.matches('.bars') ? stillOfBars(drawn) : chart.peek()?.still();
    if (!picture) continue;
    const { clientWidth: width, clientHeight: height } = stage;
    // All of the stage is made smaller: what floats over the picture stays where it is.
    stage.style.setProperty('--width', `${width}px`);
    stage.style.setProperty('--height', `${height}px`);
    stage.style.setProperty('--zoom', String(Math.min(MOST.width / width, MOST.height / height)));
    picture.className = STILL;
    drawn.after(picture);
  }
}

function layOnScreen(): void {
  printing.value = false;
  for (const picture of document.querySelectorAll(`.${STILL}`)) picture.remove();
}

export function startPaper(): void {
  follow('print', (matches) => {
    printing.value = matches;
    const now = new Date().toISOString().slice(0, 16).replace('T', ' ');
    document.body.dataset['stamp'] = `printed ${now} UTC`; // `paper.css` shows it
  });
  window.addEventListener('beforeprint', layOnPaper);
  window.addEventListener('afterprint', layOnScreen);
}

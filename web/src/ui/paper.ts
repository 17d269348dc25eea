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

function layOnPaper(): void {
  printing.value = true;
  for (const { chart, index } of panels.peek()) {
    const stage = document.querySelectorAll('.stage')[index];
    const picture = chart.peek()?.still();
    if (!stage || !picture) continue;
    picture.className = STILL;
    stage.append(picture);
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

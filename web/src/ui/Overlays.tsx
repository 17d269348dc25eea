/** Everything that opens over the page; a chunk of its own, fetched once the picture stands. */

import '../aids.css';
import { Compare } from './Compare';
import { About, Help, Levels } from './Dialogs';
import { Export } from './Export';
import { ExchangeDialog } from './ExchangeDialog';
import { Leverage } from './Leverage';
import { PaneMenu } from './PaneMenu';
import { Sheet } from './Sheet';
import { SymbolPicker } from './SymbolPicker';
import { startPaper } from './paper';
import './overlays.css';
import './contrast.css';

startPaper();

export function Overlays() {
  return (
    <>
      <SymbolPicker />
      <Sheet />
      <Levels />
      <PaneMenu />
      <Compare />
      <Export />
      <Leverage />
      <ExchangeDialog />
      <Help />
      <About />
    </>
  );
}

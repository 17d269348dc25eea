/** The page: toolbar, figure, status line, and the dialogs. */

import { About, Help, Levels } from './Dialogs';
import { ChartView } from './ChartView';
import { StatusBar } from './StatusBar';
import { SymbolPicker } from './SymbolPicker';
import { BottomBar, Sheet, Toolbar } from './Toolbar';

export function App() {
  return (
    <>
      <Toolbar />
      <main>
        <ChartView />
      </main>
      <StatusBar />
      <BottomBar />
      <SymbolPicker />
      <Sheet />
      <Levels />
      <Help />
      <About />
    </>
  );
}

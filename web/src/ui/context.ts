/** Which panel a component belongs to: its own in a figure, the active one in toolbar and dialogs. */

import { createContext } from 'preact';
import { useContext } from 'preact/hooks';

import { panels, type Panel } from '../state/panel';

export const PanelContext = createContext<Panel>(panels.peek()[0]);

export function usePanel(): Panel {
  return useContext(PanelContext);
}

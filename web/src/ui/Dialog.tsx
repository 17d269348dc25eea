/** A native modal dialog bound to one name of the `dialog` signal: focus trap and Esc for free. */

import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import { dialog, type DialogName } from '../state/page';
import { Close } from './icons';

export function Dialog(props: {
  name: DialogName;
  title: string;
  class?: string;
  children: ComponentChildren;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const open = dialog.value === props.name;
  useEffect(() => {
    if (!open) return;
    const before = document.activeElement;
    ref.current?.showModal();
    // Removed while open, a dialog does not give the focus back by itself.
    return () => {
      if (before instanceof HTMLElement) before.focus({ preventScroll: true });
    };
  }, [open]);
  if (!open) return null;
  return (
    <dialog
      ref={ref}
      class={`dialog ${props.class ?? ''}`}
      aria-labelledby={`title-${props.name}`}
      onCancel={(event) => {
        // At once: `close` comes a task later, and keys pressed till then would be lost.
        event.preventDefault();
        dialog.value = null;
      }}
      onClose={() => {
        if (dialog.peek() === props.name) dialog.value = null;
      }}
      onClick={(event) => {
        // The backdrop is the dialog element itself; its content lies in children.
        if (event.target === ref.current) dialog.value = null;
      }}
    >
      <div class="dialog-body">
        <header>
          <h2 id={`title-${props.name}`}>{props.title}</h2>
          <button type="button" class="icon" aria-label="Close" onClick={() => (dialog.value = null)}>
            <Close />
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}

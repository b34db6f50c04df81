import { createStore, useStore } from '../store.ts';

interface Toast {
  readonly id: number;
  readonly text: string;
  readonly bad: boolean;
}

const store = createStore<readonly Toast[]>([]);
const SHOWN_MS = 6_000;
let last = 0;

/** Shows a sentence for a few seconds, and reads it out. */
export function toast(text: string, bad = false): void {
  const id = ++last;
  store.set((before) => [...before.slice(-3), { id, text, bad }]);
  setTimeout(() => store.set((before) => before.filter((one) => one.id !== id)), SHOWN_MS);
}

export function Toasts() {
  const toasts = useStore(store);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {toasts.map(({ id, text, bad }) => (
        <div key={id} className="toast" data-bad={bad || undefined}>
          {text}
        </div>
      ))}
    </div>
  );
}

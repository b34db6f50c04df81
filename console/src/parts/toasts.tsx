import { Button } from '@mantine/core';
import { useKeys } from '../frame/keys.ts';
import { useWords } from '../language.ts';
import { createStore, useStore } from '../store.ts';

interface Toast {
  readonly id: number;
  readonly text: string;
  readonly bad: boolean;
  readonly undo: (() => void) | null;
}

const store = createStore<readonly Toast[]>([]);
const SHOWN_MS = 6_000;
/** What can be undone is shown for longer: somebody has to read it first. */
const UNDO_MS = 20_000;
let last = 0;

/** Shows a sentence for a few seconds, and reads it out; with what undoes it, where that is possible. */
export function toast(text: string, bad = false, undo: (() => void) | null = null): void {
  const id = ++last;
  store.set((before) => [...before.slice(-3), { id, text, bad, undo }]);
  setTimeout(() => remove(id), undo === null ? SHOWN_MS : UNDO_MS);
}

const remove = (id: number) => store.set((before) => before.filter((one) => one.id !== id));

export function Toasts() {
  const { t } = useWords();
  const toasts = useStore(store);
  function undo(one: Toast | undefined) {
    if (one?.undo == null) return;
    remove(one.id);
    one.undo();
  }
  useKeys({ z: () => undo(toasts.findLast((one) => one.undo !== null)) });
  return (
    <div className="toasts" role="status" aria-live="polite">
      {toasts.map((one) => (
        <div key={one.id} className="toast" data-bad={one.bad || undefined}>
          {one.text}{' '}
          {one.undo !== null && (
            <Button variant="default" size="compact-xs" onClick={() => undo(one)}>
              {t('undo')}
            </Button>
          )}
        </div>
      ))}
    </div>
  );
}

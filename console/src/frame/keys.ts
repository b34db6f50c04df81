import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { PAGES } from './pages.ts';

/** What keys do on a page: a letter, and what happens. */
export type Keys = Readonly<Record<string, (event: KeyboardEvent) => void>>;

function isTyping({ target }: KeyboardEvent): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || isInDialog(target);
}

const isInDialog = (target: HTMLElement) => target.closest('[role=dialog]') !== null;

/** Binds letters while a component is shown; none of them counts while somebody types. */
export function useKeys(keys: Keys): void {
  const current = useRef(keys);
  current.current = keys;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      current.current[event.key]?.(event);
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, []);
}

const SECOND_KEY_MS = 1_500;

/** `?`, the palette, and `g` with the letter of a page. */
export function useFrameKeys(open: (what: 'help' | 'palette') => void): void {
  const navigate = useNavigate();
  const goes = useRef(Number.NEGATIVE_INFINITY);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key === 'k') {
        event.preventDefault();
        return open('palette');
      }
      if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      const page = PAGES.find(({ letter }) => letter === event.key);
      const isSecond = performance.now() - goes.current < SECOND_KEY_MS;
      goes.current = event.key === 'g' ? performance.now() : Number.NEGATIVE_INFINITY;
      if (event.key === '?') open('help');
      else if (isSecond && page !== undefined) {
        // The letter means nothing else to the page then.
        event.preventDefault();
        void navigate({ to: page.to });
      }
    };
    addEventListener('keydown', press, { capture: true });
    return () => removeEventListener('keydown', press, { capture: true });
  }, [navigate, open]);
}

import type { Clock } from '../domain/index.ts';

/** Makes a value once for all who ask within a time, also while it is being made; a failure is not remembered. */
export function remembered<T>(make: () => Promise<T>, forMs: number, clock: Clock): () => Promise<T> {
  let value: Promise<T> | null = null;
  let madeMs = Number.NEGATIVE_INFINITY;
  return () => {
    const ageMs = clock.now() - madeMs;
    // A clock that was set back makes nothing last longer.
    if (value !== null && ageMs >= 0 && ageMs < forMs) return value;
    const made = make();
    value = made;
    madeMs = clock.now();
    made.catch(() => {
      if (value === made) value = null;
    });
    return made;
  };
}

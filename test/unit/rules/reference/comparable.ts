import type { Band, Evidence, Transition } from '../../../../domain/index.ts';

/** To nine digits: sums may be taken in another order. */
function rounded<T extends number | Band | null>(figure: T): T {
  if (typeof figure === 'number') return Number(figure.toPrecision(9)) as T;
  return figure === null ? figure : ((figure as Band).map(rounded) as readonly number[] as T);
}

function evidence({ window, clauses, ...rest }: Evidence): unknown {
  const { value, threshold } = window;
  return {
    ...rest,
    window: { ...window, value: rounded(value), threshold: rounded(threshold) },
    clauses: clauses?.map((clause) => ({ ...clause, value: rounded(clause.value) })),
  };
}

/** Transitions, with all that is behind them, so that those of two evaluators can be held against one another. */
export const comparable = (transitions: readonly Transition[]): unknown[] =>
  transitions.map((one) => ({ ...one, value: rounded(one.value), evidence: evidence(one.evidence) }));

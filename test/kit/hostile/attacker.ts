/** One attack, in a process of its own with the least priority: what it spends itself is not taken from the server. */
import { setPriority } from 'node:os';
import { ATTACKS } from './attacks/index.ts';
import type { Figures, Target } from './target.ts';

export interface Orders {
  readonly attack: string;
  readonly target: Target;
}

export type Outcome = { readonly figures: Figures } | { readonly failed: string };

setPriority(19);
const over = new AbortController();
process.on('message', (message: Orders | 'over') => {
  if (message === 'over') return over.abort();
  const { attack, target } = message;
  process.send!('begun');
  ATTACKS[attack]!.run(target, over.signal).then(
    (figures) => end({ figures }),
    (error: Error) => end({ failed: error.stack ?? error.message }),
  );
});
process.on('disconnect', () => process.exit(0));

function end(outcome: Outcome): void {
  process.send!(outcome, () => process.exit(0));
}

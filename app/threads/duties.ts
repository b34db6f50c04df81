/** The duties of a node, passed to its threads; and what these bring into the log. */
import type { Logger } from 'pino';
import type { Duties, Duty, ProgressControl } from '../../domain/index.ts';

/** What the main thread offers to those that have a duty. */
export type ToLog = { append(progress: ProgressControl): Promise<unknown> };

/** Begins or ends a duty in its thread; null: another node has it. */
type Hold = (revision: number | null) => Promise<unknown>;

/** Passes threads the duties that are theirs, now and whenever they change; returns how to stop. */
export function passDuties(duties: Duties, threads: Readonly<Partial<Record<Duty, Hold>>>, log: Logger): () => void {
  const pass = (duty: Duty) =>
    void threads[duty]?.(duties.holds(duty)).catch((err: unknown) =>
      log.error({ err, duty }, 'a duty is not passed on'),
    );
  for (const duty of Object.keys(threads) as Duty[]) pass(duty);
  return duties.onChange(pass);
}

import type { Logger } from 'pino';

/** Does a phase of the start and logs how long it took, for who looks for what makes a start long. */
export async function timed<T>(log: Pick<Logger, 'debug'>, phase: string, work: () => T | Promise<T>): Promise<T> {
  const from = performance.now();
  const made = await work();
  log.debug({ phase, ms: Math.round(performance.now() - from) }, 'a phase of the start');
  return made;
}

interface Step {
  readonly name: string;
  undo(): unknown;
}

/** Called with the name of each step once it has been done. Tests throw here to make a start fail at that step. */
export type OnStep = (name: string) => void;

/**
 * A stack of named cleanups: each step of a start is done together with what undoes it. A stop, and a start that fails
 * half-way, undo the steps that were done, the newest first.
 */
export class Steps {
  readonly #done: Step[] = [];
  readonly #log: Logger;
  readonly #onStep: OnStep;
  #undoing: Promise<void> | null = null;

  constructor(log: Logger, onStep: OnStep = () => {}) {
    this.#log = log;
    this.#onStep = onStep;
  }

  /** Does a step and returns what it made. What it throws is thrown on; it then counts as not done. */
  async do<T>(name: string, make: () => T | Promise<T>, undo: (made: T) => unknown): Promise<T> {
    const made = await timed(this.#log, name, make);
    this.#done.push({ name, undo: () => undo(made) });
    this.#onStep(name);
    return made;
  }

  /** Undoes every step, the newest first; one that fails is logged and keeps no other from its turn. Idempotent. */
  undo(): Promise<void> {
    this.#undoing ??= this.#undoAll();
    return this.#undoing;
  }

  async #undoAll(): Promise<void> {
    for (let step = this.#done.pop(); step !== undefined; step = this.#done.pop()) {
      try {
        await step.undo();
      } catch (error) {
        this.#log.error({ err: error, step: step.name }, 'a step of the stop failed');
      }
    }
  }
}

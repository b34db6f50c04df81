import type { KnownDevice, Transition } from '../../../../domain/index.ts';
import { createRuleEngine, type Moment, type RuleEngine, type StateRow } from '../../../../rules/engine/index.ts';
import type { Entry } from './journal.ts';
import { columns, inForce, metricTable } from './kit.ts';

/** An engine with the present rules and devices and a checkpoint. */
export class Process {
  readonly #metrics = metricTable();
  readonly #engine: RuleEngine;
  readonly #devices = new Map<string, KnownDevice>();
  #inForce = inForce([]);
  readonly #checkpoint = new Map<string, StateRow>();

  readonly #gaps: boolean;

  /** `metrics` get the first numbers; `gaps` is the option of the engine. */
  constructor({ metrics = [], gaps = true }: { metrics?: readonly string[]; gaps?: boolean } = {}) {
    for (const metric of metrics) this.#metrics.indexOf(metric);
    this.#gaps = gaps;
    this.#engine = createRuleEngine({ metrics: this.#metrics, gaps });
  }

  play({ op, ...moment }: Entry): Transition[] {
    const engine = this.#engine;
    if (op.kind === 'tick') return engine.tick(moment);
    if (op.kind === 'rules') {
      this.#inForce = inForce(op.rules, op.calendars);
      return engine.configure(this.#inForce, moment);
    }
    if (op.kind === 'device') {
      this.#devices.set(op.device.id, op.device);
      return engine.deviceChanged(op.device, moment);
    }
    if (op.kind === 'revoke') {
      const known = this.#devices.get(op.id);
      this.#devices.delete(op.id);
      return known === undefined ? engine.tick(moment) : engine.deviceRevoked(known, moment);
    }
    const samples = op.samples.filter(({ id }) => this.#devices.has(id));
    const rows = samples.map(({ id, metric, ts, value }) => {
      return [this.#devices.get(id)!, this.#metrics.indexOf(metric), ts, value] as const;
    });
    const suspect = new Set(samples.flatMap(({ isSuspect = false }, row) => (isSuspect ? [row] : [])));
    return engine.step({ ...columns(rows), suspect }, moment);
  }

  /**
   * Returns another process that starts from this one's checkpoint, without its memory and with other numbers for
   * metrics.
   */
  restarted(moment: Moment): Process {
    this.#store();
    const next = new Process({ metrics: ['fill', 'noise'], gaps: this.#gaps });
    next.#inForce = this.#inForce;
    next.#engine.configure(this.#inForce, { ...moment, atMs: 0 });
    for (const [id, known] of [...this.#devices].reverse()) {
      next.#devices.set(id, known);
      next.#engine.deviceChanged(known, { ...moment, atMs: 0 });
    }
    next.#engine.restore([...this.#checkpoint.values()].reverse());
    for (const [key, row] of this.#checkpoint) next.#checkpoint.set(key, row);
    return next;
  }

  /** What is stored after a checkpoint, as text. */
  stored(): string[] {
    this.#store();
    return [...this.#checkpoint]
      .map(([key, { version, state }]) => `${key} ${version} ${Buffer.from(state!).toString('hex')}`)
      .sort();
  }

  #store(): void {
    for (const row of this.#engine.takeDirty()) {
      const key = `${row.rule}/${row.group}`;
      if (row.state === null) this.#checkpoint.delete(key);
      else this.#checkpoint.set(key, row);
    }
  }
}

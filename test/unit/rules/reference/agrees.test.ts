import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { KnownDevice, Transition } from '../../../../domain/index.ts';
import { createRuleEngine, type Moment, type RuleEngine, type StateRow } from '../../../../rules/engine/index.ts';
import { journals, seasons } from './arbitraries.ts';
import type { Entry } from './journal.ts';
import { columns, inForce, metricTable } from './kit.ts';
import { Reference } from './reference.ts';

/** The same cases in each run: what a new seed finds is for its finder to mend. */
const SEED = Number(process.env.RULES_SEED ?? 20261124);

/** An engine with the little that surrounds it in a process: the rules and devices of the moment, and a checkpoint. */
class Process {
  readonly #metrics = metricTable();
  readonly #engine: RuleEngine;
  readonly #devices = new Map<string, KnownDevice>();
  #inForce = inForce([]);
  readonly #checkpoint = new Map<string, StateRow>();

  constructor(metrics: readonly string[] = []) {
    for (const metric of metrics) this.#metrics.indexOf(metric);
    this.#engine = createRuleEngine({ metrics: this.#metrics });
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
    const rows = op.samples.flatMap(({ id, metric, ts, value }) => {
      const known = this.#devices.get(id);
      return known === undefined ? [] : [[known, this.#metrics.indexOf(metric), ts, value] as const];
    });
    return engine.step(columns(rows), moment);
  }

  /** Another process that starts from this one's checkpoint, with nothing of its memory and other numbers for metrics. */
  restarted(moment: Moment): Process {
    for (const row of this.#engine.takeDirty()) {
      const key = `${row.rule}/${row.group}`;
      if (row.state === null) this.#checkpoint.delete(key);
      else this.#checkpoint.set(key, row);
    }
    const next = new Process(['fill', 'noise']);
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
}

/** What was decided, figures to nine digits: sums may be taken in another order. How long a silence lasted is in `atMs`. */
function decided(transitions: readonly Transition[], silences: readonly boolean[]): unknown {
  return transitions.map(({ evidence: _, value, ...rest }, i) => ({
    ...rest,
    value: value === null || silences[i] ? null : Number(value.toPrecision(9)),
  }));
}

/** Plays the journal to both; answers how many transitions were the same. */
function compare(entries: readonly Entry[]): number {
  const reference = new Reference();
  const engine = new Process();
  let same = 0;
  for (const entry of entries) {
    const expected = reference.play(entry);
    const found = engine.play(entry);
    if (reference.inexact) return same;
    const silences = found.map(({ evidence: { window } }) => window.fn === 'absent');
    expect(decided(found, silences)).toEqual(decided(expected, silences));
    same += found.length;
  }
  return same;
}

test('reference - the engine decides what the slow, obvious evaluator decides, on random rules and journals', () => {
  let same = 0;
  fc.assert(
    fc.property(journals, (entries) => {
      same += compare(entries);
    }),
    { seed: SEED, numRuns: 30_000 },
  );
  // Otherwise little would have been compared.
  expect(same).toBeGreaterThan(20_000);
});

test('reference - they agree on what learns from seasons, over weeks of readings', () => {
  let same = 0;
  fc.assert(
    fc.property(seasons, (entries) => {
      same += compare(entries);
    }),
    { seed: SEED, numRuns: 40 },
  );
  expect(same).toBeGreaterThan(200);
});

test('restart - an engine that was restarted at any block decides the same, byte for byte', () => {
  fc.assert(
    fc.property(journals, fc.nat(), (entries, at) => {
      const live = new Process();
      let other = new Process();
      const stop = at % entries.length;
      for (const [i, entry] of entries.entries()) {
        const expected = live.play(entry);
        expect(JSON.stringify(other.play(entry))).toBe(JSON.stringify(expected));
        if (i === stop) other = other.restarted(entry);
      }
    }),
    { seed: SEED, numRuns: 10_000 },
  );
});

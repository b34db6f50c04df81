import fc from 'fast-check';
import type { KnownDevice, MetricTable, Rule, Transition } from '../../../domain/index.ts';
import { createRuleEngine, type Moment, type RuleEngine, type StateRow } from '../../../rules/engine/index.ts';
import { columns, device, metricTable, rule } from './engine-kit.ts';

/** A reading as a random journal holds it; `ts` is epoch ms. */
export interface Sample {
  readonly id: string;
  readonly metric: string;
  readonly ts: number;
  readonly value: number;
}

/** One block of a random journal. */
export type Op =
  | { readonly kind: 'readings'; readonly samples: readonly Sample[] }
  | { readonly kind: 'tick' }
  | { readonly kind: 'rules'; readonly rules: readonly Rule[] }
  | { readonly kind: 'device'; readonly device: KnownDevice }
  | { readonly kind: 'revoke'; readonly id: string };

/** A block and when it came. */
export interface Entry extends Moment {
  readonly op: Op;
}

const START = 1_700_000_000_000;
const IDS = ['a0', 'a1', 'a2'];

/** Rules of every shape over two metrics; thresholds lie amid the values of `journals`. */
const rules: fc.Arbitrary<Rule> = fc
  .record({
    id: fc.constantFrom('r1', 'r2', 'r3', 'r4'),
    metric: fc.constantFrom('pm25', 'noise'),
    fn: fc.constantFrom('last', 'mean', 'min', 'max'),
    windowMs: fc.constantFrom(1, 50, 61, 1000, 7777, 60_000, 600_000),
    op: fc.constantFrom('above', 'below'),
    threshold: fc.integer({ min: -5, max: 25 }),
    band: fc.integer({ min: 0, max: 8 }),
    forMs: fc.constantFrom(0, 0, 1000, 30_000),
    keepFiringForMs: fc.constantFrom(0, 0, 1000, 30_000),
    district: fc.constantFrom(undefined, undefined, ['harbour']),
  })
  .map(({ id, forMs, keepFiringForMs, district, ...condition }) => {
    const { metric, fn, op, threshold, band } = condition;
    const windowMs = fn === 'last' ? 0 : condition.windowMs;
    const when = { metric, fn, op, threshold, windowMs, clear: op === 'above' ? threshold - band : threshold + band };
    const where = district === undefined ? {} : { district };
    const version = JSON.stringify([when, where, forMs, keepFiringForMs]);
    return rule({ id, version, where, when, forMs, keepFiringForMs });
  });

const ruleSets = fc.uniqueArray(rules, { selector: ({ id }) => id, maxLength: 4 });

/** Journals with disorder, gaps and jumps in the devices' time, ticks, changes of rules and of devices. */
export function journals(values: fc.Arbitrary<number>): fc.Arbitrary<Entry[]> {
  const id = fc.constantFrom(...IDS);
  const steps = fc.constantFrom(0, 0, 1, 20, 500, 500, 1000, 10_000, 45_000, 900_000);
  const skews = fc.constantFrom(0, 0, 0, 0, 0, -1, -300, -5000, -59_000, -700_000, 40_000);
  const sample = fc.record({ id, metric: fc.constantFrom('pm25', 'noise'), skew: skews, value: values });
  const districts = fc.constantFrom('harbour', 'hills');
  const ops = fc.oneof(
    { weight: 30, arbitrary: fc.record({ samples: fc.array(sample, { minLength: 1, maxLength: 6 }) }) },
    { weight: 6, arbitrary: fc.constant({ kind: 'tick' as const }) },
    { weight: 1, arbitrary: ruleSets.map((set) => ({ kind: 'rules' as const, rules: set })) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(id, districts)
        .map(([of, district]) => ({ kind: 'device' as const, device: device(of, { district }) })),
    },
    { weight: 1, arbitrary: id.map((of) => ({ kind: 'revoke' as const, id: of })) },
  );
  return fc.tuple(ruleSets, fc.array(fc.tuple(steps, ops), { minLength: 1, maxLength: 60 })).map(([first, blocks]) => {
    const opening: Op[] = [
      { kind: 'rules', rules: first },
      ...IDS.map((of) => ({ kind: 'device' as const, device: device(of) })),
    ];
    const entries: Entry[] = opening.map((op, i) => ({ seq: i + 1, atMs: START, op }));
    let atMs = START;
    for (const [step, op] of blocks) {
      atMs += step;
      const placed: Op =
        'kind' in op
          ? op
          : { kind: 'readings', samples: op.samples.map(({ skew, ...rest }) => ({ ...rest, ts: atMs + skew })) };
      entries.push({ seq: entries.length + 1, atMs, op: placed });
    }
    return entries;
  });
}

/** An engine with the little that surrounds it in a process: the rules and devices of the moment, and a checkpoint. */
export class Process {
  readonly engine: RuleEngine;
  readonly metrics: MetricTable;
  rules: readonly Rule[] = [];
  readonly devices = new Map<string, KnownDevice>();
  readonly checkpoint = new Map<string, StateRow>();

  constructor(metrics: readonly string[] = []) {
    this.metrics = metricTable();
    for (const metric of metrics) this.metrics.indexOf(metric);
    this.engine = createRuleEngine({ metrics: this.metrics });
  }

  play({ op, ...moment }: Entry): Transition[] {
    if (op.kind === 'tick') return this.engine.tick(moment);
    if (op.kind === 'rules') {
      this.rules = op.rules;
      return this.engine.configure(op.rules, moment);
    }
    if (op.kind === 'device') {
      this.devices.set(op.device.id, op.device);
      return this.engine.deviceChanged(op.device, moment);
    }
    if (op.kind === 'revoke') {
      const known = this.devices.get(op.id);
      this.devices.delete(op.id);
      return known === undefined ? [] : this.engine.deviceRevoked(known, moment);
    }
    const rows = op.samples.map(
      ({ id, metric, ts, value }) => [device(id), this.metrics.indexOf(metric), ts, value] as const,
    );
    return this.engine.step(columns(rows), moment);
  }

  save(): void {
    for (const row of this.engine.takeDirty()) {
      const key = `${row.rule}/${row.group}`;
      if (row.state === null) this.checkpoint.delete(key);
      else this.checkpoint.set(key, row);
    }
  }

  /** Another process that starts from this one's checkpoint, with nothing of its memory and other numbers for metrics. */
  restarted(moment: Moment): Process {
    const next = new Process(['noise', 'pm25']);
    next.rules = this.rules;
    next.engine.configure(this.rules, moment);
    for (const [id, known] of [...this.devices].reverse()) {
      next.devices.set(id, known);
      next.engine.deviceChanged(known, moment);
    }
    next.engine.restore([...this.checkpoint.values()].reverse());
    for (const [key, row] of this.checkpoint) next.checkpoint.set(key, row);
    return next;
  }
}

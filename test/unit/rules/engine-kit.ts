import type { KnownDevice, MetricTable, ReadingColumns, Rule, Transition } from '../../../domain/index.ts';
import { createRuleEngine } from '../../../rules/engine/index.ts';

/** A metric table in memory. */
export function metricTable(): MetricTable {
  const ids: string[] = [];
  return {
    indexOf: (id) => (ids.includes(id) ? ids.indexOf(id) : ids.push(id) - 1),
    idOf: (index) => ids[index]!,
  };
}

/** A rule on pm25, `last` above 75, fires at once; `changes` say what differs. */
export function rule(changes: Partial<Omit<Rule, 'when'>> & { when?: Partial<Rule['when']> } = {}): Rule {
  const when = { metric: 'pm25', fn: 'last', windowMs: 0, op: 'above', threshold: 75, ...changes.when } as const;
  return {
    id: 'dust',
    version: 'v1',
    title: 'Dust at {{device.name}}',
    titleZh: 'Dust at {{device.name}}',
    forEach: 'device',
    where: {},
    forMs: 0,
    keepFiringForMs: 0,
    severity: 'high',
    source: 'id: dust',
    ...changes,
    when: { clear: when.threshold, ...when },
  };
}

/** A device; its number is at the end of its id: `a0`. */
export function device(id: string, changes: Partial<KnownDevice> = {}): KnownDevice {
  return { id, index: Number(id.slice(1)), profile: 'air', district: 'harbour', ...changes };
}

/** Readings as columns: [device, number of the metric, ts, value]. */
export function columns(rows: readonly (readonly [KnownDevice, number, number, number])[]): ReadingColumns {
  return {
    length: rows.length,
    device: rows.map((row) => row[0]),
    metric: rows.map((row) => row[1]),
    ts: rows.map((row) => row[2]),
    value: rows.map((row) => row[3]),
  };
}

/** One city of rules as a timeline in seconds: feeds the engine and tells what happened, as sentences. */
export function timeline(...rules: Rule[]) {
  const metrics = metricTable();
  const engine = createRuleEngine({ metrics });
  const devices = new Map<string, KnownDevice>();
  let seq = 0;
  const told = (transitions: Transition[]) =>
    transitions.map(({ rule: id, group, from, to, value }) => `${id} ${group}: ${from} → ${to} at ${value}`);
  const now = (second: number) => ({ seq: ++seq, atMs: second * 1000 });
  engine.configure(rules, now(0));
  return {
    engine,
    /** A device is registered or changed. */
    device(second: number, known: KnownDevice) {
      devices.set(known.id, known);
      return told(engine.deviceChanged(known, now(second)));
    },
    revoke: (second: number, id: string) => told(engine.deviceRevoked(devices.get(id)!, now(second))),
    configure: (second: number, ...next: Rule[]) => told(engine.configure(next, now(second))),
    tick: (second: number) => told(engine.tick(now(second))),
    /** A reading arrives in this second; `ts` (seconds) is the device's own time, the same where not given. */
    reading(second: number, value: number, options: { ts?: number; id?: string; metric?: string } = {}) {
      return told(this.transitions(second, value, options));
    },
    transitions(second: number, value: number, options: { ts?: number; id?: string; metric?: string } = {}) {
      const known = devices.get(options.id ?? 'a0') ?? device('a0');
      if (devices.size === 0) this.device(second, known);
      const metric = metrics.indexOf(options.metric ?? 'pm25');
      return engine.step(columns([[known, metric, (options.ts ?? second) * 1000, value]]), now(second));
    },
  };
}

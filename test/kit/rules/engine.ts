import type { KnownDevice, Rule, ThresholdCondition, Transition } from '../../../domain/index.ts';
import { createRuleEngine } from '../../../rules/engine/index.ts';
import { columns, device, inForce, metricTable, rule as ruleOf, threshold } from './reference/kit.ts';

export { columns, device, inForce, metricTable };

/** A rule on pm25, `last` above 75, that fires at once for every profile of these tests; `changes` replace fields. */
export function rule(changes: Partial<Omit<Rule, 'when'>> & { when?: Partial<ThresholdCondition> } = {}): Rule {
  const when = threshold(changes.when);
  return ruleOf({ profiles: ['air', 'noise'], version: 'v1', ...changes, when });
}

/** An engine on a timeline in seconds, without gaps; each call returns the transitions as sentences. */
export function timeline(...rules: Rule[]) {
  const metrics = metricTable();
  const engine = createRuleEngine({ metrics, gaps: false });
  const devices = new Map<string, KnownDevice>();
  let seq = 0;
  const sentences = (transitions: Transition[]) =>
    transitions.map(({ rule: id, group, from, to, value }) => `${id} ${group}: ${from} → ${to} at ${value}`);
  const now = (second: number) => ({ seq: ++seq, atMs: second * 1000 });
  engine.configure(inForce(rules), now(0));
  return {
    engine,
    /** Registers or changes a device. */
    device(second: number, known: KnownDevice) {
      devices.set(known.id, known);
      return sentences(engine.deviceChanged(known, now(second)));
    },
    revoke: (second: number, id: string) => sentences(engine.deviceRevoked(devices.get(id)!, now(second))),
    configure: (second: number, ...next: Rule[]) => sentences(engine.configure(inForce(next), now(second))),
    tick: (second: number) => sentences(engine.tick(now(second))),
    /** A reading arrives in this second; `ts` is the device's time in seconds (default: the same). */
    reading(second: number, value: number, options: { ts?: number; id?: string; metric?: string } = {}) {
      return sentences(this.transitions(second, value, options));
    },
    transitions(second: number, value: number, options: { ts?: number; id?: string; metric?: string } = {}) {
      const known = devices.get(options.id ?? 'a0') ?? device('a0');
      if (devices.size === 0) this.device(second, known);
      const metric = metrics.indexOf(options.metric ?? 'pm25');
      return engine.step(columns([[known, metric, (options.ts ?? second) * 1000, value]]), now(second));
    },
  };
}

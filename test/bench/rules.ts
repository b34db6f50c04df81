/** The rule engine alone: the cost of rules, windows and series, as ratios within one run. */
import type { KnownDevice, ReadingColumns, Rule } from '../../domain/index.ts';
import { createRuleEngine, type RuleEngine } from '../../rules/engine/index.ts';
import { device, inForce, metricTable, rule, threshold } from '../kit/rules/reference/kit.ts';

const MINUTE = 60_000;
const START = 1_790_000_000_000 - (1_790_000_000_000 % (24 * 60 * MINUTE));

/** The result of one run. */
export interface RuleFigures {
  /** ns a reading that ten rules read, of 1,000 devices: with no other rules … */
  readonly tenRulesNs: number;
  /** … with 9,990 more for other devices … */
  readonly thousandsFarNs: number;
  /** … and where each device has ten of its own: the effect of the CPU's caches on 10,000 rules. */
  readonly thousandsNearNs: number;
  /** ns a reading of a mean over 5 minutes, and over 24 hours. */
  readonly shortWindowNs: number;
  readonly longWindowNs: number;
  /** ns a reading that is compared with ten peers, and with 1,000. */
  readonly fewPeersNs: number;
  readonly manyPeersNs: number;
  /** Bytes of memory and of stored state per series, of 100,000 with a mean over 15 minutes and a reading a minute. */
  readonly memoryBytes: number;
  readonly stateBytes: number;
  /** From stored states to an engine that is ready, ms. */
  readonly restoreMs: number;
  /** Stored readings a second through `replay`, four rules with `for` and absence. */
  readonly replayed: number;
}

/** Runs it; takes about a minute. */
export function benchRules(): RuleFigures {
  const [ten, far, near] = inTurn([() => rulesCost('few'), () => rulesCost('far'), () => rulesCost('near')]);
  const [short, long] = inTurn([() => windowCost(5 * MINUTE), () => windowCost(24 * 60 * MINUTE)]);
  const [few, many] = inTurn([() => peersCost(10), () => peersCost(1_000)]);
  return {
    tenRulesNs: ten!,
    thousandsFarNs: far!,
    thousandsNearNs: near!,
    shortWindowNs: short!,
    longWindowNs: long!,
    fewPeersNs: few!,
    manyPeersNs: many!,
    ...stateCost(),
    replayed: replayRate(),
  };
}

/** The minimum of five runs each, taken in turn, so that a slow moment of the machine affects all. */
function inTurn(runs: readonly (() => number)[]): number[] {
  const best = runs.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < 5; round++) {
    for (const [i, run] of runs.entries()) best[i] = Math.min(best[i]!, run());
  }
  return best;
}

interface Bench {
  readonly engine: RuleEngine;
  readonly devices: readonly KnownDevice[];
}

function engineOf(rules: readonly Rule[], count: number): Bench {
  const metrics = metricTable();
  const engine = createRuleEngine({ metrics });
  metrics.indexOf('pm25');
  engine.configure(inForce(rules), { seq: 1, atMs: START });
  const devices = Array.from({ length: count }, (_, i) => device(`a${i}`));
  for (const known of devices) engine.deviceChanged(known, { seq: 2, atMs: START });
  return { engine, devices };
}

/** One reading of every device at `ts`. */
function round(devices: readonly KnownDevice[], ts: number): ReadingColumns {
  const { length } = devices;
  return {
    length,
    device: [...devices],
    metric: new Int32Array(length),
    ts: new Float64Array(length).fill(ts),
    value: Float64Array.from({ length }, (_, i) => 20 + (i % 17)),
  };
}

/** ns a reading, a round a minute. */
function cost({ engine, devices }: Bench, rounds: number): number {
  const columns = Array.from({ length: rounds }, (_, i) => round(devices, START + (i + 1) * MINUTE));
  engine.step(columns[0]!, { seq: 3, atMs: START });
  const from = process.hrtime.bigint();
  for (const [i, readings] of columns.entries()) engine.step(readings, { seq: 4 + i, atMs: START + (i + 1) * 1_000 });
  return Number(process.hrtime.bigint() - from) / (rounds * devices.length);
}

/** Ten rules read each device, however many other rules there are. */
function rulesCost(others: 'few' | 'far' | 'near'): number {
  const when = threshold({ fn: 'mean', windowMs: 15 * MINUTE, threshold: 500 });
  const rules = Array.from({ length: others === 'few' ? 10 : 10_000 }, (_, i) => {
    const own = others === 'near' || (others === 'far' && i >= 10);
    const of = others === 'near' ? Math.floor(i / 10) : 1_000 + i;
    return rule({ id: `rule-${i}`, where: own ? { device: [`a${of}`] } : {}, when });
  });
  return cost(engineOf(rules, 1_000), 100);
}

function windowCost(windowMs: number): number {
  const when = threshold({ fn: 'mean', windowMs, threshold: 500 });
  return cost(engineOf([rule({ when })], 2_000), 300);
}

function peersCost(devices: number): number {
  const compare = { with: 'peers', as: 'difference', withinMs: 15 * MINUTE } as const;
  const when = threshold({ fn: 'mean', windowMs: 15 * MINUTE, threshold: 500, compare });
  return cost(engineOf([rule({ when })], devices + 1), 100_000 / devices);
}

function stateCost(): Pick<RuleFigures, 'memoryBytes' | 'stateBytes' | 'restoreMs'> {
  const series = 100_000;
  const when = threshold({ fn: 'mean', windowMs: 15 * MINUTE, threshold: 500 });
  const { engine, devices } = engineOf([rule({ when })], series);
  const before = memory();
  for (let minute = 1; minute <= 20; minute++) {
    engine.step(round(devices, START + minute * MINUTE), { seq: 2 + minute, atMs: START + minute * MINUTE });
  }
  const memoryBytes = (memory() - before) / series;
  const rows = engine.takeDirty();
  const stateBytes = rows.reduce((sum, { state }) => sum + (state?.length ?? 0), 0) / series;
  const next = engineOf([rule({ when })], series);
  const from = performance.now();
  next.engine.restore(rows);
  const restoreMs = performance.now() - from;
  if (next.engine.instanceCount() !== series) throw new Error('not all series came back');
  return { memoryBytes, stateBytes, restoreMs };
}

/** Heap and typed arrays, after collections where the process allows them (`--expose-gc`). */
function memory(): number {
  // The second collection releases the typed arrays that the first one found.
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function replayRate(): number {
  const rules = [
    rule({ id: 'r1', when: threshold({ fn: 'mean', windowMs: 15 * MINUTE, threshold: 35 }), forMs: 10 * MINUTE }),
    rule({ id: 'r2', when: threshold({ fn: 'max', windowMs: 60 * MINUTE, threshold: 500 }) }),
    rule({ id: 'r3', when: threshold({ threshold: 90 }), keepFiringForMs: 5 * MINUTE }),
    rule({ id: 'r4', when: { kind: 'absent', metric: 'pm25', absentMs: 30 * MINUTE } }),
  ];
  const { engine, devices } = engineOf(rules, 1_000);
  const rounds = Array.from({ length: 500 }, (_, i) => round(devices, START + (i + 1) * MINUTE));
  const from = performance.now();
  for (const readings of rounds) engine.replay(readings, 3);
  return (1_000 * rounds.length * devices.length) / (performance.now() - from);
}

import { describe, expect, test } from 'vitest';
import type { Clause, KnownDevice } from '../../../domain/index.ts';
import { createRuleEngine, type RuleEngine } from '../../../rules/engine/index.ts';
import {
  anomaly,
  columns,
  DAY,
  device,
  forecast,
  HOUR,
  inForce,
  MINUTE,
  metricTable,
  rule,
} from '../../kit/rules/reference/kit.ts';

const START = Date.UTC(2026, 2, 2);
const SENSOR: KnownDevice = device('a0');
type Reading = readonly [ts: number, value: number];

/** What comes every hour of some days: louder by day, and never quite the same. */
const hours = (from: number, to: number): Reading[] =>
  Array.from({ length: (to - from) * 24 }, (_, i) => {
    const hour = from * 24 + i;
    return [START + hour * HOUR, 50 + 10 * Math.sin((2 * Math.PI * hour) / 24) + ((hour * 7) % 5)];
  });

class Bench {
  readonly metrics = metricTable();
  engine: RuleEngine;
  readonly #when: Clause;
  #seq = 2;

  constructor(when: Clause) {
    this.#when = when;
    this.engine = this.#made();
  }

  #made(): RuleEngine {
    const engine = createRuleEngine({ metrics: this.metrics, gaps: false });
    engine.configure(inForce([rule({ when: this.#when })]), { seq: 1, atMs: START });
    engine.deviceChanged(SENSOR, { seq: 1, atMs: START });
    return engine;
  }

  #columns(readings: readonly Reading[]) {
    return columns(readings.map(([ts, value]) => [SENSOR, this.metrics.indexOf('pm25'), ts, value]));
  }

  live(readings: readonly Reading[]) {
    return readings.flatMap((one) => this.engine.step(this.#columns([one]), { seq: ++this.#seq, atMs: one[0] }));
  }

  train(readings: readonly Reading[], atMs: number) {
    return this.engine.train(this.#columns(readings), { seq: ++this.#seq, atMs });
  }

  restart(atMs: number): void {
    const rows = this.engine.takeDirty();
    this.engine = this.#made();
    this.engine.restore(rows);
    this.engine.tick({ seq: ++this.#seq, atMs });
  }

  clause() {
    return this.engine.explain('dust', 'a0')!.clauses[0]!;
  }
}

const NOW = START + 16 * DAY;
const SEASON = anomaly({ trainMs: 14 * DAY, leastSpread: 0.1 });
const LOUD = 500;

describe('anomalies learn from readings of the past', () => {
  test.each<[string, (bench: Bench) => unknown[]]>([
    ['before the first live reading', (bench) => [...bench.train(hours(1, 15), NOW), ...bench.live(hours(15, 16))]],
    ['after live readings', (bench) => [...bench.live(hours(15, 16)), ...bench.train(hours(1, 15), NOW)]],
    [
      'in two parts, the newer one first',
      (bench) => [...bench.live(hours(15, 16)), ...bench.train(hours(8, 15), NOW), ...bench.train(hours(1, 8), NOW)],
    ],
    [
      'over a restart',
      (bench) => {
        const found = [...bench.live(hours(15, 16)), ...bench.train(hours(1, 15), NOW)];
        bench.restart(NOW);
        return found;
      },
    ],
  ])('training - %s they know the same as from readings that came live', (_, play) => {
    const live = new Bench(SEASON);
    const trained = new Bench(SEASON);
    expect(play(trained)).toEqual([]);
    live.live(hours(1, 16));
    const now: Reading = [NOW, LOUD];
    expect(trained.live([now])).toMatchObject([{ to: 'firing', value: LOUD }]);
    live.live([now]);
    expect(trained.clause().clear).not.toBeNull();
    expect(trained.clause()).toMatchObject({ clear: live.clause().clear, value: LOUD, verdict: 'true' });
  });

  test('training - the samples are those of the aggregate, of each hour one', () => {
    const mean = anomaly({ trainMs: 14 * DAY, leastSpread: 0.1, fn: 'mean', windowMs: 2 * HOUR });
    const often = hours(1, 16).flatMap(([ts, value]): Reading[] => [
      [ts, value],
      [ts + 20 * MINUTE, value + 3],
    ]);
    const [live, trained] = [new Bench(mean), new Bench(mean)];
    live.live([...often, [NOW, LOUD]]);
    trained.train(often, NOW);
    trained.live([[NOW, LOUD]]);
    expect(trained.clause().clear).toEqual(live.clause().clear);
  });

  test('training - nothing fires by it, and what fires goes on', () => {
    const bench = new Bench(SEASON);
    bench.train(hours(1, 15), NOW - DAY);
    bench.live([[NOW - HOUR, LOUD]]);
    expect(bench.train(hours(0, 1), NOW)).toEqual([]);
    expect(bench.train([[NOW - MINUTE, 51]], NOW)).toEqual([]);
    expect(bench.engine.explain('dust', 'a0')).toMatchObject({ state: 'firing' });
  });
});

describe('forecasts of a season learn from readings of the past', () => {
  const model = forecast({ method: 'holt_winters', withinMs: 6 * HOUR, threshold: 62 });

  test('training - what continues the model is learned as if it had come live, and a limit is not crossed by it', () => {
    const [live, trained] = [new Bench(model), new Bench(model)];
    live.live(hours(0, 5));
    expect(trained.train(hours(0, 5), START + 5 * DAY)).toEqual([]);
    const now: Reading = [START + 5 * DAY, 50];
    live.live([now]);
    trained.live([now]);
    expect(trained.clause().value).toBe(live.clause().value);
    expect(trained.clause().value).toBeGreaterThan(55);
  });
});

test('training - other clauses take nothing from it, and silence goes on', () => {
  const bench = new Bench({ kind: 'absent', metric: 'pm25', absentMs: HOUR });
  bench.engine.tick({ seq: 3, atMs: START + 2 * HOUR });
  expect(bench.train(hours(0, 1), START + 2 * HOUR)).toEqual([]);
  expect(bench.engine.explain('dust', 'a0')).toMatchObject({ state: 'firing' });
});

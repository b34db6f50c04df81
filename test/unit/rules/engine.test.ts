import { describe, expect, test } from 'vitest';
import { createRuleEngine } from '../../../rules/engine/index.ts';
import { columns, device, inForce, metricTable, rule, timeline } from '../../kit/rules/engine.ts';
import { rule as ruleOf } from '../../kit/rules/reference/kit.ts';

/** The rule with another threshold, in another version. */
const over = (threshold: number) => rule({ version: `above ${threshold}`, when: { threshold, clear: threshold } });

describe('states', () => {
  test('alert - fires at once where the rule has no `for`', () => {
    const city = timeline(rule());
    expect(city.reading(1, 75)).toEqual([]);
    expect(city.reading(2, 75.1)).toEqual(['dust a0: inactive → firing at 75.1']);
    expect(city.reading(3, 90)).toEqual([]);
    expect(city.reading(4, 75)).toEqual(['dust a0: firing → resolved at 75']);
    expect(city.reading(5, 80)).toEqual(['dust a0: inactive → firing at 80']);
  });

  test('for - the alert fires at its due time, before a reading of the same or a later time', () => {
    const city = timeline(rule({ forMs: 60_000 }));
    expect(city.reading(0, 80)).toEqual(['dust a0: inactive → pending at 80']);
    expect(city.reading(59, 81)).toEqual([]);
    const [fired, ...rest] = city.transitions(70, 82);
    expect([fired!.to, fired!.atMs, fired!.value, rest.length]).toEqual(['firing', 60_000, 81, 0]);
  });

  test('for - a tick fires the alert of a silent device', () => {
    const city = timeline(rule({ forMs: 60_000 }));
    city.reading(0, 80);
    expect(city.tick(59)).toEqual([]);
    expect(city.tick(61)).toEqual(['dust a0: pending → firing at 80']);
    expect(city.tick(3600)).toEqual([]);
  });

  test('for - a miss cancels and the count starts again', () => {
    const city = timeline(rule({ forMs: 60_000 }));
    city.reading(0, 80);
    expect(city.reading(50, 70)).toEqual(['dust a0: pending → cancelled at 70']);
    expect(city.tick(70)).toEqual([]);
    expect(city.reading(80, 80)).toEqual(['dust a0: inactive → pending at 80']);
    expect(city.reading(120, 80)).toEqual([]);
    expect(city.reading(140, 80)).toEqual(['dust a0: pending → firing at 80']);
  });

  test('for - is engine time, not device time', () => {
    const city = timeline(rule({ forMs: 60_000 }));
    city.reading(0, 80, { ts: 0 });
    expect(city.reading(1, 80, { ts: 600 })).toEqual([]);
    expect(city.reading(60, 80, { ts: 601 })).toEqual(['dust a0: pending → firing at 80']);
  });

  test('silence - never resolves', () => {
    const city = timeline(rule());
    city.reading(0, 80);
    expect(city.tick(1_000_000)).toEqual([]);
  });

  test('keep_firing_for - a miss resolves only after that time, at a reading or a tick', () => {
    const byReading = timeline(rule({ keepFiringForMs: 30_000 }));
    byReading.reading(0, 80);
    expect(byReading.reading(10, 70)).toEqual([]);
    expect(byReading.reading(39, 70)).toEqual([]);
    expect(byReading.reading(40, 71)).toEqual(['dust a0: firing → resolved at 70']);
    const byTick = timeline(rule({ keepFiringForMs: 30_000 }));
    byTick.reading(0, 80);
    byTick.reading(10, 70);
    expect(byTick.tick(39)).toEqual([]);
    expect(byTick.tick(40)).toEqual(['dust a0: firing → resolved at 70']);
  });

  test('keep_firing_for - a new match clears the wait', () => {
    const city = timeline(rule({ keepFiringForMs: 30_000 }));
    city.reading(0, 80);
    city.reading(10, 70);
    expect(city.reading(20, 80)).toEqual([]);
    expect(city.tick(60)).toEqual([]);
    expect(city.reading(70, 70)).toEqual([]);
    expect(city.tick(99)).toEqual([]);
    expect(city.tick(100)).toEqual(['dust a0: firing → resolved at 70']);
  });

  test('hysteresis - above holds until the value is at or below clear', () => {
    const city = timeline(rule({ when: { threshold: 75, clear: 60 } }));
    expect(city.reading(1, 70)).toEqual([]);
    city.reading(2, 76);
    expect(city.reading(3, 60.1)).toEqual([]);
    expect(city.reading(4, 60)).toEqual(['dust a0: firing → resolved at 60']);
    expect(city.reading(5, 70)).toEqual([]);
  });

  test('hysteresis - below holds until the value is at or above clear', () => {
    const city = timeline(rule({ when: { op: 'below', threshold: 10, clear: 20 } }));
    expect(city.reading(1, 10)).toEqual([]);
    expect(city.reading(2, 9.9)).toEqual(['dust a0: inactive → firing at 9.9']);
    expect(city.reading(3, 19.9)).toEqual([]);
    expect(city.reading(4, 20)).toEqual(['dust a0: firing → resolved at 20']);
  });

  test('hysteresis - while keep_firing_for runs a new match must pass the threshold again', () => {
    const city = timeline(rule({ when: { clear: 60 }, keepFiringForMs: 30_000 }));
    city.reading(0, 80);
    city.reading(10, 55);
    expect(city.reading(20, 70)).toEqual([]);
    expect(city.tick(40)).toEqual(['dust a0: firing → resolved at 70']);
  });

  test('last - a reading older than the newest is ignored', () => {
    const city = timeline(rule());
    city.reading(10, 80);
    expect(city.reading(11, 10, { ts: 9 })).toEqual([]);
    expect(city.reading(12, 10, { ts: 10 })).toEqual(['dust a0: firing → resolved at 10']);
  });
});

describe('rules and devices', () => {
  test('where - a rule applies only to devices that match every list', () => {
    const where = { profile: ['air'], district: ['harbour', 'old-town'], tags: { road: 'a1' } };
    const city = timeline(rule({ where }), rule({ id: 'only-a4', where: { device: ['a4'] } }));
    const tags = { road: 'a1' };
    city.device(0, device('a0', { tags }));
    city.device(0, device('a1', { tags, profile: 'noise' }));
    city.device(0, device('a2', { tags, district: 'hills' }));
    city.device(0, device('a3'));
    city.device(0, device('a4'));
    const fired = ['a0', 'a1', 'a2', 'a3', 'a4'].flatMap((id) => city.reading(1, 80, { id }));
    expect(fired).toEqual(['dust a0: inactive → firing at 80', 'only-a4 a4: inactive → firing at 80']);
    expect(city.engine.instanceCount()).toBe(2);
  });

  test('step - ignores other metrics and unknown devices', () => {
    const city = timeline(rule());
    city.device(0, device('a0'));
    expect(city.reading(1, 80, { metric: 'noise' })).toEqual([]);
    const stranger = columns([[device('a7'), 0, 1000, 80]]);
    expect(city.engine.step(stranger, { seq: 99, atMs: 1000 })).toEqual([]);
    expect(city.engine.instanceCount()).toBe(0);
  });

  test('configure - keeps the state of a rule whose version did not change', () => {
    const city = timeline(rule({ forMs: 60_000 }));
    city.reading(0, 80);
    expect(city.configure(10, rule({ id: 'another' }), rule({ forMs: 60_000 }))).toEqual([]);
    expect(city.reading(60, 80)).toEqual(['dust a0: pending → firing at 80', 'another a0: inactive → firing at 80']);
  });

  test('configure - ends the alerts of removed rules, and those of changed ones once they no longer hold', () => {
    const city = timeline(rule(), rule({ id: 'slow', forMs: 60_000 }), rule({ id: 'gone' }));
    city.reading(0, 80);
    expect(city.configure(10, over(90), rule({ id: 'slow', version: 'v2', forMs: 1 }))).toEqual([
      'gone a0: firing → resolved at 80',
      'slow a0: pending → cancelled at 80',
    ]);
    expect(city.tick(100)).toEqual([]);
    expect(city.reading(101, 80)).toEqual(['dust a0: firing → resolved at 80', 'slow a0: inactive → pending at 80']);
  });

  test('configure - a changed rule starts without its old readings', () => {
    const mean = { fn: 'mean', windowMs: 60_000, threshold: 50 } as const;
    const city = timeline(rule({ when: mean }));
    city.reading(1, 1000);
    city.configure(2, rule({ version: 'v2', when: { ...mean, threshold: 51 } }));
    expect(city.reading(3, 10)).toEqual(['dust a0: firing → resolved at 10']);
  });

  test('deviceChanged - ends alerts of rules that no longer apply and keeps the rest', () => {
    const city = timeline(rule({ where: { district: ['harbour'] } }), rule({ id: 'anywhere' }));
    city.reading(0, 80);
    expect(city.device(10, device('a0', { district: 'hills' }))).toEqual(['dust a0: firing → resolved at 80']);
    expect(city.reading(11, 70)).toEqual(['anywhere a0: firing → resolved at 70']);
  });

  test('deviceRevoked - ends its alerts; after a new registration it starts without state', () => {
    const city = timeline(rule({ keepFiringForMs: 60_000 }));
    city.reading(0, 80);
    city.reading(1, 10);
    expect(city.revoke(2, 'a0')).toEqual(['dust a0: firing → resolved at 10']);
    expect(city.tick(1000)).toEqual([]);
    expect(city.reading(1001, 80)).toEqual([]);
    city.device(1002, device('a0'));
    expect(city.reading(1003, 80)).toEqual(['dust a0: inactive → firing at 80']);
  });

  test('tick - alerts that are due at the same time come in order of rule and group', () => {
    const city = timeline(rule({ id: 'b', forMs: 1000 }), rule({ id: 'a', forMs: 1000 }));
    city.device(0, device('a1'));
    city.device(0, device('a0'));
    city.reading(1, 80, { id: 'a1' });
    city.reading(1, 80, { id: 'a0' });
    expect(city.tick(9).map((line) => line.slice(0, 4))).toEqual(['a a0', 'a a1', 'b a0', 'b a1']);
  });
});

describe('transitions', () => {
  test('id - counts the transitions of a block over all calls', () => {
    const metrics = metricTable();
    const engine = createRuleEngine({ metrics });
    const [first, second] = [device('a0'), device('a1')];
    engine.configure(inForce([rule()]), { seq: 1, atMs: 0 });
    for (const known of [first, second]) engine.deviceChanged(known, { seq: 1, atMs: 0 });
    const readings = columns([first, second].map((known) => [known, metrics.indexOf('pm25'), 1000, 80] as const));
    const moment = { seq: 7, atMs: 1000 };
    const ids = [...engine.step(readings, moment), ...engine.configure(inForce([]), moment)].map(({ id }) => id);
    expect(ids).toEqual(['7.0', '7.1', '7.2', '7.3']);
    engine.configure(inForce([rule()]), { seq: 8, atMs: 2000 });
    expect(engine.step(readings, { seq: 9, atMs: 2000 }).map(({ id }) => id)).toEqual(['9.0', '9.1']);
  });

  test('evidence - shows the newest ten readings in order of event time', () => {
    const city = timeline(rule({ severity: 'low', forMs: 5000 }));
    for (let second = 1; second <= 14; second++) city.reading(second, second);
    city.reading(100, 76, { ts: 20 });
    const [fired] = city.transitions(105, 77, { ts: 21 });
    expect(fired).toEqual({
      id: '18.0',
      rule: 'dust',
      group: 'a0',
      from: 'pending',
      to: 'firing',
      atMs: 105_000,
      sinceMs: 100_000,
      value: 76,
      severity: 'low',
      evidence: {
        ruleVersion: 'v1',
        window: {
          metric: 'pm25',
          fn: 'last',
          fromMs: 20_000,
          toMs: 20_000,
          count: 1,
          value: 76,
          op: 'above',
          threshold: 75,
        },
        readings: [...[6, 7, 8, 9, 10, 11, 12, 13, 14].map((n) => [n * 1000, n]), [20_000, 76]],
      },
    });
  });
});

describe('checkpoint', () => {
  test('takeDirty - returns only what changed since the last call', () => {
    const city = timeline(rule());
    city.device(0, device('a0'));
    city.device(0, device('a1'));
    city.reading(1, 1, { id: 'a0' });
    city.reading(1, 1, { id: 'a1' });
    const groups = () => city.engine.takeDirty().map(({ rule: of, group }) => (of === '' ? 'the clock' : group));
    expect(groups()).toEqual(['a0', 'a1', 'the clock']);
    city.reading(2, 1, { id: 'a1' });
    expect(groups()).toEqual(['a1', 'the clock']);
    expect(groups()).toEqual(['the clock']);
  });

  test('takeDirty - returns a deleted state before the one that replaces it', () => {
    const city = timeline(rule());
    city.reading(1, 1);
    city.engine.takeDirty();
    city.configure(2, over(90));
    city.reading(3, 1);
    const rows = city.engine.takeDirty().map(({ version, state }) => [version, state === null]);
    expect(rows.slice(0, 2)).toEqual([
      ['v1', true],
      ['above 90', false],
    ]);
  });

  test('restore - ignores the states of other versions and devices, and deletes them', () => {
    const before = timeline(rule());
    before.reading(1, 80);
    const [row, clock] = before.engine.takeDirty();
    const after = timeline(rule({ version: 'v2' }));
    after.device(1, device('a0'));
    after.engine.restore([row!, clock!]);
    expect(after.engine.instanceCount()).toBe(0);
    expect(after.engine.takeDirty()).toEqual([{ ...row, state: null }, clock]);
  });

  test.each([
    ['min', 'below', 9, [12, 11, 10], 8],
    ['max', 'above', -9, [-12, -11, -10], -8],
    ['mean', 'above', 10, [4, 6, 8], 25],
  ] as const)('restore - a window of %s goes on where it was', (fn, op, threshold, values, last) => {
    const watched = rule({ when: { fn, op, threshold, windowMs: 600_000 } });
    const before = timeline(watched);
    values.forEach((value, i) => {
      before.reading(i * 10, value);
    });
    const after = timeline(watched);
    after.device(30, device('a0'));
    after.engine.restore(before.engine.takeDirty());
    expect(after.engine.takeDirty()).toHaveLength(1);
    expect(after.reading(40, values[2])).toEqual([]);
    expect(after.reading(50, last)).toHaveLength(1);
    const [ended] = after.engine.configure(inForce([]), { seq: 99, atMs: 60_000 });
    expect(ended!.evidence.window).toMatchObject({ count: 5, fromMs: -540_000, toMs: 50_000 });
    expect(ended!.evidence.readings.map(([, value]) => value)).toEqual([...values, values[2], last]);
  });

  test('restore - throws on bytes that are no state', () => {
    const city = timeline(rule());
    city.device(0, device('a0'));
    for (const state of [new Uint8Array(0), new Uint8Array([1, 0, 0, 0]), new Uint8Array(52).fill(9)]) {
      const row = { rule: 'dust', version: 'v1', group: 'a0', state };
      expect(() => city.engine.restore([row])).toThrow(/state of (the rules|rule dust for a0)/);
    }
  });

  test('state - of a minute-by-minute window of 15 minutes stays under a kibibyte', () => {
    const city = timeline(rule({ when: { fn: 'mean', windowMs: 900_000 } }));
    for (let minute = 0; minute < 100; minute++) city.reading(minute * 60, 80);
    expect(city.engine.takeDirty()[0]!.state!.length).toBeLessThan(1024);
  });
});

test('engine - a change of profiles in the city changes the devices of a rule at once, and keeps its other alerts', () => {
  const before = timeline(rule({ profiles: ['noise'] }));
  before.device(0, device('a0'));
  before.device(0, { ...device('n0'), index: 1, profile: 'noise' });
  expect(before.reading(1, 90, { id: 'a0' })).toEqual([]);
  expect(before.reading(1, 90, { id: 'n0' })).toEqual(['dust n0: inactive → firing at 90']);
  expect(before.configure(2, rule({ profiles: ['air', 'noise'] }))).toEqual([]);
  expect(before.reading(3, 91, { id: 'a0' })).toEqual(['dust a0: inactive → firing at 91']);
  expect(before.configure(4, rule({ profiles: ['air'] }))).toEqual([
    expect.stringMatching(/^dust n0: firing → resolved/),
  ]);
});

test('a changed rule - other words change nothing, also after a restart from the next checkpoint', () => {
  const city = timeline(rule({ keepFiringForMs: 60_000 }));
  city.reading(0, 80);
  city.engine.takeDirty();
  const reworded = rule({ keepFiringForMs: 60_000, version: 'v2', title: 'Dust', source: 'title: Dust' });
  expect(city.configure(10, reworded)).toEqual([]);
  const after = timeline(reworded);
  after.device(10, device('a0'));
  after.engine.restore(city.engine.takeDirty());
  expect(after.reading(20, 10)).toEqual([]);
  expect(after.tick(80)).toEqual(['dust a0: firing → resolved at 10']);
});

test('a changed rule - one that raises a ticket from now on shows its firing alerts again', () => {
  const ticket = { service: 'air', deadlineMs: 1 };
  const { ticket: _, ...alertOnly } = rule();
  const city = timeline(alertOnly);
  city.reading(0, 80);
  expect(city.configure(1, rule({ version: 'v2', ticket }))).toEqual(['dust a0: firing → firing at 80']);
  expect(city.configure(2, rule({ version: 'v3', ticket: { ...ticket, deadlineMs: 2 } }))).toEqual([]);
});

test('a changed rule - its alert goes on while the change holds, and ends by the change where it does not', () => {
  const city = timeline(rule({ keepFiringForMs: 60_000 }));
  const [fired] = city.transitions(1, 95);
  expect(city.configure(2, over(80))).toEqual([]);
  expect(city.reading(3, 90)).toEqual([]);
  expect(city.configure(4, over(92))).toEqual([]);
  const [ended] = city.transitions(5, 91);
  expect(ended).toMatchObject({ to: 'resolved', because: 'rule-changed', sinceMs: fired!.sinceMs, value: 91 });
  expect(ended!.evidence).toMatchObject({ ruleVersion: 'above 92', window: { threshold: 92 } });
  // What held once under the changed rule ends as always.
  city.reading(6, 95);
  expect(city.transitions(7, 10)[0]).not.toHaveProperty('because');
});

test('a changed rule - its alert survives a restart before the changed condition is known', () => {
  const city = timeline(rule());
  city.reading(1, 95);
  city.configure(2, over(90));
  const after = timeline(over(90));
  after.device(2, device('a0'));
  after.engine.restore(city.engine.takeDirty());
  expect(after.engine.explain('dust', 'a0')).toMatchObject({ state: 'firing', reason: 'unknown' });
  expect(after.transitions(3, 10)).toMatchObject([{ to: 'resolved', because: 'rule-changed' }]);
});

test('a changed rule - a silence goes on under another limit', () => {
  const silent = (minutes: number) =>
    ruleOf({ version: `v${minutes}`, when: { kind: 'absent', metric: null, absentMs: minutes * 60_000 } });
  const city = timeline(silent(10));
  city.device(0, device('a0'));
  expect(city.tick(600)).toEqual(['dust a0: inactive → firing at 600']);
  expect(city.configure(700, silent(5))).toEqual([]);
  expect(city.configure(701, silent(20))).toEqual(['dust a0: firing → resolved at 701']);
});

test('a changed rule - with a calendar, a device that falls silent before it speaks again ends its alert in time', () => {
  const week = { weekdays: [1, 2, 3, 4, 5, 6, 7], fromMin: 0, toMin: 1_440 };
  const title = { en: 'always', zh: '始终' };
  const always = { id: 'always', title, zone: 'UTC', spans: [week], holidays: [], workdays: [] };
  const silent = { active: 'always', onNoData: 'resolve', noDataAfterMs: 60_000, noDataGraceMs: 60_000 } as const;
  const dust = (threshold: number) => ({ ...over(threshold), ...silent, keepFiringForMs: 30_000 });
  const city = timeline();
  const configure = (second: number, seq: number, threshold: number) =>
    city.engine.configure(inForce([dust(threshold)], [always]), { seq, atMs: second * 1_000 });
  configure(0, 2, 75);
  expect(city.reading(1, 80)).toEqual(['dust a0: inactive → firing at 80']);
  expect(configure(2, 50, 70)).toEqual([]);
  const ends = [60, 61, 62, 90, 91, 92, 93].flatMap((second) => city.tick(second));
  expect(ends).toHaveLength(1);
  expect(ends[0]).toContain('firing → resolved');
});

test('a changed rule - another time for devices that never spoke counts at once, without a restart too', () => {
  const grace = (minutes: number) =>
    rule({
      version: `grace ${minutes}`,
      onNoData: 'alert',
      noDataAfterMs: 3_600_000,
      noDataGraceMs: minutes * 60_000,
    });
  const city = timeline(grace(60));
  city.device(0, device('a0'));
  city.configure(1, grace(2));
  const restored = timeline(grace(2));
  restored.device(1, device('a0'));
  restored.engine.restore(city.engine.takeDirty());
  const firesAt = (one: ReturnType<typeof timeline>) =>
    Array.from({ length: 200 }, (_, i) => i + 2).find((second) => one.tick(second).length > 0);
  expect([firesAt(city), firesAt(restored)]).toEqual([121, 121]);
});

test('a changed rule - takes a higher severity at once, and keeps one that the change lowers', () => {
  const city = timeline(rule({ severity: 'low' }));
  city.reading(1, 80);
  const raised = city.engine.configure(inForce([rule({ version: 'v2', severity: 'high' })]), { seq: 50, atMs: 2_000 });
  expect(raised).toMatchObject([{ from: 'firing', to: 'firing', severity: 'high' }]);
  expect(city.configure(3, rule({ version: 'v3', severity: 'info' }))).toEqual([]);
  expect(city.transitions(4, 10)).toMatchObject([{ to: 'resolved', severity: 'high' }]);
});

test('an alert says why it ended where its condition did not end it', () => {
  const because = (work: (city: ReturnType<typeof timeline>) => unknown) => {
    const city = timeline(rule());
    city.reading(0, 80);
    const out = work(city) as { because?: string }[];
    return out.map((one) => one.because);
  };
  const moment = { seq: 90, atMs: 1_000 };
  expect(because(({ engine }) => engine.configure(inForce([]), moment))).toEqual(['rule-removed']);
  const elsewhere = rule({ version: 'v2', where: { district: ['hills'] } });
  expect(because(({ engine }) => engine.configure(inForce([elsewhere]), moment))).toEqual(['rule-left']);
  expect(because(({ engine }) => engine.deviceRevoked(device('a0'), moment))).toEqual(['device-revoked']);
});

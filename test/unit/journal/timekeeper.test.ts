import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ClockControl, DAY_MS, HOUR_MS, MINUTE_MS, SharedClock } from '../../../domain/index.ts';
import { Timekeeper } from '../../../journal/index.ts';

const T0 = Date.UTC(2027, 0, 4);
const WAIT_MS = 2 * MINUTE_MS;

/** A machine whose clocks the test moves, and the clock that is kept on it. */
function kept(newest: { receivedAt: number; steadyAt: number } | null = null, wallMs = T0) {
  const machine = { wallMs, monotonicMs: 5_000, sleptMs: 100 };
  const monotonic = { now: () => machine.monotonicMs };
  const wall = { now: () => machine.wallMs };
  const clock = new SharedClock(null, wall, monotonic);
  const sources = { wall, monotonic, sleptMs: () => machine.sleptMs };
  const timekeeper = new Timekeeper(clock, { waitMs: WAIT_MS }, sources);
  timekeeper.begin(newest);
  return {
    clock,
    timekeeper,
    pass(ms: number) {
      machine.wallMs += ms;
      machine.monotonicMs += ms;
    },
    setWall(ms: number) {
      machine.wallMs = ms;
    },
    sleep(ms: number) {
      machine.wallMs += ms;
      machine.sleptMs += ms;
    },
    /** What an append does. */
    record(): ClockControl | null {
      const control = timekeeper.check();
      if (control !== null) timekeeper.accept(control, clock.offsetMs() + control.byMs);
      return control;
    },
  };
}

describe('the kept clock', () => {
  test('follows the wall clock, and records nothing, while nobody sets it', () => {
    const { clock, pass, record } = kept();
    pass(HOUR_MS);
    expect([record(), clock.now(), clock.steady.now()]).toEqual([null, T0 + HOUR_MS, T0 + HOUR_MS]);
  });

  test('a step is one record, and moves civil time only', () => {
    const { clock, setWall, record, timekeeper } = kept();
    setWall(T0 + 8 * DAY_MS);
    expect(record()).toEqual({ byMs: 8 * DAY_MS, fromMs: T0, wallMs: T0 + 8 * DAY_MS, doubt: null });
    expect([record(), clock.now(), clock.steady.now()]).toEqual([null, T0 + 8 * DAY_MS, T0]);
    setWall(T0);
    expect(record()).toMatchObject({ byMs: -8 * DAY_MS });
    expect([clock.now(), clock.offsetMs(), timekeeper.status().steps]).toEqual([T0, 0, 2]);
  });

  test('a difference of less than half a second is none', () => {
    const { clock, setWall, record } = kept();
    setWall(T0 + 400);
    expect([record(), clock.now()]).toEqual([null, T0]);
  });

  test('does not move before the record is on disk', () => {
    const { clock, setWall, timekeeper } = kept();
    setWall(T0 + DAY_MS);
    expect(timekeeper.check()).toMatchObject({ byMs: DAY_MS });
    expect(clock.now()).toBe(T0);
  });

  test('the sleep of the machine is time that passed, not a step', () => {
    const { clock, sleep, record } = kept();
    sleep(8 * HOUR_MS);
    expect([record(), clock.steady.now(), clock.offsetMs()]).toEqual([null, T0 + 8 * HOUR_MS, 0]);
  });

  test('a start goes on from the newest record, and the time between is the time that it was down', () => {
    const newest = { receivedAt: T0 + DAY_MS, steadyAt: T0 };
    const { clock, record } = kept(newest, T0 + DAY_MS + HOUR_MS);
    expect([record(), clock.steady.now(), clock.offsetMs()]).toEqual([null, T0 + HOUR_MS, DAY_MS]);
  });

  test('a start less than a minute behind the newest record is a step back', () => {
    const { clock, record } = kept({ receivedAt: T0, steadyAt: T0 }, T0 - 30_000);
    expect(record()).toMatchObject({ byMs: -30_000, doubt: null });
    expect([clock.now(), clock.steady.now()]).toEqual([T0 - 30_000, T0]);
  });

  test.each([
    ['1970', 0, 'before-lamppost'],
    ['two days behind the log', T0 - 2 * DAY_MS, 'before-the-log'],
    ['2099', Date.UTC(2099, 0), 'far-ahead'],
  ])(
    'a start in %s is not believed: time goes on from the newest record, until it is set right',
    (_name, at, doubt) => {
      const { clock, pass, setWall, record, timekeeper } = kept({ receivedAt: T0, steadyAt: T0 }, at);
      expect(record()).toMatchObject({ byMs: 0, wallMs: at, doubt });
      pass(MINUTE_MS);
      expect([record(), clock.now(), timekeeper.status().doubt]).toEqual([null, T0 + MINUTE_MS, doubt]);
      setWall(T0 + HOUR_MS);
      expect(record()).toMatchObject({ byMs: 0, doubt: null });
      expect([clock.now(), clock.offsetMs(), timekeeper.status().doubt]).toEqual([T0 + HOUR_MS, 0, null]);
    },
  );

  test('a clock that nobody corrects in time is believed, one that shows an impossible time never', () => {
    const behind = kept({ receivedAt: T0, steadyAt: T0 }, T0 - 2 * DAY_MS);
    behind.record();
    expect(behind.timekeeper.status().believedInMs).toBe(WAIT_MS);
    behind.pass(WAIT_MS);
    expect(behind.record()).toMatchObject({ byMs: -2 * DAY_MS, doubt: null });
    const impossible = kept({ receivedAt: T0, steadyAt: T0 }, 0);
    impossible.record();
    impossible.pass(DAY_MS);
    expect([impossible.record(), impossible.timekeeper.status().believedInMs]).toEqual([null, null]);
  });

  test('whatever is done to the wall clock, steady time is the time that passed, and a replay of the records agrees', () => {
    const act = fc.oneof(
      fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: DAY_MS }) }),
      fc.record({ kind: fc.constant('set' as const), ms: fc.integer({ min: 0, max: Date.UTC(2150, 0) }) }),
      fc.record({ kind: fc.constant('sleep' as const), ms: fc.integer({ min: 1_000, max: DAY_MS }) }),
    );
    fc.assert(
      fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
        const { clock, pass, setWall, sleep, record } = kept();
        let passed = 0;
        let offset = 0;
        for (const { kind, ms } of acts) {
          if (kind === 'set') setWall(ms);
          else {
            passed += ms;
            (kind === 'pass' ? pass : sleep)(ms);
          }
          offset += record()?.byMs ?? 0;
          expect(clock.offsetMs()).toBe(offset);
          // The sleep of a machine whose clock is right to half a second is seen when the clocks are compared.
          expect(clock.steady.now()).toBeLessThanOrEqual(T0 + passed);
          if (acts.every((one) => one.kind !== 'sleep')) expect(clock.steady.now()).toBe(T0 + passed);
        }
      }),
    );
  });
});

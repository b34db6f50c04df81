import {
  type Clock,
  type ClockControl,
  type ClockDoubt,
  DAY_MS,
  MINUTE_MS,
  monotonicClock,
  type SharedClock,
  systemClock,
} from '../domain/index.ts';

/** What the machine says of time. */
interface Machine {
  readonly wall: Clock;
  readonly monotonic: Clock;
  /** How long the machine has slept since it was started, ms: the monotonic clock stands still meanwhile. */
  readonly sleptMs: () => number;
}

/** What is known of the wall clock. */
export interface ClockStatus {
  /** Civil minus steady time, ms: the sum of all steps. */
  readonly offsetMs: number;
  /** Steps since the start. */
  readonly steps: number;
  /** Why the wall clock is not believed; null where civil time follows it. */
  readonly doubt: ClockDoubt | null;
  /** For how long it is not believed at most, ms; null: until it shows a possible time. */
  readonly believedInMs: number | null;
}

/** A smaller difference is left alone: NTP slews the monotonic clock as well, so a difference does not grow. */
const STEP_MS = 500;
/** A start whose wall clock is further behind the newest record waits for a correction … */
const BEHIND_MS = MINUTE_MS;
/** … as does one that is further ahead of it: nobody believes that the machine was off for so long. */
const LONGEST_DOWN_MS = 30 * DAY_MS;
/** No wall clock that shows an earlier time is right. */
const EARLIEST_MS = Date.UTC(2024, 0, 1);

/**
 * Keeps the log's clock. Between two records of kind `clock`, civil time follows the monotonic clock; when the wall
 * clock was set, `check` returns the record that moves it. A clock that is set right, wrong or right again so changes
 * no duration (ADR 20).
 */
export class Timekeeper {
  readonly #clock: SharedClock;
  readonly #machine: Machine;
  readonly #waitMs: number;
  #steps = 0;
  #doubt: ClockDoubt | null = null;
  #sleptMs: number;
  /** While it is not known how long the machine was down: since when, and wall minus monotonic time then. */
  #settling: { readonly sinceMs: number; readonly apartMs: number } | null = null;

  constructor(clock: SharedClock, { waitMs }: { readonly waitMs: number }, machine: Machine) {
    this.#clock = clock;
    this.#machine = machine;
    this.#waitMs = waitMs;
    this.#sleptMs = machine.sleptMs();
  }

  /** Goes on from the newest record of the log; null where there is none. */
  begin(newest: { readonly receivedAt: number; readonly steadyAt: number } | null): void {
    const wallMs = this.#machine.wall.now();
    if (newest === null) this.#clock.set(Math.max(wallMs, EARLIEST_MS), 0);
    else this.#clock.set(newest.steadyAt, newest.receivedAt - newest.steadyAt);
    const sinceMs = this.#machine.monotonic.now();
    this.#settling = { sinceMs, apartMs: wallMs - sinceMs };
    // How long the machine was down is known at once where the wall clock is believed.
    this.check();
  }

  /** Compares with the wall clock. Returns the record to append before anything else, then `accept`; null: none. */
  check(): ClockControl | null {
    const wallMs = Math.floor(this.#machine.wall.now());
    if (Math.abs(this.#aheadMs(wallMs)) > STEP_MS) this.#addSleep();
    const aheadMs = this.#aheadMs(wallMs);
    const doubt = this.#doubtOf(wallMs, aheadMs);
    const record = { fromMs: this.#clock.now(), wallMs, doubt };
    if (doubt !== null) return doubt === this.#doubt ? null : { ...record, byMs: 0 };
    const isStep = Math.abs(aheadMs) > STEP_MS && !this.#addDowntime(aheadMs);
    this.#settling = isStep ? this.#settling : null;
    return isStep || this.#doubt !== null ? { ...record, byMs: isStep ? aheadMs : 0 } : null;
  }

  /** Goes on in the time of other nodes, whose records have set the clock: what this machine did meanwhile is in it. */
  join(): void {
    this.#settling = null;
    this.#sleptMs = this.#machine.sleptMs();
  }

  /** The record is on disk: civil time moves to be `offsetMs` ahead of steady time. */
  accept({ byMs, doubt }: ClockControl, offsetMs: number): void {
    this.#doubt = doubt;
    if (doubt !== null) return;
    this.#settling = null;
    if (byMs === 0) return;
    this.#steps++;
    this.#clock.set(this.#clock.steady.now(), offsetMs);
  }

  status(): ClockStatus {
    const believed = this.#doubt === null || this.#doubt === 'before-lamppost' || this.#settling === null;
    const believedInMs = believed ? null : Math.max(0, this.#waitMs - this.#settlingMs());
    return { offsetMs: this.#clock.offsetMs(), steps: this.#steps, doubt: this.#doubt, believedInMs };
  }

  #aheadMs(wallMs: number): number {
    return wallMs - this.#clock.now();
  }

  #settlingMs(): number {
    return this.#settling === null ? 0 : this.#machine.monotonic.now() - this.#settling.sinceMs;
  }

  #doubtOf(wallMs: number, aheadMs: number): ClockDoubt | null {
    if (wallMs < EARLIEST_MS) return 'before-lamppost';
    if (this.#settling === null || this.#wasSet(wallMs) || this.#settlingMs() >= this.#waitMs) return null;
    if (aheadMs < -BEHIND_MS) return 'before-the-log';
    return aheadMs > LONGEST_DOWN_MS ? 'far-ahead' : null;
  }

  /** Whether somebody set the wall clock since the start: what it shows now is what they mean. */
  #wasSet(wallMs: number): boolean {
    return Math.abs(wallMs - this.#machine.monotonic.now() - this.#settling!.apartMs) > STEP_MS;
  }

  /** At a start the time that nobody counted is real: the machine was down. */
  #addDowntime(aheadMs: number): boolean {
    if (this.#settling === null || aheadMs < 0 || aheadMs > LONGEST_DOWN_MS) return false;
    this.#clock.set(this.#clock.steady.now() + aheadMs, this.#clock.offsetMs());
    return true;
  }

  /** A machine that slept woke up later, whatever its clocks say: this is no step. */
  #addSleep(): void {
    const sleptMs = this.#machine.sleptMs();
    const since = sleptMs - this.#sleptMs;
    if (since < STEP_MS) return;
    this.#sleptMs = sleptMs;
    this.#clock.set(this.#clock.steady.now() + Math.round(since), this.#clock.offsetMs());
  }
}

/** The machine's own clocks; `uptimeMs` counts its sleep, as the monotonic clock does not. */
export function thisMachine(uptimeMs: () => number): Machine {
  return { wall: systemClock, monotonic: monotonicClock, sleptMs: () => uptimeMs() - monotonicClock.now() };
}

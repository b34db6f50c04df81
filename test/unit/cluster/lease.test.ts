import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Lease, type LeaseEntry, type LeaseWrite, MARGIN_MS, TTL_MS } from '../../../cluster/lease.ts';

const WALL_MS = 1_800_000_000_000;
const value = (run: string, term: number, free = false) => ({ node: run, run, term, free });

/** A key of NATS: a write counts only where it expects the newest revision. */
class Key {
  entry: LeaseEntry = { revision: 0, value: null };

  apply({ expected, value: next }: LeaseWrite): number | null {
    if (expected !== this.entry.revision) return null;
    this.entry = { revision: this.entry.revision + 1, value: next };
    return this.entry.revision;
  }
}

/** One step without delays. */
function step(lease: Lease, key: Key, nowMs: number, fit = true): void {
  if (lease.mustRead(nowMs)) lease.saw(key.entry, nowMs);
  const write = lease.next(nowMs, WALL_MS, fit);
  const revision = write === null ? null : key.apply(write);
  if (write !== null && revision !== null) lease.wrote(write, revision);
}

const leaseOf = (run: string) => new Lease({ node: run, run });

function held(): { key: Key; a: Lease; b: Lease } {
  const [key, a, b] = [new Key(), leaseOf('a'), leaseOf('b')];
  step(a, key, 0);
  step(a, key, TTL_MS + MARGIN_MS + 1);
  expect(a.holds(TTL_MS + MARGIN_MS + 2)).not.toBeNull();
  return { key, a, b };
}

test('lease - nobody takes one before a life of it has passed, even where there is none: keys may have been lost', () => {
  const [key, a] = [new Key(), leaseOf('a')];
  step(a, key, 0);
  step(a, key, TTL_MS + MARGIN_MS);
  expect(a.holds(TTL_MS + MARGIN_MS)).toBeNull();
  step(a, key, TTL_MS + MARGIN_MS + 1);
  expect(a.holds(TTL_MS + MARGIN_MS + 1)).toBe(WALL_MS / 1_000);
});

test('lease - it ends a life after the request that renewed it was sent, not after its response', () => {
  const { a } = held();
  const sentMs = 10_000;
  const write = a.next(sentMs, WALL_MS, true)!;
  a.wrote(write, 2);
  expect(a.holds(sentMs + TTL_MS - 1)).toBe(write.value.term);
  expect(a.holds(sentMs + TTL_MS)).toBeNull();
});

test('lease - a response that comes after a pause longer than its life gives nothing', () => {
  const { a } = held();
  const write = a.next(10_000, WALL_MS, true)!;
  a.wrote(write, 2);
  expect(a.holds(60_000)).toBeNull();
  expect(a.mustRead(60_000)).toBe(true);
});

test('lease - another one takes it once it is not renewed any more, with a higher term', () => {
  const { key, a, b } = held();
  const term = key.entry.value!.term;
  step(b, key, 6_000);
  step(a, key, 7_000);
  step(b, key, 7_001);
  step(b, key, 7_001 + TTL_MS + MARGIN_MS);
  expect(b.holds(7_001 + TTL_MS + MARGIN_MS)).toBeNull();
  step(b, key, 7_002 + TTL_MS + MARGIN_MS);
  expect(b.holds(7_002 + TTL_MS + MARGIN_MS)).toBe(term + 1);
  expect(a.holds(7_002 + TTL_MS + MARGIN_MS)).toBeNull();
});

test('lease - one that was given back is taken at once', () => {
  const { key, a, b } = held();
  step(b, key, 6_000);
  const write = a.giveBack(6_001)!;
  expect(a.holds(6_001)).toBeNull();
  key.apply(write);
  step(b, key, 6_002);
  expect(b.holds(6_002)).toBe(write.value.term + 1);
});

test('lease - a node that is not fit gives it back, and does not apply', () => {
  const { key, a } = held();
  step(a, key, 6_000, false);
  expect(a.holds(6_000)).toBeNull();
  expect(key.entry.value!.free).toBe(true);
  step(a, key, 60_000, false);
  expect(key.entry.value!.free).toBe(true);
});

test('lease - a renewal whose acknowledgement was lost does not end it, nor makes it longer', () => {
  const { key, a } = held();
  const until = a.untilMs()!;
  const lost = a.next(7_000, WALL_MS, true)!;
  key.apply(lost);
  const next = a.next(8_500, WALL_MS, true)!;
  expect(key.apply(next)).toBeNull();
  a.overtaken(key.entry, 8_500);
  expect(a.untilMs()).toBe(until);
  step(a, key, 8_600);
  expect(a.untilMs()).toBe(8_600 + TTL_MS);
});

test('lease - a process takes its own back without waiting: nobody else can believe in it', () => {
  const { key, a } = held();
  step(a, key, 60_000);
  expect(a.holds(60_000)).toBe(key.entry.value!.term);
});

test('lease - an entry of another process of the same name is that of another', () => {
  const { key } = held();
  key.entry = { revision: 9, value: value('old', 5) };
  const a = new Lease({ node: 'old', run: 'new' });
  step(a, key, 60_000);
  expect(a.holds(60_000)).toBeNull();
});

/**
 * What happens next: a process begins a request, the key applies it, its response arrives or is lost, or all of that at
 * once; time passes.
 */
const OP = fc.oneof(
  { weight: 8, arbitrary: fc.record({ op: fc.constant('trip' as const), who: fc.nat(2) }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('begin' as const), who: fc.nat(2) }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('apply' as const), who: fc.nat(2) }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('respond' as const), who: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('lose' as const), who: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('late' as const), who: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('giveBack' as const), who: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('fit' as const), who: fc.nat(2) }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant('pass' as const), who: fc.nat(1_500) }) },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant('pass' as const), who: fc.integer({ min: 4_000, max: 7_000 }) }),
  },
);

interface Flight {
  readonly write: LeaseWrite | null;
  read: LeaseEntry | null;
  revision: number | null;
  applied: boolean;
}

class World {
  readonly key = new Key();
  readonly leases = ['a', 'b', 'c'].map(leaseOf);
  readonly fit = [true, true, true];
  readonly flights: (Flight | null)[] = [null, null, null];
  readonly orphans: LeaseWrite[] = [];
  readonly terms = new Map<number, number>();
  readonly #rates: readonly number[];
  ms = 0;

  constructor(rates: readonly number[]) {
    this.#rates = rates;
  }

  /** Monotonic clocks begin anywhere and run at almost the same speed. */
  now(who: number): number {
    return 1_000 * who + this.ms * this.#rates[who]!;
  }

  do(op: string, who: number): void {
    if (op === 'pass') this.ms += who;
    else if (op === 'late') this.#late(who);
    else if (op === 'fit') this.fit[who] = !this.fit[who];
    else if (op === 'giveBack') this.#giveBack(who);
    else if (op === 'begin') this.#begin(who);
    else if (op === 'trip') this.#trip(who);
    else this.#go(op, who);
    this.#check();
  }

  #begin(who: number): void {
    if (this.flights[who] !== null) return;
    const lease = this.leases[who]!;
    const now = this.now(who);
    const write = lease.mustRead(now) ? null : lease.next(now, WALL_MS, this.fit[who]!);
    this.flights[who] = { write, read: null, revision: null, applied: false };
  }

  /** A read, where it needs one, and a write without delays; what was on its way before arrives. */
  #trip(who: number): void {
    for (let request = 0; request < 2; request++) {
      this.#begin(who);
      this.#go('apply', who);
      this.#go('respond', who);
      this.#check();
    }
  }

  #giveBack(who: number): void {
    if (this.flights[who] !== null) return;
    const write = this.leases[who]!.giveBack(this.now(who));
    if (write !== null) this.orphans.push(write);
  }

  #late(n: number): void {
    const [write] = this.orphans.splice(n % Math.max(1, this.orphans.length), 1);
    if (write !== undefined) this.key.apply(write);
  }

  #go(op: string, who: number): void {
    const flight = this.flights[who]!;
    if (!flight) return;
    if (op === 'apply' && !flight.applied) {
      flight.applied = true;
      if (flight.write !== null) flight.revision = this.key.apply(flight.write);
      flight.read = this.key.entry;
    }
    if (op === 'lose') {
      if (!flight.applied && flight.write !== null) this.orphans.push(flight.write);
      this.flights[who] = null;
    }
    if (op === 'respond' && flight.applied) {
      this.flights[who] = null;
      this.#respond(who, flight);
    }
  }

  #respond(who: number, { write, revision, read }: Flight): void {
    const [lease, now] = [this.leases[who]!, this.now(who)];
    if (write !== null && revision !== null) lease.wrote(write, revision);
    else if (write !== null) lease.overtaken(read!, now);
    else {
      lease.saw(read!, now);
      const next = lease.next(now, WALL_MS, this.fit[who]!);
      if (next !== null) this.flights[who] = { write: next, read: null, revision: null, applied: false };
    }
  }

  #check(): void {
    const holders = this.leases.flatMap((lease, who) => {
      const term = lease.holds(this.now(who));
      return term === null ? [] : [{ who, term }];
    });
    expect(holders.length).toBeLessThanOrEqual(1);
    for (const { who, term } of holders) {
      expect(this.terms.get(term) ?? who).toBe(who);
      const newest = Math.max(0, ...this.terms.keys());
      expect(term).toBeGreaterThanOrEqual(newest);
      this.terms.set(term, who);
    }
  }
}

test('lease - two never believe at once, and terms grow, whatever is delayed, lost or paused', () => {
  let changes = 0;
  fc.assert(
    fc.property(
      fc.array(OP, { minLength: 100, maxLength: 300 }),
      fc.tuple(...[0, 1, 2].map(() => fc.double({ min: 0.97, max: 1.03, noNaN: true }))),
      (ops, rates) => {
        const world = new World(rates);
        for (const { op, who } of ops) world.do(op, who);
        changes += Math.max(0, new Set(world.terms.values()).size - 1);
      },
    ),
    { numRuns: 100 },
  );
  expect(changes).toBeGreaterThan(20);
});

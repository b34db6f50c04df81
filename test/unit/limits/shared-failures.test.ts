import { beforeEach, expect, test } from 'vitest';
import type { LoginsFailing } from '../../../domain/index.ts';
import {
  type CountedFailures,
  countedTogether,
  createAccounts,
  FailuresSchema,
  Logins,
  type Rate,
  SharedFailures,
} from '../../../limits/index.ts';

let nowMs: number;
let timers: { atMs: number; run: () => void }[];
/** What was sent, by whom. */
let sent: { from: TestNode; failures: CountedFailures }[];
let nodes: TestNode[];

const clock = { now: () => nowMs };
const after = (ms: number, run: () => void) => {
  const one = { atMs: nowMs + ms, run };
  timers.push(one);
  return () => {
    timers = timers.filter((other) => other !== one);
  };
};

/** Lets time pass. */
function pass(ms: number): void {
  const untilMs = nowMs + ms;
  for (;;) {
    const next = timers.filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs)[0];
    if (next === undefined) break;
    nowMs = next.atMs;
    timers = timers.filter((one) => one !== next);
    next.run();
  }
  nowMs = untilMs;
}

/** A node whose messages reach the others at once, as text, unless it is cut off. */
class TestNode {
  readonly shared = new SharedFailures({ timers: { after }, send: (failures) => this.#send(failures) });
  readonly events: LoginsFailing[] = [];
  readonly logins = new Logins({
    ...{ clock, timers: { after }, newId: () => 'e', onFailing: (event) => void this.events.push(event) },
    counter: (apply) => this.shared.counter('mqtt', apply),
  });
  isCutOff = false;

  accounts(rate: Rate) {
    return countedTogether(createAccounts(rate), (apply) => this.shared.counter('key', apply), clock);
  }

  /** Fails a login; returns after how many ms it gets its response, null where its connection is closed instead. */
  fail(source: string, user: string): number | null {
    let after: number | null = nowMs;
    const before = timers;
    timers = [];
    this.logins.refused(
      { source, user, isKnown: true },
      () => {},
      () => {
        after = null;
      },
    );
    // The other one sends.
    if (after !== null) after = Math.max(...timers.map(({ atMs }) => atMs), nowMs) - nowMs;
    timers = [...before, ...timers];
    return after;
  }

  #send(failures: CountedFailures): void {
    sent.push({ from: this, failures });
    const received = FailuresSchema.parse(JSON.parse(JSON.stringify(failures)));
    if (this.isCutOff) return;
    for (const other of nodes) if (other !== this && !other.isCutOff) other.shared.receive(received);
  }
}

let a: TestNode;
let b: TestNode;
beforeEach(() => {
  [nowMs, timers, sent] = [1_000_000, [], []];
  nodes = [new TestNode(), new TestNode(), new TestNode()];
  [a, b] = nodes as [TestNode, TestNode];
});

test('shared failures - a login that failed at one node three times is delayed at another one from the first time on', () => {
  for (let i = 0; i < 3; i++) expect(a.fail('203.0.113.7', 'bin-1')).toBe(0);
  pass(100);
  expect(b.fail('203.0.113.7', 'bin-1')).toBe(250);
  pass(1_000);
  expect(a.fail('203.0.113.7', 'bin-1')).toBe(500);
  expect([b.fail('203.0.113.8', 'bin-1'), b.fail('203.0.113.7', 'bin-2')]).toEqual([0, 0]);
});

test('shared failures - a right secret at one node forgets the failures at all of them, and not what failed after it', () => {
  for (let i = 0; i < 9; i++) a.fail('203.0.113.7', 'bin-1');
  pass(10_000);
  b.logins.succeeded('203.0.113.7', 'bin-1');
  pass(100);
  expect(a.fail('203.0.113.7', 'bin-1')).toBe(0);
  for (let i = 0; i < 6; i++) a.fail('203.0.113.7', 'bin-1');
  a.logins.succeeded('203.0.113.7', 'bin-1');
  for (let i = 0; i < 4; i++) a.fail('203.0.113.7', 'bin-1');
  pass(10_000);
  expect(b.fail('203.0.113.7', 'bin-1')).toBe(500);
});

test('shared failures - a login that had not failed before says nothing to the others', () => {
  for (let i = 0; i < 100; i++) a.logins.succeeded('203.0.113.7', `bin-${i}`);
  a.fail('203.0.113.7', 'bin-1');
  pass(1_000);
  expect(sent).toHaveLength(1);
  a.logins.succeeded('203.0.113.7', 'bin-1');
  a.logins.succeeded('203.0.113.7', 'bin-1');
  pass(1_000);
  expect(sent.slice(1).map(({ failures }) => failures.map(({ count }) => count))).toEqual([[0]]);
});

test('shared failures - many names from one address count for it, whatever the nodes', () => {
  for (let i = 0; i < 100; i++) {
    nodes[i % 3]!.fail('203.0.113.7', `guess-${i}`);
    pass(10);
  }
  pass(100);
  expect(nodes.map((node, n) => node.fail('203.0.113.7', `another-${n}`))).toEqual([250, 250, 250]);
});

test('shared failures - what a node received is no event of it, delays no response, and is not passed on', () => {
  for (let i = 0; i < 50; i++) a.fail('203.0.113.7', 'bin-1');
  a.logins.stop();
  const before = sent.length;
  pass(60_000);
  expect(timers).toEqual([]);
  expect(sent.length - before).toBe(1);
  expect(sent.every(({ from }) => from === a)).toBe(true);
  expect([a.events.length, b.events.length]).toEqual([1, 0]);
});

test('shared failures - a burst is one message each tenth of a second, with a count for each name', () => {
  for (let i = 0; i < 1_000; i++) {
    a.fail('203.0.113.7', `bin-${i % 4}`);
    pass(1);
  }
  pass(100);
  expect(sent.length).toBeLessThanOrEqual(11);
  expect(sent.every(({ failures }) => failures.length <= 4)).toBe(true);
  expect(sent.flatMap(({ failures }) => failures).reduce((sum, { count }) => sum + count, 0)).toBe(1_000);
});

test('shared failures - a flood of names is a message of 256 of them, at most ten a second, and none has a name in it', () => {
  for (let second = 0; second < 2; second++) {
    for (let i = 0; i < 10_000; i++) a.fail(`10.0.${i >> 8}.${i & 255}`, `secret-name-${second}-${i}`);
    pass(1_000);
  }
  expect(sent.length).toBeLessThanOrEqual(20);
  for (const { failures } of sent) expect(failures.length).toBeLessThanOrEqual(256);
  const bytes = Math.max(...sent.map(({ failures }) => JSON.stringify(failures).length));
  expect(bytes).toBeLessThan(32 * 1024);
  expect(JSON.stringify(sent.map(({ failures }) => failures))).not.toContain('secret-name');
  // A key that does not fit counts here only.
  sent.length = 0;
  a.fail('x'.repeat(129), 'bin-1');
  pass(1_000);
  expect(sent).toEqual([]);
});

test('shared failures - a node that learns of many names keeps as few as one that is asked by them: the ten thousand that were used last', () => {
  for (let i = 0; i < 5; i++) b.fail('203.0.113.7', 'bin-1');
  for (let i = 0; i < 10_000; i += 250) {
    const keys = Array.from({ length: 250 }, (_, n) => `10.0.0.1 ${i + n}`);
    b.shared.receive(keys.map((key) => ({ counter: 'mqtt', key, count: 10 })));
  }
  expect(b.fail('203.0.113.7', 'bin-1')).toBe(0);
});

test('shared failures - a message of another shape, and a counter that this node does not have, count nothing', () => {
  const wrong = [
    'text',
    [{ counter: 'mqtt', key: 'k', count: -1 }],
    [{ counter: 'mqtt', key: 'k', count: 1e9 }],
    [{ counter: 'mqtt', key: 'k'.repeat(129), count: 1 }],
    Array(257).fill({ counter: 'mqtt', key: 'k', count: 1 }),
  ];
  for (const message of wrong) expect(FailuresSchema.safeParse(message).success).toBe(false);
  b.shared.receive([
    { counter: 'of-tomorrow', key: 'k', count: 1 },
    { counter: 'mqtt', key: 'no source', count: 1 },
  ]);
  expect(b.fail('203.0.113.7', 'bin-1')).toBe(0);
});

test('shared failures - a node that is cut off counts alone, and goes on with the others when it is back', () => {
  b.isCutOff = true;
  for (let i = 0; i < 5; i++) a.fail('203.0.113.7', 'bin-1');
  pass(1_000);
  expect(b.fail('203.0.113.7', 'bin-1')).toBe(0);
  pass(1_000);
  b.isCutOff = false;
  expect(a.fail('203.0.113.7', 'bin-1')).toBe(1_000);
  pass(1_000);
  for (let i = 0; i < 2; i++) expect(b.fail('203.0.113.7', 'bin-1')).toBe(i === 0 ? 0 : 250);
});

test('shared failures - wrong keys of an address use up one account on all nodes; one that is refused charges nobody', () => {
  const [first, second] = [a, b].map((node) => node.accounts({ perSecond: 1, burst: 30 })) as [
    ReturnType<TestNode['accounts']>,
    ReturnType<TestNode['accounts']>,
  ];
  for (let i = 0; i < 30; i++) expect(first.take('203.0.113.7', 1, nowMs)).toBe(0);
  for (let i = 0; i < 1_000; i++) expect(first.take('203.0.113.7', 1, nowMs)).toBe(1_000);
  pass(0);
  expect(second.take('203.0.113.7', 1, nowMs)).toBe(1_000);
  expect(second.take('203.0.113.8', 1, nowMs)).toBe(0);
  pass(1_000);
  expect(second.take('203.0.113.7', 1, nowMs)).toBe(0);
});

test('shared failures - guesses at all nodes in one moment are as many as one node checks, in the long run, and nobody waits for more than five', () => {
  const every = nodes.map((node) => node.accounts({ perSecond: 0.05, burst: 5 }));
  const from = nowMs;
  let checked = 0;
  let longestMs = 0;
  while (nowMs < from + 3_600_000) {
    // Each node lets its guess pass before it learns of the others'.
    for (const accounts of every) {
      const waitMs = accounts.waitMs('somebody', nowMs);
      longestMs = Math.max(longestMs, waitMs);
      if (waitMs > 0) continue;
      accounts.charge('somebody', 1, nowMs);
      checked++;
    }
    pass(500);
  }
  expect(checked).toBeGreaterThanOrEqual(3_600 / 20);
  expect(checked).toBeLessThanOrEqual(15 + 3_600 / 20);
  expect(longestMs).toBeLessThanOrEqual(100_000);
});

test('shared failures - at the stop nothing is sent any more', () => {
  a.fail('203.0.113.7', 'bin-1');
  a.shared.stop();
  a.fail('203.0.113.7', 'bin-1');
  pass(1_000);
  expect(sent).toEqual([]);
});

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { connectTo, createLeases } from '../../cluster/index.ts';
import { type Duty, monotonicClock } from '../../domain/index.ts';
import { endsWithUs, runs } from '../kit/children.ts';
import { type NatsServer, nodeOf, startedNats } from '../kit/nats.ts';
import { until } from '../kit/wait.ts';

const HOLDER = fileURLToPath(new URL('../kit/cluster/lease-holder.ts', import.meta.url));
const log = pino({ level: 'silent' });

interface Sample {
  readonly ms: number;
  readonly term: number | null;
}

/** A process that applies for a duty. */
class Applicant {
  readonly samples: Sample[] = [];
  readonly child: ChildProcess;

  constructor(servers: readonly NatsServer[], node: string) {
    this.child = spawn(process.execPath, [HOLDER, JSON.stringify(nodeOf(servers, node))], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    endsWithUs(this.child);
    createInterface(this.child.stdout!).on('line', (line) => {
      const [ms, term] = line.split(' ');
      this.samples.push({ ms: Number(ms), term: term === '-' ? null : Number(term) });
    });
  }

  get term(): number | null {
    return this.samples.at(-1)?.term ?? null;
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const gone = once(this.child, 'exit');
    this.child.kill(signal);
    await gone;
  }
}

let servers: NatsServer[] = [];
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const server of servers) await server.end();
});

/** From when until when somebody believed in each term. */
function beliefs(all: readonly Applicant[]): { term: number; from: number; to: number; who: number }[] {
  const found = new Map<number, { term: number; from: number; to: number; who: number }>();
  for (const [who, { samples }] of all.entries()) {
    for (const { ms, term } of samples) {
      if (term === null) continue;
      const known = found.get(term);
      if (known !== undefined) expect(known.who, `term ${term} has two holders`).toBe(who);
      found.set(term, { who, term, from: known?.from ?? ms, to: ms });
    }
  }
  return [...found.values()].toSorted((a, b) => a.term - b.term);
}

function expectOneAtATime(all: readonly Applicant[]): void {
  const terms = beliefs(all);
  for (const [n, { from, term }] of terms.entries())
    if (n > 0) expect(from, `term ${term} began before ${terms[n - 1]!.term} ended`).toBeGreaterThan(terms[n - 1]!.to);
}

test('leases - the holder is killed, paused, stopped: another one has the duty, and never two', async () => {
  servers = await startedNats(3);
  const all = ['a', 'b', 'c'].map((node) => new Applicant(servers, node));
  children.push(...all.map(({ child }) => child));
  const holder = (but: Applicant | null) =>
    until(() => all.find((one) => one !== but && runs(one.child) && one.term !== null), 'a holder');

  const first = await holder(null);
  await first.end('SIGKILL');
  const second = await holder(first);
  expect(second.term!).toBeGreaterThan(first.term!);

  const before = second.term!;
  second.child.kill('SIGSTOP');
  const third = await until(
    () => all.find((one) => one !== first && one !== second && one.term !== null),
    'the last one to have it',
  );
  expect(third.term!).toBeGreaterThan(before);
  const wokenMs = monotonicClock.now();
  second.child.kill('SIGCONT');
  // What it said before the pause may arrive after it.
  const after = () => second.samples.filter(({ ms }) => ms > wokenMs);
  await until(() => after().length > 100, 'the paused one to say something');
  expect(after().filter(({ term }) => term !== null)).toEqual([]);

  await third.end('SIGTERM');
  await until(() => third.samples.at(-1)!.term === null, 'the last words of who gave it back');
  const last = await holder(third);
  expect(last).toBe(second);
  expectOneAtATime(all);
});

test('leases - a server of three that dies, leader or not, ends no duty for ever and never gives it to two', async () => {
  servers = await startedNats(3);
  const all = ['a', 'b'].map((node) => new Applicant(servers, node));
  children.push(...all.map(({ child }) => child));
  await until(() => all.some(({ term }) => term !== null), 'a holder');
  for (const server of servers) {
    await server.end('SIGKILL');
    const since = monotonicClock.now();
    // Renewed without it: beyond the life of what was held before.
    await until(
      () => all.some(({ samples, term }) => term !== null && samples.at(-1)!.ms > since + 6_000),
      'a holder without it',
    );
    await server.start();
  }
  expectOneAtATime(all);
});

test('leases - a node that is not fit leaves the duty to others, and says when that changes', async () => {
  servers = await startedNats(1);
  const fit = { a: true, b: true };
  const make = async (node: 'a' | 'b') => {
    const settings = nodeOf(servers, node);
    const connection = await connectTo(settings, 'test');
    const leases = createLeases({ connection, settings, run: node, log, isFit: () => fit[node] });
    const changes: Duty[] = [];
    leases.onChange((duty) => changes.push(duty));
    await leases.start();
    return { leases, changes, connection };
  };
  const a = await make('a');
  await until(() => a.leases.holds('snapshots') !== null, 'a to have the duty');
  const b = await make('b');
  const first = a.leases.holds('snapshots')!;
  fit.a = false;
  const second = await until(() => b.leases.holds('snapshots'), 'b to have it');
  expect(second).toBeGreaterThan(first);
  expect(a.leases.holds('snapshots')).toBeNull();
  expect(a.changes.filter((duty) => duty === 'snapshots')).toHaveLength(2);
  expect(b.changes).toContain('snapshots');
  await b.leases.stop();
  expect(b.leases.holds('snapshots')).toBeNull();
  fit.a = true;
  expect(await until(() => a.leases.holds('snapshots'), 'a to have it again')).toBeGreaterThan(second);
  await a.leases.stop();
  for (const { connection } of [a, b]) await connection.close();
});

test('leases - servers that are away end what is held, and it comes back with them', async () => {
  servers = await startedNats(1);
  const settings = nodeOf(servers, 'a');
  const connection = await connectTo(settings, 'test');
  const leases = createLeases({ connection, settings, run: 'a', log, isFit: () => true });
  await leases.start();
  const first = await until(() => leases.holds('clock'), 'the duty');
  servers[0]!.signal('SIGSTOP');
  await until(() => leases.holds('clock') === null, 'the end of the lease');
  servers[0]!.signal('SIGCONT');
  expect(await until(() => leases.holds('clock'), 'the duty again')).toBeGreaterThan(first);
  await leases.stop();
  await connection.close();
});

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Ledger, Page, Ticket } from '../../domain/index.ts';
import { endsWithUs } from '../kit/children.ts';
import { expectPlain, lamppost, launch, newDir, ROOT } from '../kit/cli/commands.ts';
import { until } from '../kit/wait.ts';

const DEVICES = 6;
const SETTINGS = { LAMPPOST_CITY: join(ROOT, 'city') };

interface SeenNode {
  readonly node: string;
  readonly state: string;
  readonly ready: boolean;
  readonly clients: number;
}

/** A demo of a cluster, and what it prints. */
class Demo {
  readonly child: ChildProcess;
  said = '';

  constructor(data: string, size: number) {
    const args = ['demo', '--cluster', String(size), '--devices', String(DEVICES), '--speed', '240', '--data', data];
    this.child = launch(args, SETTINGS);
    endsWithUs(this.child);
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.on('data', (chunk) => {
        this.said += String(chunk);
      });
  }

  async started(): Promise<this> {
    await this.says(/Press Ctrl-C to stop/);
    return this;
  }

  async says(what: RegExp): Promise<RegExpExecArray> {
    const look = () => {
      if (this.child.exitCode !== null) throw new Error(`the demo ended: ${this.said}`);
      return what.exec(this.said);
    };
    return until(look, () => `${what} in: ${this.said}`, 50);
  }

  pidOf(what: string): number {
    return Number(new RegExp(`^ +${what} +pid (\\d+)`, 'm').exec(this.said)![1]);
  }

  async ask<T>(node: string, path: string, body?: unknown): Promise<T> {
    const [, api] = new RegExp(`node ${node} .*? (http://\\S+)`).exec(this.said)!;
    const [, key] = /admin key +(\S+)/.exec(this.said)!;
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    const json = body === undefined ? {} : { 'content-type': 'application/json' };
    const response = await fetch(`${api}${path}`, { ...init, headers: { authorization: `Bearer ${key}`, ...json } });
    expect(response.ok, path).toBe(true);
    return (await response.json()) as T;
  }

  async open(node: string, title: string): Promise<string> {
    const ticket = { service: 'waste', title, district: 'harbour', severity: 'high' };
    return (await this.ask<Ticket>(node, '/api/v1/tickets', ticket)).id;
  }

  async tickets(node: string): Promise<string[]> {
    return (await this.ask<Page<Ticket>>(node, '/api/v1/tickets?limit=1000')).items.map(({ id }) => id).sort();
  }

  async stored(node: string): Promise<number> {
    return (await this.ask<Ledger>(node, '/api/v1/ledger')).readings.stored;
  }

  async nodes(node: string): Promise<readonly SeenNode[]> {
    return (await this.ask<{ nodes: readonly SeenNode[] }>(node, '/api/v1/cluster')).nodes;
  }
}

/** Processes whose command line or settings name a folder. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return ['cmdline', 'environ'].some((file) => readFileSync(join('/proc', pid, file), 'utf8').includes(folder));
    } catch {
      return false;
    }
  });
}

test('demo of a cluster - a node and a nats-server are killed: readings go on, the node comes back with all tickets', async () => {
  const data = realpathSync(newDir());
  const demo = await new Demo(data, 3).started();
  const names = ['north', 'east', 'south'];
  for (const name of names) await until(async () => (await demo.stored(name)) > 0, `readings at ${name}`, 100);
  const spread = async () => {
    const nodes = await demo.nodes('east');
    return nodes.length === 3 && nodes.every(({ ready, clients }) => ready && clients > 0);
  };
  await until(spread, 'devices at every node', 100);
  const before = await demo.open('north', 'Opened where all run');

  process.kill(demo.pidOf('node north'), 'SIGKILL');
  process.kill(demo.pidOf('nats-server nats-1'), 'SIGKILL');
  await demo.says(/node north \(pid \d+\) ended \(SIGKILL\); the demo starts it again in 15 s/);
  await demo.says(/nats-server nats-1 \(pid \d+\) ended \(SIGKILL\)/);
  const moved = async () => {
    const others = (await demo.nodes('east')).filter(({ node }) => node !== 'north');
    return others.reduce((sum, { clients }) => sum + clients, 0) === DEVICES;
  };
  await until(moved, 'the devices of north at the others', 100);
  const meanwhile = await demo.open('east', 'Opened while one is away');
  const stored = await demo.stored('east');
  await until(async () => (await demo.stored('east')) > stored, 'more readings', 100);

  await demo.says(/nats-server nats-1 is ready again/);
  const [, again] = await demo.says(/node north starts again, pid (\d+)/);
  expect(processesOf(data)).toContain(again);
  await demo.says(/node north is ready again/);
  const same = async () => {
    const [here, there] = [await demo.tickets('north'), await demo.tickets('east')];
    return here.join() === there.join() && here;
  };
  expect(await until(same, 'the same tickets', 100)).toEqual(expect.arrayContaining([before, meanwhile]));

  demo.child.kill('SIGINT');
  expect((await once(demo.child, 'close'))[0], demo.said).toBe(0);
  expect(demo.said).not.toMatch(/^\s+at /m);
  await until(() => processesOf(data).length === 0, 'the end of every process', 50);
});

test('demo of a cluster - nothing of it survives kill -9, and a second start goes on with its data', async () => {
  const data = realpathSync(newDir());
  const first = await new Demo(data, 1).started();
  const ticket = await first.open('north', 'Opened before the kill');
  const second = await lamppost(['demo', '--cluster', '1', '--data', data], SETTINGS);
  expectPlain(second, /is in use by another Lamppost \(process \d+/);
  const gone = once(first.child, 'close');
  first.child.kill('SIGKILL');
  await gone;
  await until(() => processesOf(data).length === 0, 'the end of every process', 50);

  const other = await lamppost(['demo', '--cluster', '3', '--data', data], SETTINGS);
  expectPlain(other, /has a cluster of 1: write --cluster 1, or another folder/);
  expect([second.code, other.code]).toEqual([1, 2]);
  const again = await new Demo(data, 1).started();
  expect(await again.tickets('north')).toContain(ticket);
  again.child.kill('SIGINT');
  expect((await once(again.child, 'close'))[0], again.said).toBe(0);
});

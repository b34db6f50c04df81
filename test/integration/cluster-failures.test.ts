import type { NatsConnection } from '@nats-io/transport-node';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectTo, identityOf, openFailures } from '../../cluster/index.ts';
import type { CountedFailures } from '../../limits/index.ts';
import { newDir } from '../kit/cli/commands.ts';
import { type NatsServer, nodeOf, startedNats } from '../kit/nats.ts';
import { until } from '../kit/wait.ts';

let servers: NatsServer[] = [];
let connections: NatsConnection[];
beforeEach(async () => {
  servers = await startedNats(1);
  connections = [];
});
afterEach(async () => {
  for (const connection of connections) await connection.close();
  for (const server of servers) await server.end();
});

/** A node of a cluster, and what it received. */
async function join(node: string, name = 'lamppost') {
  const settings = { ...nodeOf(servers, node), name };
  const connection = await connectTo(settings, 'test');
  connections.push(connection);
  const received: CountedFailures[] = [];
  const onReceived = (failures: CountedFailures) => void received.push(failures);
  const failures = openFailures({ connection, settings, identity: identityOf(newDir(), node), onReceived });
  await connection.flush();
  return { connection, received, ...failures };
}

const failed = (key: string): CountedFailures => [{ counter: 'mqtt', key, count: 3 }];

test('failures of a cluster - each other node receives them, the sender and another cluster do not', async () => {
  const [a, b, c, other] = [await join('a'), await join('b'), await join('c'), await join('a', 'cell-2')];
  a.send(failed('first'));
  await until(() => b.received.length + c.received.length === 2, 'the failures at both');
  expect([b.received, c.received]).toEqual([[failed('first')], [failed('first')]]);
  b.stop();
  c.send(failed('second'));
  await until(() => a.received.length === 1, 'the failures at the first');
  expect([a.received, b.received.length, other.received]).toEqual([[failed('second')], 1, []]);
});

test('failures of a cluster - what is not in their shape, too many, or too long is left out', async () => {
  const [a, b] = [await join('a'), await join('b')];
  const say = (text: string) => a.connection.publish('lamppost.failures', text);
  for (const text of ['', '{', 'null', '[]', '{"run":"r"}', '{"run":"r","failures":[{"counter":"mqtt"}]}']) say(text);
  say(JSON.stringify({ run: 'r', failures: Array(257).fill(failed('many')[0]) }));
  say(`${JSON.stringify({ run: 'r', failures: failed('long') })}${' '.repeat(64 * 1024)}`);
  say(JSON.stringify({ run: 'r', failures: failed('right'), more: 'of a newer Lamppost' }));
  await until(() => b.received.length > 0, 'the right ones');
  expect(b.received).toEqual([failed('right')]);
});

test('failures of a cluster - while NATS is away they are lost, and later ones arrive', async () => {
  const [a, b] = [await join('a'), await join('b')];
  await servers[0]!.end('SIGKILL');
  const events = a.connection.status();
  const tried = (async () => {
    let times = 0;
    for await (const { type } of events) if (type === 'reconnecting' && ++times === 2) return;
  })();
  a.send(failed('lost'));
  await tried;
  await servers[0]!.start();
  await until(async () => {
    a.send(failed('later'));
    return b.received.length > 0;
  }, 'later ones');
  expect(b.received.flat().filter(({ key }) => key === 'lost')).toEqual([]);
  await a.connection.close();
  a.send(failed('after the end'));
});

import { jetstreamManager } from '@nats-io/jetstream';
import { afterEach, expect, test } from 'vitest';
import { connectTo } from '../../cluster/index.ts';
import { type NatsServer, natsServers, nodeOf, startedNats } from '../kit/nats.ts';

let servers: NatsServer[] = [];
afterEach(async () => {
  for (const server of servers) await server.end();
});

test('three nats-servers have a stream with three replicas', async () => {
  servers = await startedNats(3);
  const connection = await connectTo(nodeOf(servers, 'a'), 'test');
  const manager = await jetstreamManager(connection);
  const made = await manager.streams.add({ name: 'S', subjects: ['s'], num_replicas: 3 });
  expect(made.cluster?.replicas).toHaveLength(2);
  await connection.close();
});

test('servers that are away are named', async () => {
  servers = await natsServers(1);
  await expect(connectTo(nodeOf(servers, 'a'), 'test')).rejects.toThrow(/no NATS server of LAMPPOST_LOG.*127\.0\.0\.1/);
});

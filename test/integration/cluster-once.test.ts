import type { NatsConnection } from '@nats-io/transport-node';
import { afterEach, expect, test } from 'vitest';
import { connectTo, openOnceKeys } from '../../cluster/index.ts';
import { DAY_MS } from '../../domain/index.ts';
import { type OneTime, oneTimeOf } from '../../registry/index.ts';
import { type NatsServer, nodeOf, startedNats } from '../kit/nats.ts';

const MEI = { id: 'p-1-0', stamp: 1 };
const LI = { id: 'p-2-0', stamp: 3 };
let servers: NatsServer[] = [];
const connections: NatsConnection[] = [];
let nowMs = 1_000 * DAY_MS;
afterEach(async () => {
  for (const connection of connections.splice(0)) await connection.close();
  for (const server of servers) await server.end();
});

/** What counts once, as so many nodes see it. */
async function nodes(count: number): Promise<OneTime[]> {
  const made: OneTime[] = [];
  for (let n = 0; n < count; n++) {
    const settings = nodeOf(servers, `node-${n}`);
    const connection = await connectTo(settings, 'test');
    connections.push(connection);
    made.push(oneTimeOf(await openOnceKeys(connection, settings), { now: () => nowMs }));
  }
  return made;
}

test('once - a link that one node made signs in at another, once among all, for a day, and only the newest', async () => {
  servers = await startedNats(3);
  const all = await nodes(3);
  const [a, b, c] = all as [OneTime, OneTime, OneTime];
  const first = await a.makeLink(MEI);
  const second = await b.makeLink(MEI);
  const other = await a.makeLink(LI);
  expect(await c.useLink(first.secret)).toBeNull();
  const used = await Promise.all(all.map((node) => node.useLink(second.secret)));
  expect(used.filter((one) => one !== null)).toEqual([{ person: MEI.id, stamp: 1 }]);
  expect(await a.useLink(second.secret)).toBeNull();
  for (const secret of ['', 'x', `${second.secret}.`, 'x.p-2-0', 'x.>', `${other.secret.split('.')[0]}.p-1-0`])
    expect(await b.useLink(secret)).toBeNull();
  nowMs += DAY_MS + 1;
  expect(await b.useLink(other.secret)).toBeNull();
});

test('once - a code that one node accepted no other does, nor an older one; without NATS none counts', async () => {
  servers = await startedNats(1);
  const all = await nodes(3);
  const [a, b] = all as [OneTime, OneTime];
  const used = await Promise.all(all.map((node) => node.useCode(MEI.id, 10)));
  expect(used.filter(Boolean)).toHaveLength(1);
  expect([await b.useCode(MEI.id, 9), await a.useCode(MEI.id, 11), await b.useCode(LI.id, 9)]).toEqual([
    ...[false, true, true],
  ]);
  await servers[0]!.end();
  await expect(b.useCode(MEI.id, 12)).rejects.toMatchObject({ code: 'log-away' });
});

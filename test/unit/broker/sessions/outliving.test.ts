import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { publishPacket, type RawClient, rawLogin, type Scene, startBroker } from '../../../kit/broker/kit.ts';
import { afterCrash, keptSession, leave, payloads, subscribe } from '../../../kit/broker/sessions.ts';
import { until } from '../../../kit/wait.ts';

let scene: Scene;
let other: Scene | undefined;
beforeEach(async () => {
  scene = await startBroker();
});
afterEach(async () => {
  await scene.stop();
  await other?.stop();
  other = undefined;
});

const retain = (topic: string, payload: string) => scene.publish({ topic, payload, qos: 1, retain: true });

/** Resolves when what was written before is on disk, as a subscription is before its SUBACK. */
async function onDisk(): Promise<void> {
  await subscribe(await keptSession(scene, 'admin', { clientId: 'disk' }), 'live/#');
}

/** The retained messages that a new subscriber gets, by topic. */
async function retained(of: Scene, filter: string): Promise<Record<string, string>> {
  of.broker.publish({ topic: 'live/end', payload: 'the last', qos: 0, retain: true });
  const client = await rawLogin(of.port, 'admin', { clientId: 'looks' });
  await subscribe(client, filter, 'live/end');
  await until(() => client.got('publish').some(({ topic }) => topic === 'live/end'), 'the last');
  client.socket.destroy();
  await client.closed;
  const found = client.got('publish').map(({ topic, payload }) => [topic, payload.toString()] as const);
  return Object.fromEntries(found.filter(([topic]) => topic !== 'live/end'));
}

describe('retained messages', () => {
  test('sessions - open tickets are there after a crash, closed ones are not', async () => {
    for (const n of [1, 2]) retain(`tickets/waste/${n}`, 'open');
    retain('tickets/waste/1', '');
    retain('tickets/waste/2', 'assigned');
    other = await afterCrash(scene);
    expect(await retained(other, 'tickets/#')).toEqual({ 'tickets/waste/2': 'assigned' });
  });

  test('sessions - after a start no device is online', async () => {
    const clients = await Promise.all(['bin-1', 'bin-2'].map((id) => rawLogin(scene.port, id)));
    await leave(scene, clients[1]!);
    expect(await retained(scene, 'devices/+/status')).toEqual({
      'devices/bin-1/status': 'online',
      'devices/bin-2/status': 'offline',
    });
    other = await afterCrash(scene);
    const after = { 'devices/bin-1/status': 'offline', 'devices/bin-2/status': 'offline' };
    expect(await retained(other, 'devices/+/status')).toEqual(after);
    await rawLogin(other.port, 'bin-2');
    expect(await retained(other, 'devices/bin-2/status')).toEqual({ 'devices/bin-2/status': 'online' });
  });

  test('sessions - a device that is revoked has no status any more, whether it was connected or not, or the server down', async () => {
    const [here, away] = [await rawLogin(scene.port, 'bin-1'), await rawLogin(scene.port, 'bin-2')];
    await leave(scene, away, await rawLogin(scene.port, 'bin-3'));
    scene.broker.credentials({ set: [], remove: ['bin-1', 'bin-2'] });
    await here.closed;
    await until(() => scene.broker.counts().connections === 0, 'the end of the connection');
    expect(Object.keys(await retained(scene, 'devices/+/status'))).toEqual(['devices/bin-3/status']);
    other = await afterCrash(scene, { without: ['bin-3'] });
    expect(await retained(other, 'devices/+/status')).toEqual({});
  });

  test('sessions - a subscriber gets a retained message with RETAIN 1 at its SUBSCRIBE, and its changes with RETAIN 0 (§3.3.1.3)', async () => {
    retain('tickets/waste/1', 'open');
    const client = await keptSession(scene, 'admin');
    const clean = await rawLogin(scene.port, 'admin', { clientId: 'clean' });
    for (const one of [client, clean]) {
      await subscribe(one, 'tickets/#');
      await until(() => one.got('publish').length === 1, 'the retained one');
    }
    retain('tickets/waste/1', 'assigned');
    for (const one of [client, clean]) await until(() => one.got('publish').length === 2, 'its change');
    await leave(scene, client);
    retain('tickets/waste/1', 'resolved');
    retain('tickets/waste/1', '');
    const back = await keptSession(scene, 'admin');
    await until(() => payloads(back).length === 2, 'its queue');
    const seen = [...client.got('publish'), ...back.got('publish')];
    expect(seen.map(({ payload, retain }) => [payload.toString(), retain])).toEqual([
      ['open', true],
      ['assigned', false],
      ['resolved', false],
      ['', false],
    ]);
    expect(clean.got('publish').map(({ retain }) => retain)).toEqual([true, false, false, false]);
    expect(await retained(scene, 'tickets/#')).toEqual({});
  });
});

describe('wills', () => {
  const will = (topic: string, payload = 'last words') => ({
    will: { topic, payload: Buffer.from(payload), qos: 1, retain: false },
  });

  test('sessions - the will of a connection that a crash ended is admitted at the next start, once', async () => {
    await rawLogin(scene.port, 'bin-1', will('devices/bin-1/readings'));
    await rawLogin(scene.port, 'bin-2', will('devices/bin-3/readings'));
    await onDisk();
    other = await afterCrash(scene);
    expect(other.sink.taken).toEqual([{ identity: 'bin-1', topic: 'devices/bin-1/readings', payload: 'last words' }]);
    const { dir, outbox } = other;
    await other.stop();
    other = await startBroker({ dir, outbox });
    expect(other.sink.taken).toEqual([]);
  });

  test('sessions - a will that was admitted or withdrawn before the crash is not admitted after it', async () => {
    const broken = await rawLogin(scene.port, 'bin-1', will('devices/bin-1/readings'));
    const bye = await rawLogin(scene.port, 'bin-2', will('devices/bin-2/readings'));
    bye.send({ cmd: 'disconnect' });
    await leave(scene, broken, bye);
    await until(() => scene.sink.taken.length === 1, 'the last word');
    await onDisk();
    other = await afterCrash(scene);
    expect(other.sink.taken).toEqual([]);
  });

  test('sessions - the will of a device that was revoked meanwhile is discarded', async () => {
    await rawLogin(scene.port, 'bin-1', will('devices/bin-1/readings'));
    await onDisk();
    other = await afterCrash(scene, { without: ['bin-1'] });
    expect(other.sink.taken).toEqual([]);
  });
});

describe('received messages of QoS 2', () => {
  const TOPIC = 'devices/bin-1/readings';
  const session = { clean: false };

  async function received(client: RawClient): Promise<void> {
    client.send(publishPacket(TOPIC, '{"n": 1}', 2, 7));
    await until(() => client.got('pubrec').length === 1, 'PUBREC');
  }

  test.each([
    [1, session],
    [2, { clean: true }],
  ])(
    'sessions - repeated over another connection before its PUBREL it is %i message(s), with %o',
    async (count, how) => {
      const before = await rawLogin(scene.port, 'bin-1', how);
      await received(before);
      before.socket.destroy();
      await until(() => scene.broker.counts().connections === 0, 'the end');
      const back = await rawLogin(scene.port, 'bin-1', how);
      back.send(publishPacket(TOPIC, '{"n": 1}', 2, 7, { dup: true }));
      await until(() => back.got('pubrec').length === 1, 'PUBREC');
      expect(scene.sink.taken).toHaveLength(count);
      back.send({ cmd: 'pubrel', messageId: 7 });
      await until(() => back.got('pubcomp').length === 1, 'PUBCOMP');
      back.send(publishPacket(TOPIC, '{"n": 2}', 2, 7));
      await until(() => back.got('pubrec').length === 2, 'PUBREC of the next');
      expect(scene.sink.taken).toHaveLength(count + 1);
    },
  );

  test('sessions - the crash between PUBREC and PUBREL: PUBREL gets its PUBCOMP, nothing is taken twice', async () => {
    await received(await rawLogin(scene.port, 'bin-1', session));
    other = await afterCrash(scene);
    const back = await rawLogin(other.port, 'bin-1', session);
    back.send({ cmd: 'pubrel', messageId: 7 });
    await until(() => back.got('pubcomp').length === 1, 'PUBCOMP');
    expect(back.got('pubcomp')[0]!.messageId).toBe(7);
    expect(other.sink.taken).toEqual([]);
  });

  test('sessions - the crash before PUBREC: the message comes again, and is not acknowledged before it is on disk', async () => {
    await received(await rawLogin(scene.port, 'bin-1', session));
    other = await afterCrash(scene);
    other.sink.held = true;
    const back = await rawLogin(other.port, 'bin-1', session);
    back.send(publishPacket(TOPIC, '{"n": 1}', 2, 7, { dup: true }));
    await until(() => other!.sink.taken.length === 1, 'the message');
    await back.ping();
    expect(back.got('pubrec')).toEqual([]);
    other.sink.settle();
    await until(() => back.got('pubrec').length === 1, 'PUBREC');
  });
});

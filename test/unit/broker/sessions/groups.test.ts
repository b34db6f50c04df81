import type { Packet } from 'mqtt-packet';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fiveLogin, keyOf, type RawClient, rawLogin, type Scene, startBroker } from '../../../kit/broker/kit.ts';
import {
  acknowledge,
  afterCrash,
  keptSession,
  leave,
  payloads,
  publishEvents,
  range,
  subscribe,
} from '../../../kit/broker/sessions.ts';
import { until } from '../../../kit/wait.ts';

const EVENTS = '$share/g/events/#';
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

/** A member of MQTT 3.1.1 without a kept session; by default it acknowledges. */
async function member(clientId: string, { acknowledges = true, qos = 1 as 0 | 1, filter = EVENTS } = {}) {
  const client = await rawLogin(scene.port, 'admin', { clientId });
  if (acknowledges) client.onPacket = acknowledging(client);
  await subscribe(client, [filter, qos]);
  return client;
}
const acknowledging = (client: RawClient) => (packet: Packet) => {
  if (packet.cmd === 'publish' && packet.qos > 0) acknowledge(client, packet.messageId!);
};
async function keptMember(clientId: string, acknowledges = true, of = scene): Promise<RawClient> {
  const client = await keptSession(of, 'admin', { clientId, acknowledges });
  await subscribe(client, EVENTS);
  return client;
}
const numbers = (...clients: RawClient[]) => clients.flatMap(payloads).map(Number);
const sorted = (...clients: RawClient[]) => numbers(...clients).sort((a, b) => a - b);
const arrived = (count: number, ...clients: RawClient[]) =>
  until(() => numbers(...clients).length >= count, `${count} messages`);

describe('who gets a message', () => {
  test('groups - each message goes to one member, in turn; a plain subscription has its own copy', async () => {
    const members = [await member('a'), await member('b'), await member('c')];
    const alone = await member('d', { filter: 'events/#' });
    publishEvents(scene, ...range(1, 30));
    await arrived(30, ...members);
    await arrived(30, alone);
    for (const one of members) expect(numbers(one)).toHaveLength(10);
    expect(sorted(...members)).toEqual(range(1, 30));
    expect(numbers(alone)).toEqual(range(1, 30));
    await until(() => scene.broker.counts().queued === 0, 'every acknowledgement');
  });

  test('groups - two groups get each message once each, and so do two filters of one name', async () => {
    const first = await member('a');
    const second = await member('b', { filter: '$share/other/events/#' });
    const third = await member('c', { filter: '$share/g/events/tickets/#' });
    publishEvents(scene, ...range(1, 5));
    await Promise.all([first, second, third].map((one) => arrived(5, one)));
    expect([first, second, third].map((one) => numbers(one))).toEqual([range(1, 5), range(1, 5), range(1, 5)]);
  });

  test('groups - a group is of its key: another key of that name and filter is no member', async () => {
    const ours = await member('a');
    const theirs = await rawLogin(scene.port, 'city', { clientId: 'b' });
    await subscribe(theirs, EVENTS);
    publishEvents(scene, ...range(1, 4));
    await arrived(4, ours);
    await arrived(4, theirs);
  });

  test('groups - what a member has not acknowledged when it goes, another one gets, under an id of its own', async () => {
    const stuck = await member('a', { acknowledges: false });
    const good = await member('b');
    publishEvents(scene, ...range(1, 10));
    await arrived(10, stuck, good);
    expect(numbers(stuck)).toHaveLength(5);
    await leave(scene, stuck);
    await arrived(10, good);
    expect(sorted(good)).toEqual(range(1, 10));
    expect(good.got('publish').every(({ dup }) => !dup)).toBe(true);
    await until(() => scene.broker.counts().queued === 0, 'every acknowledgement');
  });

  test('groups - a member that leaves the group keeps what it was sent; the others go on', async () => {
    const leaver = await member('a', { acknowledges: false });
    publishEvents(scene, 1);
    await arrived(1, leaver);
    const good = await member('b');
    leaver.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: [EVENTS] } as Packet);
    await until(() => leaver.got('unsuback').length === 1, 'UNSUBACK');
    publishEvents(scene, ...range(2, 5));
    await arrived(4, good);
    expect(numbers(leaver)).toEqual([1]);
    acknowledge(leaver, leaver.got('publish')[0]!.messageId!);
    await until(() => scene.broker.counts().queued === 0, 'every acknowledgement');
    expect(numbers(good)).toEqual(range(2, 5));
  });

  test('groups - a member of QoS 0 gets its messages with QoS 0, and none twice', async () => {
    const members = [await member('a', { qos: 0 }), await member('b')];
    publishEvents(scene, ...range(1, 10));
    await arrived(10, ...members);
    expect(members[0]!.got('publish').map(({ qos }) => qos)).toEqual([0, 0, 0, 0, 0]);
    expect(sorted(...members)).toEqual(range(1, 10));
    await until(() => scene.broker.counts().queued === 0, 'every acknowledgement');
  });

  test('groups - live readings are wanted for a group, and go to one member each', async () => {
    const members = [
      await member('a', { filter: '$share/g/live/#' }),
      await member('b', { filter: '$share/g/live/#' }),
    ];
    expect(scene.live).toBe(true);
    for (const n of range(1, 10))
      scene.broker.publish({ topic: 'live/harbour/bin-1', payload: `${n}`, qos: 0, retain: false });
    await arrived(10, ...members);
    for (const one of members) expect(numbers(one)).toHaveLength(5);
    await leave(scene, ...members);
    await until(() => !scene.live, 'nobody to read');
  });

  test('groups - a member has a hundred messages on its way; the others are for those that acknowledge', async () => {
    const stuck = await member('a', { acknowledges: false });
    const good = await member('b');
    publishEvents(scene, ...range(1, 500));
    await arrived(500, stuck, good);
    expect(numbers(stuck)).toHaveLength(100);
    expect(sorted(stuck, good)).toEqual(range(1, 500));
  });

  test('groups - retained messages are not for a group', async () => {
    scene.publish({ topic: 'tickets/waste/t1', payload: '1', qos: 1, retain: true });
    const one = await member('a', { filter: '$share/g/tickets/#' });
    await one.ping();
    expect(numbers(one)).toEqual([]);
    scene.publish({ topic: 'tickets/waste/t1', payload: '2', qos: 1, retain: true });
    await arrived(1, one);
    expect(one.got('publish')[0]).toMatchObject({ retain: false });
  });
});

describe('members with kept sessions', () => {
  test('groups - while every member is away, messages wait for the one that comes first, in order', async () => {
    await leave(scene, await keptMember('a'), await keptMember('b'));
    publishEvents(scene, ...range(1, 200));
    expect(scene.broker.counts()).toMatchObject({ queued: 200, sessions: 2 });
    const back = await keptSession(scene, 'admin', { clientId: 'b' });
    await arrived(200, back);
    expect(numbers(back)).toEqual(range(1, 200));
    const late = await keptSession(scene, 'admin', { clientId: 'a' });
    await late.ping();
    expect(numbers(late)).toEqual([]);
  });

  test('groups - a member that is back gets what it had under the same ids, with DUP, unless another has it', async () => {
    const stuck = await keptMember('a', false);
    publishEvents(scene, 1, 2);
    await arrived(2, stuck);
    const ids = stuck.got('publish').map(({ messageId }) => messageId);
    await leave(scene, stuck);
    const back = await keptSession(scene, 'admin', { clientId: 'a', acknowledges: false });
    await arrived(2, back);
    expect(back.got('publish').map(({ messageId, dup }) => ({ messageId, dup }))).toEqual(
      ids.map((messageId) => ({ messageId, dup: true })),
    );
    const good = await keptMember('b');
    await leave(scene, back);
    await arrived(2, good);
    const again = await keptSession(scene, 'admin', { clientId: 'a' });
    await again.ping();
    expect(numbers(again)).toEqual([]);
    await until(() => scene.broker.counts().queued === 0, 'every acknowledgement');
  });

  test('groups - ids of the queue, of groups and of retained messages are different ones', async () => {
    scene.publish({ topic: 'tickets/waste/t1', payload: '0', qos: 1, retain: true });
    const client = await keptMember('a', false);
    await subscribe(client, 'events/#', 'tickets/#');
    publishEvents(scene, ...range(1, 40));
    await arrived(81, client);
    const ids = client.got('publish').map(({ messageId }) => messageId!);
    expect(new Set(ids).size).toBe(81);
    for (const messageId of ids) acknowledge(client, messageId);
    await until(() => scene.broker.counts().queued === 0, 'every acknowledgement');
  });

  test('groups - a session that ends leaves what it had to the others', async () => {
    const stuck = await keptMember('a', false);
    const away = await keptMember('b');
    await leave(scene, away);
    publishEvents(scene, 1, 2, 3);
    await arrived(3, stuck);
    await leave(scene, stuck);
    // A clean session ends the one before: this client has nothing of it.
    const anew = await rawLogin(scene.port, 'admin', { clientId: 'a' });
    await anew.ping();
    expect(numbers(anew)).toEqual([]);
    const back = await keptSession(scene, 'admin', { clientId: 'b' });
    await arrived(3, back);
    expect(back.got('publish').map(({ dup }) => dup)).toEqual([false, false, false]);
  });

  test('groups - after a crash what waits and what was not acknowledged comes, and nothing else', async () => {
    const stuck = await keptMember('a', false);
    const good = await keptMember('b');
    publishEvents(scene, ...range(1, 10));
    await arrived(10, stuck, good);
    const acknowledged = numbers(good);
    await leave(scene, good);
    await leave(scene, stuck);
    publishEvents(scene, ...range(11, 20));
    // Places are written a tenth of a second later.
    await new Promise((resolve) => setTimeout(resolve, 150));
    other = await afterCrash(scene);
    const back = await keptSession(other, 'admin', { clientId: 'a' });
    const wanted = range(1, 20).filter((n) => !acknowledged.includes(n));
    await arrived(wanted.length, back);
    expect(numbers(back)).toEqual(wanted);
    const before = stuck.got('publish').map(({ messageId, payload }) => [`${payload}`, messageId]);
    const again = back.got('publish').filter(({ dup }) => dup);
    expect(again.map(({ messageId, payload }) => [`${payload}`, messageId])).toEqual(before);
    publishEvents(other, 21);
    await arrived(wanted.length + 1, back);
  });

  test('groups - a crash right after it loses nothing that waits', async () => {
    await leave(scene, await keptMember('a'));
    publishEvents(scene, ...range(1, 300));
    other = await afterCrash(scene);
    const back = await keptSession(other, 'admin', { clientId: 'a' });
    await arrived(300, back);
    expect(numbers(back)).toEqual(range(1, 300));
  });

  test('groups - what a full queue of a group drops is published under the name of the group', async () => {
    await scene.stop();
    scene = await startBroker({ limits: { messages: 5 } });
    await leave(scene, await keptMember('a'));
    publishEvents(scene, ...range(1, 8));
    await until(() => scene.drops.length > 0, 'the news');
    expect(scene.drops[0]).toMatchObject({ session: `admin/${EVENTS}`, user: 'admin', messages: 3 });
    const back = await keptSession(scene, 'admin', { clientId: 'a' });
    await arrived(5, back);
    expect(numbers(back)).toEqual(range(4, 8));
  });

  test('groups - a group ends with its last member: who comes later gets only what is new', async () => {
    await leave(scene, await member('a'));
    publishEvents(scene, 1, 2);
    expect(scene.broker.counts().queued).toBe(0);
    const kept = await keptMember('b');
    kept.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: [EVENTS] } as Packet);
    await until(() => kept.got('unsuback').length === 1, 'UNSUBACK');
    publishEvents(scene, 3);
    expect(scene.broker.counts().queued).toBe(0);
    const late = await member('c');
    publishEvents(scene, 4);
    await arrived(1, late);
    expect(numbers(kept, late)).toEqual([4]);
  });

  test('groups - a key that is revoked has no group any more', async () => {
    await leave(scene, await keptMember('a'));
    publishEvents(scene, 1);
    scene.broker.credentials({ set: [], remove: ['admin'] });
    expect(scene.broker.counts()).toMatchObject({ queued: 0, sessions: 0 });
    scene.broker.credentials({ set: [keyOf('admin', 'admin')], remove: [] });
    const anew = await keptMember('a');
    await anew.ping();
    expect(numbers(anew)).toEqual([]);
  });
});

describe('MQTT 5', () => {
  async function five(
    clientId: string,
    filter: string,
    { properties = {}, subscription = {}, acknowledges = true } = {},
  ) {
    const client = await fiveLogin(scene.port, 'admin', { clientId, properties });
    if (acknowledges) client.onPacket = acknowledging(client);
    client.send({
      ...{ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos: 1 }] },
      properties: subscription,
    } as Packet);
    await until(() => client.got('suback').length > 0 || client.isClosed, 'SUBACK');
    return client;
  }

  test('groups - CONNACK says to keys that they may share subscriptions, and to devices that they may not', async () => {
    const offered = async (user: string) =>
      (await fiveLogin(scene.port, user)).got('connack')[0]!.properties!.sharedSubscriptionAvailable;
    expect(await offered('admin')).toBe(true);
    expect(await offered('bin-1')).toBe(false);
  });

  test.each<[string, string, string, number]>([
    ['a group', 'admin', EVENTS, 1],
    ['a group without a name', 'admin', '$share//events/#', 0x8f],
    ['a group whose name is a wildcard', 'admin', '$share/+/events/#', 0x8f],
    ['a group without a filter', 'admin', '$share/g', 0x8f],
    ['a group with an empty filter', 'admin', '$share/g/', 0x8f],
    ['a wildcard in place of group and filter', 'admin', '$share/#', 0x8f],
    ['a group of a group', 'admin', '$share/a/$share/b/events/#', 0x8f],
    ['the topics of the server', 'admin', '$share/g/$SYS/#', 0x8f],
    ['what it may not read', 'waste', '$share/g/events/tickets/roads/#', 0x87],
    ['what it may read', 'waste', '$share/g/events/tickets/waste/#', 1],
    ['a device', 'bin-1', '$share/g/devices/bin-1/desired', 0x9e],
  ])('groups - SUBSCRIBE: %s', async (_what, user, filter, code) => {
    const client = await fiveLogin(scene.port, user);
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos: 1 }] } as Packet);
    await until(() => client.got('suback').length > 0, 'SUBACK');
    expect(client.got('suback')[0]!.granted).toEqual([code]);
  });

  test.each([
    ['No Local', EVENTS, { nl: true }, 0x82],
    ['a part of a wildcard in the name', '$share/g+/events/#', {}, 0x8f],
  ])('groups - %s ends the connection', async (_what, topic, options, reasonCode) => {
    const client = await fiveLogin(scene.port, 'admin');
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1, ...options }] } as Packet);
    await client.closed;
    expect(client.got('disconnect')[0]).toMatchObject({ reasonCode });
  });

  test('groups - a key has as many groups as kept sessions', async () => {
    await scene.stop();
    scene = await startBroker({ limits: { perUser: 2 } });
    const [a, b, c] = [await five('a', '$share/1/#'), await five('b', '$share/2/#'), await five('c', '$share/3/#')];
    expect([a, b, c].map((one) => one!.got('suback')[0]!.granted)).toEqual([[1], [1], [0x97]]);
    const more = await five('d', '$share/2/#');
    expect(more.got('suback')[0]!.granted).toEqual([1]);
  });

  test('groups - a message has the identifier of the subscription that it is for', async () => {
    const client = await five('a', EVENTS, { subscription: { subscriptionIdentifier: 7 } });
    client.send({
      ...{ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: 'events/tickets/#', qos: 1 }] },
      properties: { subscriptionIdentifier: 8 },
    } as Packet);
    await until(() => client.got('suback').length === 2, 'SUBACK');
    publishEvents(scene, 1);
    await arrived(2, client);
    const identifiers = client.got('publish').map(({ properties }) => properties!.subscriptionIdentifier);
    expect(identifiers.sort()).toEqual([7, 8]);
  });

  test('groups - a member has no more on its way than its Receive Maximum: the others get the rest', async () => {
    const slow = await five('a', EVENTS, { properties: { receiveMaximum: 1 }, acknowledges: false });
    const good = await five('b', EVENTS);
    publishEvents(scene, ...range(1, 20));
    await arrived(20, slow, good);
    expect(numbers(slow)).toHaveLength(1);
    await leave(scene, slow);
    await arrived(20, good);
    expect(sorted(good)).toEqual(range(1, 20));
  });

  test('groups - a session that begins anew has nothing of the one before', async () => {
    const properties = { sessionExpiryInterval: 600 };
    const stuck = await five('a', EVENTS, { properties, acknowledges: false });
    await five('b', EVENTS, { properties }).then((one) => leave(scene, one));
    publishEvents(scene, 1, 2);
    await arrived(2, stuck);
    const anew = await fiveLogin(scene.port, 'admin', { clientId: 'a', clean: true, properties });
    await anew.ping();
    expect(numbers(anew)).toEqual([]);
    await until(() => scene.broker.counts().queued === 2, 'what waits for the other');
  });
});

import { connect as connectPlain } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import mqtt from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import type { BrokerOptions } from '../../../broker/index.ts';
import { certificate } from '../../kit/broker/certificate.ts';
import { deviceOf, publishPacket, RawClient, type Scene, SECRET, startBroker } from '../../kit/broker/kit.ts';
import { until } from '../../kit/wait.ts';

const city = certificate('The city');
const server = certificate('localhost', city);
const device = certificate('bin-1', city);
const stranger = certificate('bin-1', certificate('The city'));

let scene: Scene;
async function start(clientCa: string | null, more: Partial<BrokerOptions> = {}): Promise<void> {
  scene = await startBroker({ tls: { port: 0, cert: server.cert, key: server.key, clientCa }, ...more });
}
afterEach(() => scene.stop());

/** An option that is undefined leaves the password out of the CONNECT. */
const NO_PASSWORD: object = { password: undefined };

function login(more: mqtt.IClientOptions = {}): Promise<mqtt.MqttClient> {
  const identity = { clientId: 'bin-1', username: 'bin-1', password: SECRET, reconnectPeriod: 0 };
  const trust = { ca: city.cert, servername: 'localhost' };
  return mqtt.connectAsync(`mqtts://127.0.0.1:${scene.tlsPort}`, { ...identity, ...trust, ...more });
}

function secure(more: object = {}): RawClient {
  const trust = { ca: city.cert, servername: 'localhost' };
  return new RawClient(0, connectTls({ port: scene.tlsPort!, host: '127.0.0.1', ...trust, ...more }));
}

test('broker - over TLS it is the same: login, acknowledgement, status', async () => {
  await start(null);
  const client = await login();
  await client.publishAsync('devices/bin-1/readings', 'x', { qos: 2 });
  expect(scene.sink.taken).toEqual([{ identity: 'bin-1', topic: 'devices/bin-1/readings', payload: 'x' }]);
  await client.endAsync();
  await expect(login({ password: 'wrong' })).rejects.toMatchObject({ code: 4 });
});

test('broker - over TLS the limits are the same, and a message that waits for the disk is not acknowledged', async () => {
  await start(null, { maxPacket: 2_000, maxConnections: 2 });
  const client = secure();
  expect(await client.connect('bin-1')).toBe(0);
  scene.sink.held = true;
  client.send(publishPacket('devices/bin-1/readings', 'x', 1, 1));
  await until(() => scene.sink.taken.length === 1, 'the message');
  await client.ping();
  expect(client.got('puback')).toEqual([]);
  scene.sink.settle();
  await until(() => client.got('puback').length === 1, 'PUBACK');
  await new RawClient(scene.port).connect('bin-2');
  const late = secure();
  await late.closed;
  expect(late.packets).toEqual([]);
  client.send(publishPacket('devices/bin-1/readings', 'x'.repeat(2_000), 1, 2));
  await client.closed;
  expect(scene.broker.counts().cutOversize).toBe(1);
});

test('broker - a client that trusts another authority does not connect', async () => {
  await start(null);
  await expect(login({ ca: stranger.cert })).rejects.toThrow(/certificate|issuer/);
});

test('broker - with an authority for clients, only a certificate of it comes as far as the login, which is still needed', async () => {
  await start(city.cert);
  const client = await login({ cert: device.cert, key: device.key });
  await client.publishAsync('devices/bin-1/readings', 'x', { qos: 1 });
  await client.endAsync();
  await expect(login({ cert: device.cert, key: device.key, password: 'wrong' })).rejects.toMatchObject({ code: 4 });
  for (const refused of [secure(), secure({ cert: stranger.cert, key: stranger.key })]) {
    await refused.connect('bin-1').catch(() => {});
    await refused.closed;
    expect(refused.packets).toEqual([]);
  }
  expect(scene.sink.taken).toHaveLength(1);
});

test('broker - connections that never finish their handshake count as connections, too', async () => {
  await start(null, { maxConnections: 5 });
  const sockets = Array.from({ length: 8 }, () => connectPlain(scene.tlsPort!, '127.0.0.1'));
  let open = sockets.length;
  for (const socket of sockets) {
    socket.on('error', () => {});
    socket.once('close', () => open--);
  }
  await until(() => open <= 5, 'the ones too many are cut');
  for (const socket of sockets) socket.destroy();
  const client = await retried(login);
  await client.endAsync();
});

/** Resolves when the broker has freed connections. */
async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

test('broker - stopping ends TLS connections, too, also those in the middle of their handshake', async () => {
  await start(null);
  const half = connectPlain(scene.tlsPort!, '127.0.0.1');
  half.on('error', () => {});
  await new Promise((resolve) => half.once('connect', resolve));
  const client: TLSSocket = connectTls({
    port: scene.tlsPort!,
    host: '127.0.0.1',
    ca: city.cert,
    servername: 'localhost',
  });
  client.on('error', () => {});
  await new Promise((resolve) => client.once('secureConnect', resolve));
  const closed = [half, client].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
  await scene.stop();
  await Promise.all(closed);
});

test('broker - a certificate that names a device logs it in without a password, where that is switched on', async () => {
  const tls = { port: 0, cert: server.cert, key: server.key, clientCa: city.cert };
  await start(null, { tls: { ...tls, clientNames: true } });
  const shown = { cert: device.cert, key: device.key };
  const withoutPassword = (more: object = {}) => login({ ...shown, ...NO_PASSWORD, ...more });
  const client = await withoutPassword();
  await client.publishAsync('devices/bin-1/readings', 'x', { qos: 1 });
  expect(scene.sink.taken).toMatchObject([{ identity: 'bin-1' }]);
  const other = { clientId: 'bin-2', username: 'bin-2' };
  await expect(withoutPassword(other), 'of another name').rejects.toMatchObject({ code: 4 });
  await expect(login({ ...shown, password: 'wrong' }), 'a wrong password').rejects.toMatchObject({ code: 4 });
  const key = certificate('waste', city);
  const ofKey = { cert: key.cert, key: key.key, clientId: 'waste', username: 'waste' };
  await expect(withoutPassword(ofKey), 'keys have secrets').rejects.toMatchObject({ code: 4 });
  const gone = new Promise<void>((resolve) => client.once('close', () => resolve()));
  scene.broker.credentials({ set: [{ ...deviceOf('bin-1'), suspended: true }], remove: [] });
  await gone;
  await expect(withoutPassword()).rejects.toMatchObject({ code: 5 });
});

test('broker - a certificate is no login where that is not switched on', async () => {
  await start(city.cert);
  const shown = { cert: device.cert, key: device.key, ...NO_PASSWORD };
  await expect(login(shown)).rejects.toMatchObject({ code: 4 });
});

test('broker - plain TCP can be switched off', async () => {
  const tls = { port: 0, cert: server.cert, key: server.key, clientCa: null };
  scene = await startBroker({ port: null, tls });
  expect(scene.port).toBeNull();
  await (await login()).endAsync();
});

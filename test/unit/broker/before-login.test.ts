import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { openBridge } from '../../../broker/bridge.ts';
import type { BrokerOptions } from '../../../broker/index.ts';
import { certificate } from '../../kit/broker/certificate.ts';
import { RawClient, rawLogin, type Scene, startBroker } from '../../kit/broker/kit.ts';
import { until } from '../../kit/wait.ts';

const WRONG = { password: Buffer.from('wrong') };

let scene: Scene;
async function start(setting: Partial<BrokerOptions> = {}): Promise<void> {
  scene = await startBroker(setting);
}
afterEach(() => scene.stop());

/** Opens connections that stay silent. */
function silent(count: number, port = scene.port): Socket[] {
  return Array.from({ length: count }, () => connectPlain(port, '127.0.0.1').on('error', () => {}));
}

/** Returns a client whose first bytes are these. */
function beginning(first: string | Buffer, port = scene.port): RawClient {
  const socket = connectPlain(port, '127.0.0.1');
  socket.write(first);
  return new RawClient(0, socket);
}

describe('silent connections', () => {
  test('broker - an address that opens silent connections without an end keeps no device out', async () => {
    await start({ maxConnections: 40, maxPerAddress: 10_000 });
    const sockets: Socket[] = [];
    for (let i = 0; i < 72; i++) {
      sockets.push(...silent(10));
      const device = await rawLogin(scene.port, `bin-${(i % 3) + 1}`);
      await device.ping();
      device.socket.destroy();
    }
    await until(() => scene.broker.counts().waiting <= 10, 'no more than their share');
    expect(scene.broker.counts().gaveWay).toBeGreaterThanOrEqual(700);
    for (const socket of sockets) socket.destroy();
    await until(() => scene.broker.counts().connections === 0, 'the end of all');
  });

  test('broker - with TLS too: a handshake that does not begin costs a place of that address only', async () => {
    const { cert, key } = certificate('localhost');
    await start({ tls: { port: 0, cert, key, clientCa: null }, maxConnections: 40 });
    silent(100, scene.tlsPort!);
    const tls = { port: scene.tlsPort!, host: '127.0.0.1', ca: cert, servername: 'localhost' };
    const device = new RawClient(0, connectTls(tls));
    expect(await device.connect('bin-1')).toBe(0);
    await until(() => scene.broker.counts().waiting <= 10, 'no more than their share');
  });

  test('broker - a connection that ends without a word is no fault of anybody', async () => {
    await start();
    for (const socket of silent(5)) socket.end();
    await rawLogin(scene.port, 'bin-1');
    await until(() => scene.broker.counts().connections === 1, 'the end of the others');
    expect(scene.broker.counts()).toMatchObject({ refusedConnections: 0, cutForeign: 0, gaveWay: 0 });
  });
});

test('broker - what does not begin with a CONNECT is ended at its first byte', async () => {
  await start();
  for (const first of [
    'GET / HTTP/1.1\r\n',
    '\x16\x03\x01',
    '\x30',
    'PROXY TCP4 203.0.113.7 10.0.0.9 1 2\r\n',
    '\r\n\r\n\0',
  ]) {
    const client = beginning(first);
    await client.closed;
    expect(client.packets).toEqual([]);
  }
  expect(scene.broker.counts().cutForeign).toBe(5);
});

test('broker - a TLS handshake that fails is counted', async () => {
  const { cert, key } = certificate('localhost');
  await start({ tls: { port: 0, cert, key, clientCa: null } });
  await beginning('PROXY TCP4 203.0.113.7 10.0.0.9 1 2\r\n', scene.tlsPort!).closed;
  await until(() => scene.broker.counts().cutForeign === 1, 'the count');
});

test('broker - connections that say something and do not log in are refused past the burst of their address', async () => {
  await start({ maxPerAddress: 10 });
  for (let i = 0; i < 30; i++) await rawLogin(scene.port, 'bin-1').then((client) => client.socket.destroy());
  for (let i = 0; i < 3; i++) await beginning('\x30').closed;
  for (let i = 0; i < 7; i++) expect(await new RawClient(scene.port).connect(`guess-${i}`, WRONG)).toBe(4);
  const late = new RawClient(scene.port);
  late.send({ cmd: 'pingreq' });
  await late.closed;
  expect(scene.broker.counts().refusedConnections).toBe(1);
  scene.nowMs += 1_000;
  await rawLogin(scene.port, 'bin-1');
});

describe('logins that fail', () => {
  test('broker - a right secret is accepted at once while wrong ones of the same name and address wait', async () => {
    await start();
    const guesses = Array.from({ length: 20 }, () => new RawClient(scene.port));
    for (const guess of guesses) void guess.connect('bin-1', WRONG).catch(() => {});
    await until(() => scene.broker.counts().refusedLogins === 20, 'every guess');
    await (await rawLogin(scene.port, 'bin-1')).ping();
    // Three at once; most of the others wait for seconds.
    const responded = guesses.filter((guess) => guess.got('connack').length > 0).length;
    expect(responded).toBeGreaterThanOrEqual(3);
    expect(responded).toBeLessThan(20);
    expect(scene.failing).toMatchObject([{ source: '127.0.0.1', user: 'bin-1', failures: 20 }]);
  });

  test('broker - names of 8 KB without a right secret are neither kept nor published', async () => {
    await start();
    for (let i = 0; i < 50; i++)
      await new RawClient(scene.port).connect('x'.repeat(8_192) + i, { ...WRONG, clientId: 'x' });
    expect(scene.broker.counts().refusedLogins).toBe(50);
    expect(scene.failing).toEqual([]);
  });
});

describe('behind a proxy', () => {
  const V1 = 'PROXY TCP4 203.0.113.7 10.0.0.9 49152 1883\r\n';
  const guess = async (first: string | Buffer, port = scene.port) => {
    await beginning(first, port)
      .connect('bin-1', WRONG)
      .catch(() => {});
  };

  test('broker - a client of a trusted proxy counts for its own address, however the header arrives', async () => {
    await start({ proxies: '127.0.0.0/8' });
    for (let i = 0; i < 19; i++) void guess(V1);
    await until(() => scene.broker.counts().refusedLogins === 19, 'the guesses');
    const socket = connectPlain(scene.port, '127.0.0.1').setNoDelay(true);
    for (const byte of V1) {
      socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    void new RawClient(0, socket).connect('bin-1', WRONG).catch(() => {});
    await until(() => scene.failing.length === 1, 'the event');
    expect(scene.failing).toMatchObject([{ source: '203.0.113.7', user: 'bin-1', failures: 20 }]);
    expect(await beginning(V1).connect('bin-1')).toBe(0);
  });

  test('broker - the header stands before TLS', async () => {
    const { cert, key } = certificate('localhost');
    await start({ proxies: '127.0.0.1', tls: { port: 0, cert, key, clientCa: null } });
    const socket = connectPlain(scene.tlsPort!, '127.0.0.1');
    socket.write(V1);
    const device = new RawClient(0, connectTls({ socket, ca: cert, servername: 'localhost' }));
    expect(await device.connect('bin-1')).toBe(0);
  });

  test('broker - a trusted proxy that sends no header, or a broken one, is refused', async () => {
    await start({ proxies: '127.0.0.1' });
    const plain = new RawClient(scene.port);
    await plain.connect('bin-1').catch(() => {});
    await plain.closed;
    for (const first of ['PROXY TCP4 nowhere\r\n', `PROXY ${'x'.repeat(200)}`]) await beginning(first).closed;
    expect(plain.packets).toEqual([]);
    expect(scene.broker.counts()).toMatchObject({ cutForeign: 3, connections: 0 });
  });
});

describe('the bridge', () => {
  test('broker - a connection of the bridge counts for the client of the WebSocket', async () => {
    await start();
    for (let i = 0; i < 20; i++) {
      void new RawClient(0, openBridge(scene.bridge, '203.0.113.7')).connect('bin-1', WRONG).catch(() => {});
    }
    await until(() => scene.failing.length === 1, 'the event');
    expect(scene.failing).toMatchObject([{ source: '203.0.113.7' }]);
    const device = new RawClient(0, openBridge(scene.bridge, '2001:db8::7'));
    expect(await device.connect('bin-1')).toBe(0);
  });

  test('broker - without the token of the process nobody comes over the bridge, nor says who he is', async () => {
    await start();
    const { port, token } = scene.bridge;
    const forged = openBridge({ port, token: token.replace(/^./, (one) => (one === '0' ? '1' : '0')) }, '203.0.113.7');
    for (const client of [
      new RawClient(0, forged),
      beginning(`PROXY TCP4 203.0.113.7 10.0.0.9 1 2\r\n${'x'.repeat(64)}`, port),
    ]) {
      await client.closed;
      expect(client.packets).toEqual([]);
    }
    const outside = beginning(`${token}PROXY TCP4 203.0.113.7 10.0.0.9 1 2\r\n`);
    await outside.closed;
    expect(scene.broker.counts()).toMatchObject({ cutForeign: 3, connections: 0 });
  });
});

import { mkdtempSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import mqtt from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import { type Certified, certificate } from '../kit/broker/certificate.ts';
import { freePort } from '../kit/ports.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

let server: ServerProcess | null = null;
afterEach(async () => {
  await server?.stop();
});

const DEVICES = 4;

test('certificates - are rotated under load: no connection ends, no acknowledged message is lost', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-tls-'));
  const [certPath, keyPath] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const city = certificate('The city');
  const write = ({ cert, key }: Certified) => {
    writeFileSync(certPath, cert);
    writeFileSync(keyPath, key);
  };
  write(certificate('localhost', city));
  const [httpsPort, mqttsPort] = [await freePort(), await freePort()];
  const trust = { ca: city.cert, servername: 'localhost' };
  server = new ServerProcess(undefined, {
    ...{ HTTPS_PORT: String(httpsPort), MQTTS_PORT: String(mqttsPort), TLS_CERT: certPath, TLS_KEY: keyPath },
  });
  await server.start();

  const wanted = Array.from({ length: DEVICES }, (_, i) => ({
    id: `b-${i}`,
    profile: 'waste-bin',
    district: 'harbour',
  }));
  const devices = await server.post<{ id: string; secret: string }[]>('/api/v1/devices', wanted);
  let acknowledged = 0;
  let closed = 0;
  let stopping = false;
  const clients = await Promise.all(
    devices.map(async ({ id, secret }) => {
      const login = { clientId: id, username: id, password: secret, reconnectPeriod: 0, ...trust };
      const client = await mqtt.connectAsync(`mqtts://127.0.0.1:${mqttsPort}`, login);
      client.on('close', () => closed++);
      return client;
    }),
  );
  const publishing = clients.map(async (client, d) => {
    for (let ts = Date.now() - 100_000; !stopping; ts++) {
      const payload = JSON.stringify({ ts, metrics: { fill: 40 } });
      await client.publishAsync(`devices/b-${d}/readings`, payload, { qos: 1 });
      acknowledged++;
    }
  });

  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let asked = 0;
  const asking = (async () => {
    while (!stopping) {
      await status(httpsPort, { agent, ...trust });
      asked++;
    }
  })();
  const sockets = () => Object.values({ ...agent.freeSockets, ...agent.sockets }).flat();
  await until(() => acknowledged > 100 && asked > 3, 'the load');
  expect(server.output).toContain(`, mqtts ${mqttsPort}, https ${httpsPort}\n`);
  const [kept] = sockets();

  const seen = new Set([await fingerprint(httpsPort, trust), await fingerprint(mqttsPort, trust)]);
  expect(seen.size).toBe(1);
  for (let n = 0; n < 3; n++) {
    const before = acknowledged;
    write(certificate('localhost', city));
    process.kill(server.pid, 'SIGHUP');
    for (const port of [httpsPort, mqttsPort])
      await until(async () => !seen.has(await fingerprint(port, trust)), `certificate ${n} at ${port}`);
    const [https, mqtts] = [await fingerprint(httpsPort, trust), await fingerprint(mqttsPort, trust)];
    expect(https).toBe(mqtts);
    seen.add(https);
    await until(() => acknowledged > before + 100, 'more messages');
  }
  // What cannot be used changes nothing.
  writeFileSync(certPath, 'no certificate');
  process.kill(server.pid, 'SIGHUP');
  await until(() => server!.output.includes('the certificates of before stay'), 'the complaint');
  expect(seen).toContain(await fingerprint(mqttsPort, trust));

  stopping = true;
  await Promise.all([...publishing, asking]);
  expect(closed).toBe(0);
  expect(sockets()).toEqual([kept]);
  agent.destroy();
  for (const client of clients) await client.endAsync();
  await until(async () => {
    const { messages } = await server!.get<{ messages: { received: number; pending: number } }>('/api/v1/ledger');
    return messages.pending === 0 && messages.received === acknowledged;
  }, 'the ledger has every acknowledged message');
});

function status(port: number, more: object): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  const options = { host: '127.0.0.1', port, path: '/api/v1/devices', headers, ...more };
  const sent = request(options, (response) => {
    response.resume().on('end', () => resolve(response.statusCode!));
  });
  sent.on('error', reject).end();
  return promise;
}

async function fingerprint(port: number, trust: object): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ...trust });
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  const { fingerprint256 } = socket.getPeerX509Certificate()!;
  socket.destroy();
  return fingerprint256;
}

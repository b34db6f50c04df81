import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../../domain/index.ts';
import { createPoster } from '../../../notify/index.ts';
import { certificate } from '../../kit/broker/certificate.ts';
import { freePort } from '../../kit/ports.ts';

const servers: { closeAllConnections?(): void; close(): unknown }[] = [];
const posters: ReturnType<typeof createPoster>[] = [];
afterEach(() => {
  for (const poster of posters.splice(0)) poster.stop();
  for (const server of servers.splice(0)) {
    server.closeAllConnections?.();
    server.close();
  }
});

async function receiver(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as { port: number }).port}/hook`;
}

function post(url: string, options: { allowPrivate?: boolean; timeoutMs?: number } = {}, signal?: AbortSignal) {
  const poster = createPoster(
    { clock: systemClock },
    { allowPrivate: true, timeoutMs: 5_000, mostKept: 1_024, ...options },
  );
  posters.push(poster);
  return poster.post({ url, headers: { 'x-a': '1' }, body: '{"ü":1}' }, signal ?? new AbortController().signal);
}

test('posting - sends the body and the headers and returns the response', async () => {
  let got: unknown;
  const url = await receiver((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      got = [
        request.method,
        request.headers['x-a'],
        request.headers['content-length'],
        Buffer.concat(chunks).toString(),
      ];
      response.writeHead(202).end('taken');
    });
  });
  expect(await post(url)).toMatchObject({ outcome: 'delivered', status: 202, text: 'taken' });
  expect(got).toEqual(['POST', '1', '8', '{"ü":1}']);
});

test('posting - a redirect is not followed', async () => {
  let asked = 0;
  const target = await receiver((_request, response) => {
    asked++;
    response.end();
  });
  const url = await receiver((_request, response) => void response.writeHead(307, { location: target }).end());
  expect(await post(url)).toMatchObject({ outcome: 'redirected', status: 307 });
  expect(asked).toBe(0);
});

test('posting - returns the wait that a receiver asks for', async () => {
  const url = await receiver(
    (_request, response) => void response.writeHead(429, { 'retry-after': '7' }).end('slower'),
  );
  expect(await post(url)).toMatchObject({ outcome: 'throttled', status: 429, retryAfterMs: 7_000, text: 'slower' });
});

test('posting - a receiver that does not respond times out', async () => {
  const url = await receiver(() => {});
  expect(await post(url, { timeoutMs: 100 })).toMatchObject({ outcome: 'timed-out', status: null });
});

test('posting - so does one that accepts the connection and reads nothing', async () => {
  const server = createTcpServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
  expect(await post(url, { timeoutMs: 100 })).toMatchObject({ outcome: 'timed-out' });
});

test('posting - a body that never ends is cut, and its status counts', async () => {
  const url = await receiver((_request, response) => {
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(100_000)));
    };
    response.on('drain', more);
    more();
  });
  const { outcome, text } = await post(url);
  expect(outcome).toBe('delivered');
  expect(text).toBe(`${'x'.repeat(1_024)} … (cut)`);
});

test('posting - a body that stalls is cut off after the timeout, and its status counts', async () => {
  const url = await receiver((_request, response) => {
    response.writeHead(500);
    response.write('so');
  });
  expect(await post(url, { timeoutMs: 2_000 })).toMatchObject({
    outcome: 'failed',
    status: 500,
    text: 'so … (broken off)',
  });
});

test('posting - a closed port is unreachable, with the reason', async () => {
  const result = await post(`http://127.0.0.1:${await freePort()}/`);
  expect(result).toMatchObject({ outcome: 'unreachable', status: null, text: expect.stringContaining('ECONNREFUSED') });
});

test('posting - a server that does not speak HTTP is unreachable', async () => {
  const server = createTcpServer((socket) => socket.end('SSH-2.0-x\r\n')).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
  expect(await post(url)).toMatchObject({ outcome: 'unreachable' });
});

test('posting - an untrusted certificate prevents the connection, with the reason', async () => {
  const server = createTlsServer(certificate('localhost'), (_request, response) => response.end()).listen(
    0,
    '127.0.0.1',
  );
  servers.push(server);
  await once(server, 'listening');
  const url = `https://127.0.0.1:${(server.address() as { port: number }).port}/`;
  expect(await post(url)).toMatchObject({ outcome: 'unreachable', text: expect.stringMatching(/self.signed/i) });
});

test('posting - private addresses are refused where they are not allowed, as literals and as names', async () => {
  let asked = 0;
  const url = await receiver((_request, response) => {
    asked++;
    response.end();
  });
  const { port } = new URL(url);
  const named = [`http://127.0.0.1:${port}/`, `http://localhost:${port}/`, `http://[::ffff:127.0.0.1]:${port}/`];
  for (const one of [...named, `http://127.1:${port}/`]) {
    expect(await post(one, { allowPrivate: false }), one).toMatchObject({ outcome: 'private-address', status: null });
  }
  expect(asked).toBe(0);
});

test('posting - an aborted request throws', async () => {
  const url = await receiver(() => {});
  const aborted = new AbortController();
  const posted = post(url, {}, aborted.signal);
  setImmediate(() => aborted.abort(new Error('the server stops')));
  await expect(posted).rejects.toThrow('the server stops');
});

test('posting - a kept connection that the receiver closed is opened again', async () => {
  const ports = new Set<number>();
  const url = await receiver((request, response) => {
    ports.add(request.socket.remotePort!);
    response.end('ok', () => request.socket.resetAndDestroy());
  });
  const poster = createPoster({ clock: systemClock }, { allowPrivate: true, timeoutMs: 5_000, mostKept: 1_024 });
  posters.push(poster);
  for (let i = 0; i < 20; i++) {
    const result = await poster.post({ url, headers: {}, body: '' }, new AbortController().signal);
    expect(result.outcome).toBe('delivered');
  }
  expect(ports.size).toBeGreaterThan(10);
});

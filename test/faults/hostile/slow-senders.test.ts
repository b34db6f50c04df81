import { rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dial } from '../../kit/hostile/wire.ts';
import { ServerProcess } from '../../kit/server.ts';
import { until } from '../../kit/wait.ts';

const CONNECT = Buffer.from('\x10\x20\0\x04MQTT\x04\x02\0\x3c\0\x14', 'latin1');

const FORM = 'POST /open311/v2/requests.json HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=b\r\n';
const JSON_BODY = 'POST /api/v1/rules/try HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n';
const INGEST =
  'POST /ingest/bin-1 HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nauthorization: Bearer x\r\n';

/** What is sent at once, and what drips after it; null: nothing more. */
const SLOW: Readonly<Record<string, readonly ['http' | 'mqtt', begin: string | Buffer, drip: string | null]>> = {
  'nothing over HTTP': ['http', '', null],
  'half a line of a request': ['http', 'GET /heal', null],
  'headers that never end': ['http', 'GET /health HTTP/1.1\r\nhost: a\r\n', 'x-a: b\r\n'],
  'a form that stalls': ['http', `${FORM}content-length: 100000\r\n\r\n--b\r\n`, null],
  'a form that drips': ['http', `${FORM}content-length: 100000\r\n\r\n--b\r\n`, 'a'],
  'chunks that drip': ['http', `${FORM}transfer-encoding: chunked\r\n\r\n`, '1\r\na\r\n'],
  'JSON that stalls': ['http', `${JSON_BODY}content-length: 100000\r\n\r\n{`, null],
  'JSON that drips': ['http', `${JSON_BODY}content-length: 100000\r\n\r\n{`, ' '],
  'a message of a device that drips': ['http', `${INGEST}content-length: 100000\r\n\r\n[`, ' '],
  'a second request that stalls': ['http', 'GET /health HTTP/1.1\r\nhost: a\r\n\r\nGET /hea', null],
  'a WebSocket without a CONNECT': [
    'http',
    'GET /mqtt HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n' +
      'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: mqtt\r\n\r\n',
    null,
  ],
  'nothing over MQTT': ['mqtt', '', null],
  'half a CONNECT': ['mqtt', CONNECT, null],
  'a CONNECT that drips': ['mqtt', CONNECT, 'a'],
  'a length that never ends': ['mqtt', Buffer.from([0x10]), null],
};

const server = new ServerProcess(undefined, { HTTP_REQUEST_SECONDS: '5' });
const open = new Map<string, Socket>();
let dripping: NodeJS.Timeout;

/** All of them at once, so that the tests together wait only for the slowest. */
beforeAll(async () => {
  await server.start();
  for (const [name, [kind, begin]] of Object.entries(SLOW)) {
    const socket = (await dial(kind === 'http' ? server.httpPort : server.mqttPort))!;
    socket.resume();
    if (begin.length > 0) socket.write(begin);
    open.set(name, socket);
  }
  dripping = setInterval(() => {
    for (const [name, [, , drip]] of Object.entries(SLOW)) if (drip !== null) open.get(name)!.write(drip);
  }, 300);
});
afterAll(async () => {
  clearInterval(dripping);
  for (const socket of open.values()) socket.destroy();
  await server.kill();
  rmSync(server.data, { recursive: true, force: true });
});

for (const name of Object.keys(SLOW)) {
  test(`hostile - ${name}: the connection is ended`, async () => {
    const socket = open.get(name)!;
    await until(() => socket.closed, 'the end of the connection');
  });
}

test('hostile - a request that is quick is served all the while', async () => {
  expect((await fetch(`http://127.0.0.1:${server.httpPort}/health`)).status).toBe(200);
});

import type { Socket } from 'node:net';
import { generate } from 'mqtt-packet';
import { pause } from '../../wait.ts';
import { BOMBS } from '../photos.ts';
import { type Attack, type Login, lanes, over, randomOf, type Target } from '../target.ts';
import { ATTACKER, ask, connectOf, dial, formOf, RawClient, write } from '../wire.ts';

const REPORTS = '/open311/v2/requests.json';
const PLACE = { service_code: 'waste', lat: '32.06', long: '118.79' };
const MIB = 2 ** 20;

/** Posts every kind of bomb again and again. */
async function bombs(target: Target, signal: AbortSignal, bytes: number, fields: Record<string, string>) {
  const forms = Object.values(BOMBS).map((bomb) => formOf({ ...PLACE, ...fields }, [bomb(bytes)]));
  let [sent, unanswered] = [0, 0];
  await lanes(4, signal, async (lane, round) => {
    const form = forms[(lane + round * 4) % forms.length]!;
    const { status } = await ask(target, { method: 'POST', path: REPORTS, ...form, signal });
    sent++;
    if (status === 0) unanswered++;
    if (status === 429) await pause(200);
  });
  return { sent, unanswered };
}

/** Opens sockets that say no more than `greeting`, as many as the machine lets it, and keeps them. */
async function silence(port: number, most: number, signal: AbortSignal, greeting?: Uint8Array | string) {
  const open: Socket[] = [];
  await lanes(50, signal, async () => {
    if (open.length >= most) return pause(50);
    const socket = await dial(port);
    if (socket === null || socket.destroyed) return pause(10);
    if (greeting !== undefined) socket.write(greeting);
    open.push(socket);
    socket.once('close', () => open.splice(open.indexOf(socket), 1));
  });
  const held = open.length;
  for (const socket of open) socket.destroy();
  return held;
}

/** While `attack` goes on, devices of other addresses connect; returns how many of them could, and how slowly. */
async function connecting(target: Target, signal: AbortSignal, attack: (signal: AbortSignal) => Promise<number>) {
  const logins = new AbortController();
  const held = attack(logins.signal);
  await pause(1_500);
  const found = { connected: 0, refused: 0, slowestMs: 0 };
  do
    for (let i = 0; i < 72; i += 8) {
      const some = Array.from({ length: 8 }, (_, j) =>
        connect(target, found, target.devices[(i + j) % target.devices.length]!, `127.2.0.${1 + i + j}`),
      );
      await Promise.all(some);
    }
  while (!signal.aborted);
  logins.abort();
  return { ...found, held: await held };
}

/** Connects a device and counts whether it could. */
async function connect(
  target: Target,
  found: { connected: number; refused: number; slowestMs: number },
  device: Login,
  from: string,
): Promise<void> {
  const began = performance.now();
  const client = await RawClient.login(target, device, { from });
  if (client === null) found.refused++;
  else found.connected++;
  found.slowestMs = Math.max(found.slowestMs, Math.round(performance.now() - began));
  client?.end();
}

const allConnect = ({ refused, connected }: Readonly<Record<string, number>>) =>
  refused === 0 && connected! > 0 ? [] : [`devices of other addresses: ${connected} connect, ${refused} do not`];

const CONNECT = generate(connectOf({ clientId: 'x', username: 'x', password: Buffer.from('x') }));
const UPGRADE =
  'GET /mqtt HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n' +
  'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\nsec-websocket-protocol: mqtt\r\n\r\n';

/** Attacks that need no key. */
export const STRANGER: Readonly<Record<string, Attack>> = {
  'photos-small': {
    title: 'photos of 200 KB without a key that cost seconds to parse stop nobody',
    leastMs: 6_000,
    run: (target, signal) => bombs(target, signal, 200_000, {}),
  },
  'photos-large': {
    title: 'photos of 5 MB without a key that cost minutes to parse stop nobody',
    leastMs: 6_000,
    run: (target, signal) => bombs(target, signal, 5 * MIB - 1_000, { api_key: 'of-nobody-'.repeat(5) }),
  },
  'forms-without-key': {
    title: 'twenty forms of 11.5 MB without a key take no memory',
    async run(target, signal) {
      const file = Buffer.alloc(5 * MIB - 1_000, 'a');
      const fields = Object.fromEntries(Array.from({ length: 90 }, (_, i) => [`field-${i}`, 'b'.repeat(16_000)]));
      const form = formOf(fields, [file, file]);
      let sent = 0;
      await lanes(20, signal, async () => {
        await ask(target, { method: 'POST', path: REPORTS, ...form, signal });
        sent++;
        await pause(50);
      });
      return { sent };
    },
    judge: (_figures, { peakMiB }) => (peakMiB <= 800 ? [] : [`memory: ${peakMiB} MiB for bodies of strangers`]),
  },
  'forms-held': {
    title: 'two hundred forms that stop in the middle of their body take no memory',
    async run(target, signal) {
      const { headers, body } = formOf(PLACE, [Buffer.alloc(5 * MIB - 1_000, 'a')]);
      const head = `POST ${REPORTS} HTTP/1.1\r\nhost: a\r\ncontent-type: ${headers['content-type']}\r\ncontent-length: ${body.length}\r\n\r\n`;
      const sockets: Socket[] = [];
      await lanes(20, signal, async () => {
        if (sockets.length >= 200) return pause(50);
        const socket = await dial(target.httpPort);
        if (socket === null) return pause(50);
        sockets.push(socket);
        await Promise.race([
          write(socket, Buffer.concat([Buffer.from(head), Buffer.from(body).subarray(0, -10)])),
          pause(500),
        ]);
      });
      return { held: sockets.filter(({ destroyed }) => !destroyed).length };
    },
    judge: (_figures, { peakMiB }) => (peakMiB <= 800 ? [] : [`memory: ${peakMiB} MiB for bodies of strangers`]),
  },
  'open311-lists': {
    title: 'sixty lists of 2,000 tickets at a time over Open311 stop nobody',
    leastMs: 6_000,
    tickets: true,
    async run(target, signal) {
      const paths = [
        'requests.xml',
        'requests.json',
        'requests.xml?page_size=1000&extensions=true',
        'requests.xml?page=2',
      ];
      const found = { answered: 0, busy: 0, bytes: 0 };
      await lanes(60, signal, async (lane) => {
        const path = `/open311/v2/${paths[lane % paths.length]}`;
        const { status, bytes } = await ask(target, { path, signal });
        found.bytes += bytes;
        if (status === 200) found.answered++;
        else {
          found.busy++;
          await pause(200);
        }
      });
      return found;
    },
  },
  'public-pages': {
    title: 'sixty readers of everything that needs no key stop nobody',
    tickets: true,
    async run(target, signal) {
      const { text } = await ask(target, { path: '/openapi.json', keep: 10 * MIB });
      const found = { answered: 0, busy: 0 };
      const document = JSON.parse(text) as { paths: Record<string, object> };
      const open = Object.keys(document.paths).filter(
        (path) => path.startsWith('/public') || path.startsWith('/open311'),
      );
      const paths = [
        '/openapi.json',
        '/asyncapi.json',
        '/',
        '/docs',
        ...open.map((path) => path.replace('{format}', 'xml').replace(/\{\w+\}/g, 'waste')),
      ];
      await lanes(60, signal, async (lane, round) => {
        const { status } = await ask(target, { path: paths[(lane + round) % paths.length]!, signal });
        if (status === 200) found.answered++;
        else found.busy++;
        if (status === 429 || status === 0) await pause(200);
      });
      return found;
    },
  },
  'silent-mqtt': {
    title: 'an address that opens silent MQTT sockets takes no place of a device elsewhere',
    run: (target, signal) => connecting(target, signal, (open) => silence(target.mqttPort, 4_000, open)),
    judge: allConnect,
  },
  'half-connects': {
    title: 'an address that sends half a CONNECT takes no place of a device elsewhere',
    run: (target, signal) =>
      connecting(target, signal, (open) => silence(target.mqttPort, 4_000, open, CONNECT.subarray(0, 9))),
    judge: allConnect,
  },
  'silent-websockets': {
    title: 'an address that opens silent WebSockets takes no place of a device elsewhere',
    run: (target, signal) => connecting(target, signal, (open) => silence(target.httpPort, 4_000, open, UPGRADE)),
    judge: allConnect,
  },
  'silent-http': {
    title: 'an address that opens silent HTTP sockets takes no place of an operator elsewhere',
    run: (target, signal) => connecting(target, signal, (open) => silence(target.httpPort, 4_000, open)),
    judge: allConnect,
  },
  'wrong-logins': {
    title: 'failed logins with names of 8 KB are bounded in the log',
    async run(target, signal) {
      const random = randomOf(target.seed);
      let tried = 0;
      await lanes(50, signal, async () => {
        const socket = await dial(target.mqttPort);
        if (socket === null) return pause(20);
        const client = new RawClient(socket);
        const name = `${random()}`.padEnd(8_000, 'x');
        client.send(connectOf({ clientId: name.slice(0, 1_000), username: name, password: Buffer.from('wrong') }));
        await client.next('connack');
        client.end();
        tried++;
      });
      return { tried };
    },
    judge: (_figures, { logBytes }) => (logBytes <= 64 * 1024 ? [] : [`the log: ${logBytes} bytes of failed logins`]),
  },
  'wrong-logins-of-a-device': {
    title: 'failed logins with the name of a device do not keep the device out',
    async run(target, signal) {
      const victim = target.devices[0]!;
      const found = { tried: 0, connected: 0, refused: 0, slowestMs: 0 };
      const own = new AbortController();
      const attack = lanes(20, own.signal, async () => {
        const client = await RawClient.login(target, { id: victim.id, secret: 'a wrong one' });
        client?.end();
        found.tried++;
        if (client === null) await pause(5);
      });
      await pause(1_000);
      do {
        await connect(target, found, victim, '127.2.1.1');
        await pause(100);
      } while (!signal.aborted);
      own.abort();
      await attack;
      return found;
    },
    judge: allConnect,
  },
  'wrong-keys': {
    title: 'requests with wrong keys, long headers and long paths are bounded in the log',
    async run(target, signal) {
      let tried = 0;
      await lanes(20, signal, async (lane) => {
        const path = lane % 2 === 0 ? `/api/v1/tickets/${'x'.repeat(8_000)}` : `/ingest/${'d'.repeat(90)}`;
        const method = lane % 2 === 0 ? 'GET' : 'POST';
        const headers = { 'x-long': 'y'.repeat(4_000), 'content-type': 'application/json' };
        const { status } = await ask(target, { method, path, key: 'z'.repeat(3_000), headers, signal });
        tried++;
        if (status === 429 || status === 0) await pause(50);
      });
      return { tried };
    },
    judge: (_figures, { logBytes }) => (logBytes <= 64 * 1024 ? [] : [`the log: ${logBytes} bytes of wrong keys`]),
  },
  'connect-storm': {
    title: 'an address that connects and disconnects all the time stops nobody',
    async run(target, signal) {
      let opened = 0;
      await lanes(64, signal, async () => {
        const socket = await dial(target.mqttPort, ATTACKER);
        socket?.destroy();
        opened++;
      });
      return { opened };
    },
    judge: (_figures, { logBytes }) => (logBytes <= 64 * 1024 ? [] : [`the log: ${logBytes} bytes of connections`]),
  },
  'pipelined-http': {
    title: 'requests that are pipelined without reading their responses stop nobody',
    async run(target, signal) {
      const one = 'GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n';
      const sockets = await Promise.all(Array.from({ length: 20 }, () => dial(target.httpPort)));
      for (const socket of sockets) {
        socket?.pause();
        socket?.write(one.repeat(500));
      }
      await over(signal);
      const held = sockets.filter((socket) => socket !== null && !socket.destroyed).length;
      for (const socket of sockets) socket?.destroy();
      return { held };
    },
    judge: (_figures, { peakMiB }) => (peakMiB <= 800 ? [] : [`memory: ${peakMiB} MiB for responses nobody reads`]),
  },
};

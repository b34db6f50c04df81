/**
 * The normal load, in a process of its own: devices that send a reading once a second (QoS 1), and an operator's page.
 * It is commanded over IPC: `Begin` first, then `phase` and `report` as often as wanted, `stop` at the end.
 */
import { Agent, get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setPriority } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { generate, parser } from 'mqtt-packet';
import type { Login } from './target.ts';
import { Stopwatch, type Times } from './times.ts';
import { connectOf } from './wire.ts';

export interface Begin {
  readonly httpPort: number;
  readonly mqttPort: number;
  readonly key: string;
  readonly devices: readonly Login[];
}

/** What the load saw since the last `phase`. */
export interface Seen {
  readonly puback: Times;
  readonly health: Times;
  readonly tickets: Times;
  /** What should not happen: connections that ended, requests that failed. */
  readonly broken: readonly string[];
  /** Messages acknowledged since the start. */
  readonly acknowledged: number;
  /** The longest time that this process itself was late. */
  readonly ownLagMs: number;
  /** Whether of each that is watched one has ended since the phase began. */
  readonly served: boolean;
}

/** The times of the readings that were acknowledged, by device. */
export type Acknowledged = Readonly<Record<string, readonly number[]>>;

const SEND_EVERY_MS = 1_000;
const HEALTH_EVERY_MS = 200;
const DEVICES_OF_ADDRESS = 4;
const OPERATOR = '127.0.0.5';

const puback = new Stopwatch();
const health = new Stopwatch();
const tickets = new Stopwatch();
let broken: string[] = [];
const acknowledged: Record<string, number[]> = {};
let stopping = false;
const lag = monitorEventLoopDelay({ resolution: 5 });
lag.enable();
try {
  // Whoever measures must not wait for those that are measured; without the right to it the figures are only noisier.
  setPriority(-10);
} catch {}

function device({ mqttPort }: Begin, { id, secret }: Login, i: number): void {
  const from = `127.1.${1 + Math.floor(i / DEVICES_OF_ADDRESS / 250)}.${1 + (Math.floor(i / DEVICES_OF_ADDRESS) % 250)}`;
  const acks: number[] = [];
  acknowledged[id] = acks;
  let [socket, messageId, lastTs]: [Socket | null, number, number] = [null, 0, 0];
  let sent = new Map<number, { readonly ts: number; readonly done: () => void }>();

  function open(): void {
    if (stopping) return;
    sent = new Map();
    const own = connect({ port: mqttPort, host: '127.0.0.1', localAddress: from, noDelay: true });
    const incoming = parser();
    incoming.on('packet', (packet) => {
      if (packet.cmd === 'connack') socket = own;
      const one = packet.cmd === 'puback' ? sent.get(packet.messageId!) : undefined;
      if (one === undefined) return;
      sent.delete(packet.messageId!);
      one.done();
      acks.push(one.ts);
    });
    own.on('connect', () => {
      own.write(generate(connectOf({ clientId: id, username: id, password: Buffer.from(secret) })));
    });
    own.on('data', (bytes: Buffer) => void incoming.parse(bytes));
    own.on('error', () => {});
    own.on('close', () => {
      socket = null;
      if (!stopping) broken.push('a device was disconnected');
      setTimeout(open, 500);
    });
  }

  function send(): void {
    if (socket === null || stopping) return;
    lastTs = Math.max(lastTs + 1, Date.now());
    messageId = (messageId % 65_535) + 1;
    const wave = Math.sin(lastTs / 60_000 + i);
    const metrics = { pm25: 15 + 5 * wave, pm10: 25 + 5 * wave + i / 100, no2: 20 + wave };
    const payload = JSON.stringify({ ts: lastTs, metrics });
    sent.set(messageId, { ts: lastTs, done: puback.start() });
    socket.write(
      generate({
        cmd: 'publish',
        topic: `devices/${id}/readings`,
        payload,
        qos: 1,
        messageId,
        dup: false,
        retain: false,
      }),
    );
  }

  open();
  setTimeout(() => setInterval(send, SEND_EVERY_MS), (i * 7) % SEND_EVERY_MS);
}

const agent = new Agent({ keepAlive: true, maxSockets: 1_000, localAddress: OPERATOR });

function asked({ httpPort, key }: Begin, path: string, watch: Stopwatch): void {
  const done = watch.start();
  const headers = { authorization: `Bearer ${key}` };
  const failed = (why: string) => {
    done();
    if (!stopping) broken.push(`GET ${path}: ${why}`);
  };
  const sent = get({ host: '127.0.0.1', port: httpPort, path, agent, headers }, (response) => {
    response.resume();
    response.once('end', () => (response.statusCode === 200 ? done() : failed(String(response.statusCode))));
  });
  // A kept connection that the server closes while a request is on its way is no refusal: browsers repeat it.
  sent.once('error', (error: NodeJS.ErrnoException) =>
    sent.reusedSocket && error.code === 'ECONNRESET' ? done() : failed(error.message),
  );
}

function stream({ httpPort, key }: Begin): void {
  if (stopping) return;
  const headers = { authorization: `Bearer ${key}`, accept: 'text/event-stream' };
  const options = { host: '127.0.0.1', port: httpPort, path: '/api/v1/events', agent: false as const, headers };
  const sent = get({ ...options, localAddress: OPERATOR }, (response) => {
    if (response.statusCode !== 200) broken.push(`the event stream: ${response.statusCode}`);
    response.resume();
    response.once('close', () => {
      if (!stopping && response.statusCode === 200) broken.push('the event stream ended');
      setTimeout(() => stream({ httpPort, key } as Begin), 1_000);
    });
  });
  sent.once('error', () => setTimeout(() => stream({ httpPort, key } as Begin), 1_000));
}

function seen(): Seen {
  const all = Object.values(acknowledged).reduce((sum, { length }) => sum + length, 0);
  const ownLagMs = Math.round(lag.max / 1e6);
  return {
    ...{ puback: puback.times(), health: health.times(), tickets: tickets.times() },
    ...{ broken, acknowledged: all, ownLagMs },
    served: [puback, health, tickets].every(({ hasEnded }) => hasEnded),
  };
}

function phase(): void {
  for (const watch of [puback, health, tickets]) watch.reset();
  broken = [];
  lag.reset();
}

const reply = (message: Seen | Acknowledged | { readonly ok: true }) => void process.send!(message);

process.on('message', (message: Begin | 'phase' | 'report' | 'stop') => {
  if (message === 'phase') {
    phase();
    reply({ ok: true });
  } else if (message === 'report') reply(seen());
  else if (message === 'stop') {
    stopping = true;
    // What is on its way may still be acknowledged.
    setTimeout(() => {
      process.send!(acknowledged, () => process.exit(0));
    }, 500);
  } else {
    for (const [i, one] of message.devices.entries()) device(message, one, i);
    setInterval(() => asked(message, '/health', health), HEALTH_EVERY_MS);
    setInterval(() => asked(message, '/api/v1/tickets', tickets), 1_000);
    stream(message);
    setTimeout(() => reply({ ok: true }), 1_500);
  }
});
process.on('disconnect', () => process.exit(0));

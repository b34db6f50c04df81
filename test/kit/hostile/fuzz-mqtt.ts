import { generate, type Packet } from 'mqtt-packet';
import { pause } from '../wait.ts';
import { type Figures, type Login, lanes, randomOf, type Target } from './target.ts';
import { connectOf, dial, write } from './wire.ts';

type Random = () => number;

const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
const upTo = (random: Random, most: number) => Math.floor(random() * (most + 1));

const MOST_SCRIPT = 12;
const LANES = 8;
/** Fewer conversations show nothing. */
export const LEAST_CONVERSATIONS = 50;
const UNUSUAL = [
  '',
  '#',
  '+',
  '/',
  '//',
  '$SYS/#',
  '$share/a/#',
  'devices',
  'a\0b',
  '\uffff',
  '城市/+/読',
  'x'.repeat(65_535),
  'a/'.repeat(2_000),
];
const PAYLOADS = [
  '',
  '{}',
  '[]',
  'null',
  '{"metrics":{"pm25":1}}',
  '{"metrics":{"pm25":"1e999"}}',
  '{"ts":"now","metrics":{"pm25":[]}}',
  '[{"n":"pm25","v":1}]',
  '\xff\xfe',
  '{"metrics":{"__proto__":1,"constructor":2}}',
  '{"ts":-1,"metrics":{"pm25":1}}',
  '[{"bt":1e308,"n":"pm25","v":1}]',
];

function topicOf(random: Random, { id }: Login): string {
  const own = ['readings', 'senml', 'senml-cbor', 'sensor-community', 'rejections', 'status', 'commands', 'x'].map(
    (leaf) => `devices/${id}/${leaf}`,
  );
  const others = [
    'devices/load-1/readings',
    'live/old-town/load-1',
    'events/alerts/#',
    'tickets/+/+',
    'application/1/device/a/event/up',
    'v3/a/devices/b/up',
  ];
  return pick(random, [own, own, others, UNUSUAL])[upTo(random, 5)] ?? pick(random, own);
}

function idOf(random: Random): number {
  return pick(random, [0, 1, 2, 3, 65_535, upTo(random, 65_535)]);
}

/** Makes a packet of the protocol, valid or nearly so. */
function packetOf(random: Random, login: Login): Packet {
  const messageId = idOf(random);
  const qos = pick(random, [0, 1, 1, 2] as const);
  const topics = Array.from({ length: pick(random, [0, 1, 2, 50]) }, () => topicOf(random, login));
  switch (
    pick(random, [
      'publish',
      'publish',
      'publish',
      'subscribe',
      'unsubscribe',
      'ack',
      'ack',
      'ping',
      'connect',
      'other',
    ] as const)
  ) {
    case 'publish': {
      const payload =
        random() < 0.1 ? Buffer.alloc(upTo(random, 100_000), 'a') : Buffer.from(pick(random, PAYLOADS), 'latin1');
      return {
        cmd: 'publish',
        topic: topicOf(random, login),
        payload,
        qos,
        messageId,
        dup: random() < 0.3,
        retain: random() < 0.3,
      };
    }
    case 'subscribe':
      return { cmd: 'subscribe', messageId, subscriptions: topics.map((topic) => ({ topic, qos })) };
    case 'unsubscribe':
      return { cmd: 'unsubscribe', messageId, unsubscriptions: topics };
    case 'ack':
      return { cmd: pick(random, ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const), messageId };
    case 'ping':
      return { cmd: pick(random, ['pingreq', 'pingreq', 'disconnect'] as const) };
    case 'connect':
      return greeting(random, login);
    default:
      return pick<Packet>(random, [
        { cmd: 'pingresp' },
        { cmd: 'connack', returnCode: 0, sessionPresent: true },
        { cmd: 'suback', messageId, granted: [0, 1, 128] },
        { cmd: 'unsuback', messageId, granted: [] },
      ]);
  }
}

/** A CONNECT, mostly a right one. */
function greeting(random: Random, { id, secret }: Login): Packet {
  const version = pick(random, [3, 4, 4, 4, 4, 4, 4, 4, 5] as const);
  const topic = topicOf(random, { id, secret });
  const will = {
    topic,
    payload: Buffer.from(pick(random, PAYLOADS)),
    qos: pick(random, [0, 1, 2] as const),
    retain: random() < 0.5,
  };
  return {
    ...connectOf({
      clientId: random() < 0.95 ? id : pick(random, UNUSUAL),
      clean: random() < 0.6,
      username: random() < 0.95 ? id : pick(random, UNUSUAL),
      password: Buffer.from(random() < 0.95 ? secret : pick(random, UNUSUAL)),
    }),
    protocolVersion: version,
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    keepalive: pick(random, [0, 1, 60, 65_535]),
    ...(random() < 0.2 && topic !== '' ? { will } : {}),
  } as Packet;
}

/** Encodes a packet; one that the library refuses becomes bytes that look like one. */
function bytesOf(random: Random, packet: Packet): Buffer {
  try {
    return generate(packet);
  } catch {
    return Buffer.from(Array.from({ length: 2 + upTo(random, 40) }, () => upTo(random, 255)));
  }
}

/** The remaining length as up to five bytes, also longer than it need be. */
function lengthBytes(random: Random, length: number): Buffer {
  const digits: number[] = [];
  for (let rest = length; digits.length === 0 || rest > 0; rest = Math.floor(rest / 128)) digits.push(rest % 128);
  while (digits.length < 5 && random() < 0.3) digits.push(0);
  return Buffer.from(digits.map((digit, i) => (i < digits.length - 1 ? digit | 128 : digit)));
}

/** Changes an encoded packet in one of many ways, most of which leave it readable. */
function mutated(random: Random, bytes: Buffer): Buffer {
  const at = upTo(random, bytes.length - 1);
  switch (upTo(random, 8)) {
    case 0: {
      const copy = Buffer.from(bytes);
      copy[at] = copy[at]! ^ (1 << upTo(random, 7));
      return copy;
    }
    case 1: {
      const copy = Buffer.from(bytes);
      copy[0] = upTo(random, 255);
      return copy;
    }
    case 2:
      return bytes.subarray(0, at);
    case 3:
      return Buffer.concat([
        bytes.subarray(0, at),
        Buffer.from(Array.from({ length: upTo(random, 8) }, () => upTo(random, 255))),
        bytes.subarray(at),
      ]);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + upTo(random, 8)))]);
    case 5:
      return Buffer.concat([bytes, bytes]);
    case 6: {
      const body = bytes.subarray(Math.min(bytes.length, 2));
      const length = pick(random, [
        body.length,
        body.length + 1,
        Math.max(0, body.length - 1),
        0,
        127,
        128,
        16_384,
        262_145,
        268_435_455,
      ]);
      return Buffer.concat([bytes.subarray(0, 1), lengthBytes(random, length), body]);
    }
    case 7: {
      // A length of a string inside the packet.
      const copy = Buffer.from(bytes);
      if (copy.length > 4)
        copy.writeUInt16BE(
          pick(random, [0, 1, 0xffff, Math.min(0xffff, copy.length)]),
          Math.min(copy.length - 2, 2 + upTo(random, 12)),
        );
      return copy;
    }
    default:
      return Buffer.concat([bytes.subarray(at), bytes.subarray(0, at)]);
  }
}

/** Writes bytes in pieces of random lengths. */
async function inPieces(
  random: Random,
  socket: NonNullable<Awaited<ReturnType<typeof dial>>>,
  bytes: Buffer,
): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const end = random() < 0.5 ? bytes.length : at + 1 + upTo(random, Math.min(bytes.length - at, 2_000));
    if (!(await write(socket, bytes.subarray(at, end)))) return;
    if (random() < 0.2) await pause(1);
    at = end;
  }
}

/**
 * Sends conversations of valid, nearly valid and broken packets, before and after logins, by devices and keys, until
 * the time is over and there were enough. Each lane has a random sequence of its own, so that a seed gives the same
 * conversations.
 */
export async function fuzzMqtt(target: Target, signal: AbortSignal): Promise<Figures> {
  const logins = [...target.devices.slice(12), ...target.keys.viewer.slice(0, 1), ...target.keys['network-server']];
  const randoms = Array.from({ length: LANES }, (_, i) => randomOf(target.seed + i));
  const found = { conversations: 0, packets: 0, bytes: 0, received: 0 };
  const isEnough = () => found.conversations >= LEAST_CONVERSATIONS && found.received > 0;
  const converse = async (lane: number) => {
    const random = randoms[lane]!;
    const login = pick(random, logins);
    const script: Packet[] = Array.from({ length: 1 + upTo(random, MOST_SCRIPT) }, () => packetOf(random, login));
    const [head, ...rest] = [...(random() < 0.9 ? [greeting(random, login)] : []), ...script].map((packet, i) => {
      const bytes = bytesOf(random, packet);
      // A conversation whose beginning is broken is over; most of them should get further.
      return random() < (i === 0 ? 0.1 : 0.3) && bytes.length > 0 ? mutated(random, bytes) : bytes;
    });
    const socket = await dial(target.mqttPort, `127.4.0.${1 + lane}`);
    if (socket === null) return pause(20);
    const answered = new Promise<void>((resolve) => {
      socket.on('data', (bytes: Buffer) => {
        found.received += bytes.length;
        resolve();
      });
      socket.once('close', () => resolve());
    });
    await inPieces(random, socket, head!);
    if (random() < 0.8) await Promise.race([answered, pause(300)]);
    const all = Buffer.concat(rest);
    await Promise.race([inPieces(random, socket, all), pause(2_000)]);
    await pause(upTo(random, 30));
    if (random() < 0.5) socket.destroy();
    else socket.end();
    setTimeout(() => socket.destroy(), 500).unref();
    found.conversations++;
    found.packets += 1 + rest.length;
    found.bytes += head!.length + all.length;
  };
  await lanes(LANES, signal, converse, isEnough);
  return found;
}

import { generate } from 'mqtt-packet';
import type { Ledger } from '../../../../domain/index.ts';
import { pause, until } from '../../wait.ts';
import { type Attack, lanes, over, randomOf, type Target } from '../target.ts';
import { ask, RawClient, write } from '../wire.ts';

const readings = (id: string) => `devices/${id}/readings`;

/** Sends prepared bytes as fast as they are taken; returns how often. */
async function flood(
  target: Target,
  device: number,
  bytes: (id: string) => Buffer,
  signal: AbortSignal,
): Promise<number> {
  const login = target.devices[device]!;
  const block = bytes(login.id);
  let rounds = 0;
  while (!signal.aborted) {
    const client = await RawClient.login(target, login);
    if (client === null) {
      await pause(200);
      continue;
    }
    const end = () => client.end();
    signal.addEventListener('abort', end, { once: true });
    while (!signal.aborted && (await write(client.socket, block))) rounds++;
    signal.removeEventListener('abort', end);
    client.end();
    await pause(20);
  }
  return rounds;
}

/** A block of small messages, each of another time. */
function messages(
  id: string,
  qos: 0 | 1,
  count: number,
  payload = (i: number) => `{"metrics":{"pm25":${10 + (i % 50)}}}`,
): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, (_, i) =>
      generate({
        cmd: 'publish',
        topic: readings(id),
        payload: payload(i),
        qos,
        messageId: i + 1,
        dup: false,
        retain: false,
      }),
    ),
  );
}

/** One message with many faults in one of its readings. */
const manyFaults = (count: number) =>
  JSON.stringify({ metrics: Object.fromEntries(Array.from({ length: count }, (_, i) => [`nothing-${i}`, i])) });

/** Attacks with the secret of a device. */
export const DEVICE: Readonly<Record<string, Attack>> = {
  'flood-qos0': {
    title: 'a device that floods with QoS 0 as fast as it can holds nobody else',
    leastMs: 6_000,
    run: async (target, signal) => ({ messages: 500 * (await flood(target, 0, (id) => messages(id, 0, 500), signal)) }),
  },
  'flood-qos1': {
    title: 'a device that floods with QoS 1 as fast as it can holds nobody else',
    run: async (target, signal) => ({ messages: 500 * (await flood(target, 1, (id) => messages(id, 1, 500), signal)) }),
  },
  'flood-large': {
    title: 'a device that floods with messages of 240 KB holds nobody else',
    run: async (target, signal) => {
      const array = JSON.stringify(
        Array.from({ length: 4_000 }, (_, i) => ({ ts: Date.now() - 1_000 * i, metrics: { pm25: i % 90 } })),
      );
      return { messages: await flood(target, 2, (id) => messages(id, 1, 1, () => array.slice(0, 240_000)), signal) };
    },
  },
  'flood-fleet': {
    title: 'ten devices that flood at a time hold nobody else',
    run: async (target, signal) => {
      const each = await Promise.all(
        Array.from({ length: 10 }, (_, i) => flood(target, i, (id) => messages(id, (i % 2) as 0 | 1, 500), signal)),
      );
      return { messages: 500 * each.reduce((sum, one) => sum + one, 0) };
    },
  },
  pings: {
    title: 'a device that floods with pings holds nobody else',
    run: async (target, signal) => ({
      pings: 10_000 * (await flood(target, 3, () => Buffer.alloc(20_000, Buffer.from([0xc0, 0])), signal)),
    }),
  },
  acknowledgements: {
    title: 'a device that floods with acknowledgements of nothing holds nobody else',
    run: async (target, signal) => {
      const packets = (['puback', 'pubrec', 'pubrel', 'pubcomp'] as const).flatMap((cmd) =>
        Array.from({ length: 500 }, (_, i) => generate({ cmd, messageId: i + 1 })),
      );
      return { packets: 2_000 * (await flood(target, 4, () => Buffer.concat(packets), signal)) };
    },
  },
  'qos2-kept': {
    title: 'publishes of QoS 2 of 250 KB without a PUBREL take no memory',
    leastMs: 6_000,
    async run(target, signal) {
      const login = target.devices[5]!;
      const client = await RawClient.login(target, login);
      let sent = 0;
      for (; client !== null && sent < 600 && !signal.aborted; sent++) {
        const payload = Buffer.alloc(250_000, `{"metrics":{"pm25":${sent}}}`.padEnd(1_000));
        const packet = generate({
          cmd: 'publish',
          topic: readings(login.id),
          payload,
          qos: 2,
          messageId: sent + 1,
          dup: false,
          retain: false,
        });
        if (!(await Promise.race([write(client.socket, packet), over(signal).then(() => false)]))) break;
      }
      await Promise.race([over(signal), pause(2_000)]);
      client?.end();
      return { sent };
    },
    judge: (_figures, { peakMiB }) => (peakMiB <= 800 ? [] : [`memory: ${peakMiB} MiB of messages without PUBREL`]),
  },
  'qos2-sessions': {
    title: 'kept sessions full of QoS 2 without a PUBREL take no memory',
    async run(target, signal) {
      let sent = 0;
      await lanes(10, signal, async (lane) => {
        const login = target.devices[lane]!;
        const client = await RawClient.login(target, login, { clean: false });
        for (let i = 0; client !== null && i < 100 && !signal.aborted; i++, sent++) {
          const payload = Buffer.alloc(100_000, ' ');
          const packet = generate({
            cmd: 'publish',
            topic: readings(login.id),
            payload,
            qos: 2,
            messageId: i + 1,
            dup: false,
            retain: false,
          });
          if (!(await Promise.race([write(client.socket, packet), over(signal).then(() => false)]))) break;
        }
        await Promise.race([over(signal), pause(500)]);
        client?.end();
      });
      return { sent };
    },
    judge: (_figures, { peakMiB }) => (peakMiB <= 800 ? [] : [`memory: ${peakMiB} MiB of messages without PUBREL`]),
  },
  'junk-to-quarantine': {
    title: 'junk of one device fills no disk',
    async run(target, signal) {
      const random = randomOf(target.seed);
      const junk = () => Buffer.from(Array.from({ length: 60_000 }, () => Math.floor(random() * 256)));
      const bytes = (id: string) =>
        generate({
          cmd: 'publish',
          topic: readings(id),
          payload: junk(),
          qos: 1,
          messageId: 1,
          dup: false,
          retain: false,
        });
      const sent = await flood(target, 6, (id) => Buffer.concat(Array.from({ length: 4 }, () => bytes(id))), signal);
      return { messages: sent * 4, MiB: Math.round((sent * 4 * 60_000) / 2 ** 20) };
    },
    judge: (_figures, { diskMiB }) => (diskMiB <= 100 ? [] : [`the disk: ${diskMiB} MiB of junk`]),
  },
  'many-faults': {
    title: 'a message with 12,000 faults costs neither those who read the quarantine nor its device',
    async run(target, signal) {
      const login = target.devices[7]!;
      const client = await RawClient.login(target, login);
      client?.send({
        cmd: 'subscribe',
        messageId: 1,
        subscriptions: [{ topic: `devices/${login.id}/rejections`, qos: 0 }],
      });
      await client?.next('suback');
      for (let i = 0; i < 3; i++) {
        client?.send({
          cmd: 'publish',
          topic: readings(login.id),
          payload: manyFaults(12_000),
          qos: 1,
          messageId: 2 + i,
          dup: false,
          retain: false,
        });
        await client?.next('puback');
      }
      await until(() => client === null || client.socket.destroyed || client.longest > 0, 'the rejections');
      const [{ secret: key }] = target.keys.viewer;
      let [pages, longest] = [0, 0];
      await lanes(3, signal, async () => {
        const { bytes, status } = await ask(target, { path: '/api/v1/quarantine?limit=100', key, signal });
        longest = Math.max(longest, bytes);
        if (status === 200) pages++;
        else await pause(100);
      });
      const found = {
        pages,
        pageKiB: Math.round(longest / 1024),
        rejectionsKiB: Math.round((client?.longest ?? 0) / 1024),
      };
      client?.end();
      return found;
    },
    judge: ({ pageKiB, rejectionsKiB }) => [
      ...(pageKiB! <= 1_024 ? [] : [`a page of the quarantine has ${pageKiB} KiB`]),
      ...(rejectionsKiB! <= 64 ? [] : [`a message of rejections has ${rejectionsKiB} KiB`]),
      ...(rejectionsKiB! > 0 ? [] : ['the device got no rejections']),
    ],
  },
  'deep-payloads': {
    title: 'payloads that are nested as deep as they can be stop nobody',
    async run(target, signal) {
      const deep = [
        '['.repeat(100_000),
        `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
        `${'{"a":'.repeat(40_000)}1${'}'.repeat(40_000)}`,
        '9'.repeat(200_000),
        `"${'\\u0000'.repeat(30_000)}"`,
      ];
      const bytes = (id: string) => Buffer.concat(deep.map((payload) => messages(id, 1, 1, () => payload)));
      return { messages: deep.length * (await flood(target, 8, bytes, signal)) };
    },
  },
  reconnects: {
    title: 'a device that logs in all the time, as two machines with one secret do, stops nobody',
    async run(target, signal) {
      const found = { logins: 0, refused: 0 };
      await lanes(20, signal, async (lane) => {
        const client = await RawClient.login(target, target.devices[9]!, { clean: lane % 2 === 0 });
        if (client === null) found.refused++;
        else found.logins++;
        client?.end();
        if (client === null) await pause(10);
      });
      return found;
    },
    judge: (_figures, { logBytes }) => (logBytes <= 256 * 1024 ? [] : [`the log: ${logBytes} bytes of logins`]),
  },
  'foreign-topics': {
    title: 'a device that publishes to topics of others stops nobody and is bounded in the log',
    async run(target, signal) {
      const login = target.devices[10]!;
      let sent = 0;
      await lanes(10, signal, async (_lane, round) => {
        const client = await RawClient.login(target, login);
        if (client === null) return pause(20);
        client.send({
          cmd: 'publish',
          topic: `devices/load-${round % 200}/${'x'.repeat(2_000)}`,
          payload: '1',
          qos: 1,
          messageId: 1,
          dup: false,
          retain: false,
        });
        await client.next('puback', 300);
        client.end();
        sent++;
      });
      return { sent };
    },
    judge: (_figures, { logBytes }) => (logBytes <= 256 * 1024 ? [] : [`the log: ${logBytes} bytes of foreign topics`]),
  },
  'ingest-http': {
    title: 'a device that floods over HTTP holds nobody else',
    async run(target, signal) {
      const { id, secret } = target.devices[11]!;
      const found = { acknowledged: 0, refused: 0 };
      await lanes(30, signal, async (lane, round) => {
        const body = JSON.stringify({ ts: Date.now() - round * 40 - lane, metrics: { pm25: lane } });
        const headers = { 'content-type': 'application/json' };
        const { status } = await ask(target, {
          method: 'POST',
          path: `/ingest/${id}`,
          key: secret,
          headers,
          body,
          signal,
        });
        if (status === 200) found.acknowledged++;
        else found.refused++;
        if (status !== 200) await pause(20);
      });
      return found;
    },
  },
  'slow-codec': {
    title: 'a profile whose codec stays just within its bound on each frame is held back, and nobody else',
    leastMs: 6_000,
    async run(target, signal) {
      const [{ secret: key }] = target.keys.viewer;
      const client = (await RawClient.login(target, target.keys['network-server'][0]))!;
      let sent = 0;
      const frame = async (_lane: number, round: number) => {
        const eui = target.slow[round % target.slow.length]!;
        const payload = JSON.stringify({ deviceInfo: { devEui: eui }, devAddr: '00189440', fCnt: round, data: 'AQ==' });
        const topic = `application/1/device/${eui}/event/up`;
        client.send({ cmd: 'publish', topic, payload, qos: 1, messageId: 1 + round, dup: false, retain: false });
        await client.next('puback');
        sent++;
        await pause(5);
      };
      await lanes(1, signal, frame, () => sent >= 200);
      client.end();
      // The last of them was read, and so was everything before it.
      const ledgers = async () => {
        const each = await Promise.all(
          target.slow.map(async (eui) => {
            const { text } = await ask(target, { path: `/api/v1/ledger?device=${eui}`, key, keep: 10_000 });
            return (JSON.parse(text) as Ledger).messages;
          }),
        );
        const of = (name: keyof Ledger['messages']) => each.reduce((sum, one) => sum + (one[name] ?? 0), 0);
        return of('decoded') + of('quarantined') >= sent && { decoded: of('decoded'), refused: of('quarantined') };
      };
      const counted = await until(ledgers, 'the last of its frames', 200);
      const path = `/api/v1/quarantine?reason=codec-too-slow&limit=1&device=${target.slow.at(-1)}`;
      const { text } = await ask(target, { path, key, keep: 100_000 });
      return { sent, ...counted, saysSo: text.includes('took too long to decode') ? 1 : 0 };
    },
    judge: ({ sent, decoded, refused, saysSo }) => [
      // On a busy machine even the first one takes longer than a frame may.
      ...(decoded! <= 60 ? [] : [`${decoded} of ${sent} frames were decoded`]),
      ...(refused! >= 100 ? [] : [`${refused} of ${sent} frames were refused`]),
      ...(saysSo === 1 ? [] : ['their refusal does not say why']),
    ],
  },
};

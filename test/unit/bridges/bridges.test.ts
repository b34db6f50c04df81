import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Bridges, createBridges, type DownlinkQueue } from '../../../bridges/index.ts';
import type { Carrier } from '../../../broker/index.ts';
import { formatProblems, parseCity } from '../../../city-model/index.ts';
import { LamppostError, systemClock, systemTimers } from '../../../domain/index.ts';
import { certificate } from '../../kit/broker/certificate.ts';
import { withFile } from '../../kit/city-model/kit.ts';
import { hasMosquitto, Mosquitto } from '../../kit/mosquitto.ts';
import { freePort } from '../../kit/ports.ts';
import { until } from '../../kit/wait.ts';

/** Returns the bridges of a text of bridges.yaml. */
function bridgesIn(text: string) {
  const { city, problems } = parseCity(withFile('bridges.yaml', text));
  if (city === null) throw new Error(formatProblems(problems));
  return city.bridges;
}

/** A broker that settles what it is given when it is asked to. */
class Commits {
  readonly taken: string[] = [];
  readonly batches: number[] = [];
  held = false;
  fault: LamppostError | null = null;
  #waiting: (() => void)[] = [];

  readonly carry: Carrier = async (key, messages) => {
    if (this.fault !== null) throw this.fault;
    this.batches.push(messages.length);
    for (const { topic, payload } of messages) this.taken.push(`${key} ${topic} ${Buffer.from(payload)}`);
    if (this.held) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return { settled: messages.map(({ topic }) => (topic.startsWith('no/') ? 'unknown-topic' : null)), fault: null };
  };

  settle(): void {
    this.held = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

const NO_COMMANDS = { waiting: () => [], delivered: () => {} };

test('bridges - a reload that ends after the stop begins none', () => {
  const parts = { secrets: { variables: {}, folder: null }, maxMessage: 4_096, clock: systemClock };
  const log = pino({ level: 'silent' });
  const bridges = createBridges({
    ...parts,
    timers: systemTimers,
    log,
    carry: new Commits().carry,
    downlinks: NO_COMMANDS,
  });
  bridges.stop();
  bridges.apply(bridgesIn('harbour: { url: "mqtt://127.0.0.1:1", key: lns, subscribe: [{ topic: a }] }'));
  expect(bridges.list()).toEqual([]);
});

/** Retries come at once, for whoever waits for them. */
const timers = { after: (ms: number, run: () => void) => systemTimers.after(ms / 100, run) };

describe.skipIf(!hasMosquitto())('bridges - to Mosquitto', () => {
  let dir: string;
  let port: number;
  let mosquitto: Mosquitto;
  let commits: Commits;
  let commands: DownlinkQueue;
  let bridges: Bridges;
  const clients: MqttClient[] = [];

  async function startMosquitto(...lines: string[]): Promise<void> {
    mosquitto = new Mosquitto(dir, [`listener ${port} 127.0.0.1`, 'max_queued_messages 0', ...lines]);
    await until(
      () => mosquitto.output.includes('running'),
      () => mosquitto.output,
    );
  }

  async function publisher(): Promise<MqttClient> {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 });
    clients.push(client);
    return client;
  }

  function begin(
    more: string,
    secrets: Parameters<typeof createBridges>[0]['secrets'] = { variables: {}, folder: null },
  ) {
    const parts = { secrets, maxMessage: 4_096, clock: systemClock, timers, log: pino({ level: 'silent' }) };
    bridges = createBridges({ ...parts, downlinks: commands, carry: commits.carry });
    bridges.apply(bridgesIn(`harbour: { url: "mqtt://127.0.0.1:${port}", key: lns, ${more} }`));
  }

  const status = () => bridges.list()[0]!;
  const connected = () =>
    until(
      () => status().state === 'connected',
      () => JSON.stringify(status()),
    );

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'lamppost-bridges-'));
    port = await freePort();
    commits = new Commits();
    commands = NO_COMMANDS;
  });
  afterEach(async () => {
    bridges.stop();
    await Promise.all(clients.splice(0).map((client) => client.endAsync(true)));
    await mosquitto.stop();
  });

  test('commands go to the other broker, each until it has it, under the topics of there', async () => {
    await startMosquitto();
    const queue = ['1', '2'].map((id) => ({ id, topic: 'application/7/device/e/command/down', payload: `to ${id}` }));
    const sent: string[] = [];
    commands = {
      waiting: (key, limit) => (key === 'lns' ? queue.slice(0, limit) : []),
      delivered: (ids) => void sent.push(...ids),
    };
    const client = await publisher();
    const came: string[] = [];
    client.on('message', (topic, payload) => void came.push(`${topic} ${payload}`));
    await client.subscribeAsync('#', { qos: 1 });
    begin('commands: true, subscribe: [{ topic: "eu/application/#", remove: "eu/" }]');
    await until(() => sent.length === 2, 'both are sent');
    const there = 'eu/application/7/device/e/command/down';
    // The other broker has them before its subscriber does.
    await until(() => came.length === 2, 'both at a subscriber');
    expect(came).toEqual([`${there} to 1`, `${there} to 2`]);
    // Until the log has it that they were sent, they are still there, and are not published again.
    queue.push({ ...queue[0]!, id: '3', payload: 'to 3' });
    bridges.wake();
    await until(() => sent.length === 3 && came.length >= 3, 'the third');
    expect(came.map((one) => one.split(' ').at(-1))).toEqual(['1', '2', '3']);
    expect(status().commands).toBe(3);
    // Another connection does not know what the one before it had published.
    await mosquitto.kill();
    queue.splice(0, 2);
    await until(() => status().state !== 'connected', 'the end');
    await startMosquitto();
    await until(() => sent.length === 4, 'the third once more');
    expect(sent).toEqual(['1', '2', '3', '3']);
  });

  test('without commands: true nothing is sent', async () => {
    await startMosquitto();
    let asked = 0;
    commands = {
      delivered: () => {},
      waiting() {
        asked++;
        return [];
      },
    };
    begin('subscribe: [{ topic: a }]');
    await connected();
    bridges.wake();
    expect(asked).toBe(0);
    expect(status().commands).toBe(0);
  });

  test.each(['3.1.1', '5'])(
    'with MQTT %s a message is acknowledged after its commit, and comes again where there was none',
    async (version) => {
      await startMosquitto();
      begin(`protocol: "${version}", subscribe: [{ topic: "tele/+/SENSOR" }]`);
      await connected();
      commits.held = true;
      const client = await publisher();
      for (let n = 0; n < 10; n++) await client.publishAsync('tele/bin-1/SENSOR', `${n}`, { qos: 1 });
      await until(() => status().received === 10, 'all messages, none of them acknowledged');
      expect(status()).toMatchObject({ acknowledged: 0, pending: 10, state: 'connected', lastError: null });
      await until(() => (status().lagSeconds ?? 0) > 0, 'a lag');
      expect(mosquitto.output).not.toContain('Received PUBACK from lamppost-harbour');
      // Another connection of the same client gets them again.
      bridges.stop();
      commits.settle();
      commits.taken.length = 0;
      begin(`protocol: "${version}", subscribe: [{ topic: "tele/+/SENSOR" }]`);
      await until(
        () => status().acknowledged === 10,
        () => JSON.stringify(status()),
      );
      expect(commits.taken).toEqual(Array.from({ length: 10 }, (_, n) => `lns tele/bin-1/SENSOR ${n}`));
      await until(() => mosquitto.output.match(/Received PUBACK from lamppost-harbour/g)?.length === 10, 'ten PUBACKs');
      expect(status()).toMatchObject({ pending: 0, lagSeconds: 0, refused: 0 });
    },
  );

  test('while one commit is written the next collects, and nothing waits for a commit of its own', async () => {
    await startMosquitto('max_inflight_messages 0');
    begin('subscribe: [{ topic: "#" }]');
    await connected();
    commits.held = true;
    const client = await publisher();
    const sent = Array.from({ length: 500 }, (_, n) => client.publishAsync(`a/${n}`, 'x', { qos: 1 }));
    await Promise.all(sent);
    await until(
      () => status().received === 500,
      () => JSON.stringify(status()),
    );
    commits.settle();
    await until(() => status().acknowledged === 500, 'all');
    expect(commits.batches.length).toBeLessThan(10);
    expect(commits.taken.map((one) => one.split(' ')[1])).toEqual(sent.map((_, n) => `a/${n}`));
  });

  test('what the server cannot take yet is kept in its order and tried again; what it refuses is dropped', async () => {
    await startMosquitto();
    begin('subscribe: [{ topic: "no/#" }, { topic: "yes/#" }]');
    await connected();
    commits.fault = new LamppostError('forbidden', 'there is no key lns of the role network-server');
    const client = await publisher();
    for (const topic of ['yes/1', 'no/2', 'yes/3']) await client.publishAsync(topic, 'x', { qos: 1 });
    await until(
      () => status().lastError?.message.includes('no key lns'),
      () => JSON.stringify(status()),
    );
    expect(status()).toMatchObject({ acknowledged: 0, state: 'connected' });
    commits.fault = null;
    await until(
      () => status().pending === 0 && status().received === 3,
      () => JSON.stringify(status()),
    );
    expect(commits.taken).toEqual(['lns yes/1 x', 'lns no/2 x', 'lns yes/3 x']);
    expect(status()).toMatchObject({ acknowledged: 2, refused: 1 });
    expect(status().lastError!.message).toBe('no/2: unknown-topic');
    await until(() => mosquitto.output.match(/Received PUBACK from lamppost-harbour/g)?.length === 3, 'three PUBACKs');
  });

  test('a topic loses its beginning and gets another, or the format that the subscription names', async () => {
    await startMosquitto();
    begin(
      'subscribe: [{ topic: "north/+/up", remove: north/, add: tele/ }, { topic: "$share/g/ngsi/#", format: geojson }]',
    );
    await connected();
    const client = await publisher();
    await client.publishAsync('north/bin-1/up', '1', { qos: 0 });
    await client.publishAsync('ngsi/any/where', '2', { qos: 1 });
    await client.publishAsync('ngsi/large', 'x'.repeat(5_000), { qos: 1 });
    await until(
      () => status().received === 3 && status().pending === 0,
      () => JSON.stringify(status()),
    );
    expect(commits.taken).toEqual(['lns tele/bin-1/up 1', 'lns http/geojson 2']);
    expect(status()).toMatchObject({ refused: 1, lastError: { message: 'ngsi/large: it is too large' } });
  });

  test('bridges that share a subscription have a part of its messages each, and each message once', async () => {
    await startMosquitto();
    const shared = 'protocol: "5", subscribe: [{ topic: "$share/g/tele/+" }]';
    begin(`${shared} }\nquay: { url: "mqtt://127.0.0.1:${port}", key: other, ${shared}`);
    await until(() => bridges.list().every(({ state }) => state === 'connected'), 'both bridges');
    const client = await publisher();
    await Promise.all(Array.from({ length: 100 }, (_, n) => client.publishAsync('tele/bin-1', `${n}`, { qos: 1 })));
    await until(() => commits.taken.length >= 100, 'all messages');
    await until(() => bridges.list().every(({ pending }) => pending === 0), 'their acknowledgements');
    const numbers = commits.taken.map((one) => Number(one.split(' ')[2]));
    expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    expect(new Set(commits.taken.map((one) => one.split(' ')[0]))).toEqual(new Set(['lns', 'other']));
  });

  test.each(['3.1.1', '5'])(
    'with MQTT %s what the other broker had stored before is no reading, unless it is asked for',
    async (version) => {
      await startMosquitto();
      const client = await publisher();
      await client.publishAsync('old/1', 'stale', { qos: 1, retain: true });
      await client.publishAsync('state/1', 'kept', { qos: 1, retain: true });
      begin(`protocol: "${version}", subscribe: [{ topic: "old/#" }, { topic: "state/#", retained: true }]`);
      await connected();
      await client.publishAsync('old/1', 'new', { qos: 1, retain: true });
      await until(
        () => status().acknowledged === 2,
        () => JSON.stringify(status()),
      );
      expect(commits.taken.toSorted()).toEqual(['lns old/1 new', 'lns state/1 kept']);
      expect(status()).toMatchObject({ received: 2, refused: 0, lastError: null });
    },
  );

  test('it connects again by itself, and says why it could not', async () => {
    await startMosquitto();
    begin('subscribe: [{ topic: "a/#" }]');
    await connected();
    await mosquitto.kill();
    await until(
      () => status().lastError !== null && status().state !== 'connected',
      () => JSON.stringify(status()),
    );
    await until(
      () => status().lastError!.message.includes('ECONNREFUSED'),
      () => JSON.stringify(status()),
    );
    await startMosquitto();
    await connected();
    await (await publisher()).publishAsync('a/1', 'x', { qos: 1 });
    await until(
      () => status().acknowledged === 1,
      () => JSON.stringify(status()),
    );
  });

  test('over TLS it believes the authority of its file only, and logs in with the secret of its variable', async () => {
    const other = certificate('other');
    const server = certificate('localhost');
    for (const [name, text] of Object.entries({
      'ca.pem': server.cert,
      'key.pem': server.key,
      'other.pem': other.cert,
    }))
      writeFileSync(join(dir, name), text);
    writeFileSync(join(dir, 'passwords'), '');
    const tls = [`certfile ${join(dir, 'ca.pem')}`, `keyfile ${join(dir, 'key.pem')}`];
    await startMosquitto(...tls);
    const secrets = { variables: { LAMPPOST_BRIDGE_HARBOUR: 'secret' }, folder: dir };
    const parts = { secrets, maxMessage: 4_096, clock: systemClock, timers, log: pino({ level: 'silent' }) };
    bridges = createBridges({ ...parts, downlinks: commands, carry: commits.carry });
    const written = (ca: string, password: string) =>
      bridgesIn(
        `harbour: { url: "mqtts://localhost:${port}", key: lns, username: us, password: { env: ${password} }, ` +
          `tls: { ca: { file: ${ca} } }, subscribe: [{ topic: "a/#" }] }`,
      );
    bridges.apply(written('other.pem', 'LAMPPOST_BRIDGE_HARBOUR'));
    await until(
      () => /certificate|self.signed/i.test(status().lastError?.message ?? ''),
      () => JSON.stringify(status()),
    );
    bridges.apply(written('ca.pem', 'LAMPPOST_BRIDGE_NONE'));
    await until(() => status().lastError?.message === 'the variable LAMPPOST_BRIDGE_NONE is not set', 'why');
    bridges.apply(written('none.pem', 'LAMPPOST_BRIDGE_HARBOUR'));
    await until(() => status().lastError?.message.includes('the secret none.pem'), 'why');
    bridges.apply(written('ca.pem', 'LAMPPOST_BRIDGE_HARBOUR'));
    await connected();
    expect(mosquitto.output).toMatch(/lamppost-harbour \(.*u'us'\)/);
    // What did not change goes on; what is gone ends.
    const { since } = status();
    bridges.apply(written('ca.pem', 'LAMPPOST_BRIDGE_HARBOUR'));
    expect(status()).toMatchObject({ since, state: 'connected' });
    bridges.apply(new Map());
    expect(bridges.list()).toEqual([]);
  });
});

test.each([
  ['a: { url: "http://x", key: k, subscribe: [{ topic: a }] }', 'must be mqtt://host:port'],
  ['a: { url: "mqtt://u:p@x", key: k, subscribe: [{ topic: a }] }', 'no credentials in the URL'],
  ['a: { url: "mqtt://x", key: k, password: abc, subscribe: [{ topic: a }] }', 'no secret stands in the city folder'],
  [
    'a: { url: "mqtt://x", key: k, username: u, password: { env: HOME }, subscribe: [{ topic: a }] }',
    'LAMPPOST_BRIDGE_',
  ],
  [
    'a: { url: "mqtt://x", key: k, username: u, password: { file: ../x }, subscribe: [{ topic: a }] }',
    'name of a file',
  ],
  ['a: { url: "mqtt://x", key: k, subscribe: [{ topic: "a/#/b" }] }', '# is the last one'],
  ['a: { url: "mqtt://x", key: k, subscribe: [{ topic: "$share/a" }] }', '$share/{group}/{filter}'],
  ['a: { url: "mqtt://x", key: k, subscribe: [{ topic: a, qos: 2 }] }', 'write 0 or 1'],
  ['a: { url: "mqtt://x", key: k, subscribe: [{ topic: a, format: tasmoto }] }', 'did you mean "tasmota"?'],
  ['a: { url: "mqtt://x", key: k, tls: { ca: { file: x } }, subscribe: [{ topic: a }] }', 'mqtts://'],
  [
    'a: { url: "mqtt://x", key: k, client_id: c, subscribe: [{ topic: a }] }\n' +
      'b: { url: "mqtt://x", key: k, client_id: c, subscribe: [{ topic: a }] }',
    'bridges.yaml:2:31 a has this client id at the same broker',
  ],
])('bridges.yaml - a mistake is reported with its place and what is right: %s', (text, message) => {
  expect(() => bridgesIn(text)).toThrow(message);
});

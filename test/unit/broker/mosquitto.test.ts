import { spawn } from 'node:child_process';
import { once } from 'node:events';
import mqtt from 'mqtt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Scene, SECRET, startBroker } from '../../kit/broker/kit.ts';
import { hasMosquitto, hasMosquittoClients, Mosquitto } from '../../kit/mosquitto.ts';
import { freePort } from '../../kit/ports.ts';
import { until } from '../../kit/wait.ts';

const OWN = 'devices/bin-1/readings';
let scene: Scene;
beforeEach(async () => {
  scene = await startBroker();
});
afterEach(() => scene.stop());

describe.skipIf(!hasMosquitto()).each(['mqttv311', 'mqttv50'])(
  'a bridge of Mosquitto, %s, with its notifications',
  (version) => {
    test('broker - it delivers in both directions over one connection, whatever else it publishes', async () => {
      const port = await freePort();
      const mosquitto = new Mosquitto(scene.dir, [
        `listener ${port} 127.0.0.1`,
        'connection to-the-city',
        `address 127.0.0.1:${scene.port}`,
        `bridge_protocol_version ${version}`,
        'remote_clientid bin-1',
        'remote_username bin-1',
        `remote_password ${SECRET}`,
        'topic readings out 1 "" devices/bin-1/',
        'topic tele/# out 1',
        'topic rejections in 1 "" devices/bin-1/',
      ]);
      try {
        const local = await until(() => mqtt.connectAsync(`mqtt://127.0.0.1:${port}`).catch(() => null), 'Mosquitto');
        await local.subscribeAsync('rejections', { qos: 1 });
        const got: string[] = [];
        local.on('message', (topic, payload) => got.push(`${topic} ${payload.toString()}`));
        await until(() => scene.broker.record('bin-1')?.refusals.length, 'its notification');
        await until(() => mosquitto.output.includes('Received SUBACK from local.bin-1'), 'its subscription');
        await local.publishAsync('readings', '{"n":1}', { qos: 1 });
        await local.publishAsync('tele/bin-1/STATE', '{}', { qos: 1 });
        await local.publishAsync('readings', '{"n":2}', { qos: 1 });
        await until(() => scene.sink.taken.length === 2, 'both readings');
        expect(scene.sink.taken.map(({ topic, payload }) => [topic, payload])).toEqual([
          [OWN, '{"n":1}'],
          [OWN, '{"n":2}'],
        ]);
        await until(
          () => got.some((message) => message.includes('tele/bin-1/STATE')),
          () => mosquitto.output,
        );
        const refusals = scene.broker.record('bin-1')!.refusals.map(({ reason, detail }) => [reason, detail]);
        expect(refusals.map(([reason]) => reason)).toEqual(['reserved-topic', 'unknown-topic']);
        expect(refusals[0]![1]).toContain('PUBLISH to $SYS/broker/connection/');
        expect(mosquitto.output.match(/Received CONNACK/g), mosquitto.output).toHaveLength(1);
        await local.endAsync();
      } finally {
        await mosquitto.stop();
      }
    });
  },
);

describe.skipIf(!hasMosquittoClients())("Mosquitto's clients with -V 5", () => {
  const args = (id: string) => ['-V', '5', '-h', '127.0.0.1', '-p', `${scene.port}`, '-u', id, '-P', SECRET];

  async function run(command: string, ...more: string[]): Promise<{ code: number; output: string }> {
    const child = spawn(command, more, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (bytes: Buffer) => {
        output += bytes.toString();
      });
    const [code] = (await once(child, 'close')) as [number];
    return { code, output };
  }
  const publish = (topic: string, ...more: string[]) =>
    run('mosquitto_pub', ...args('bin-1'), '-i', 'bin-1', '-t', topic, '-m', '[]', ...more);

  test('broker - a message is taken, its content type chooses the format; one that is refused is notified', async () => {
    for (const qos of ['0', '1', '2']) expect(await publish(OWN, '-q', qos)).toEqual({ code: 0, output: '' });
    const senml = ['-D', 'publish', 'content-type', 'application/senml+json', '-D', 'publish', 'topic-alias', '1'];
    expect(await publish(OWN, '-q', '1', ...senml)).toEqual({ code: 0, output: '' });
    await until(() => scene.sink.taken.length === 4, 'four messages');
    expect(scene.sink.taken.map(({ topic }) => topic)).toEqual([OWN, OWN, OWN, 'devices/bin-1/senml']);
    for (const qos of ['1', '2']) {
      const refused = await publish('devices/bin-2/readings', '-q', qos);
      expect(refused.output).toContain('Not authorized');
    }
    expect(scene.sink.taken).toHaveLength(4);
  });

  test('broker - a wrong secret is refused with its reason', async () => {
    const login = ['-V', '5', '-h', '127.0.0.1', '-p', `${scene.port}`, '-u', 'bin-1'];
    const wrong = await run('mosquitto_pub', ...login, '-P', 'wrong', '-i', 'bin-1', '-t', OWN, '-m', '[]');
    expect(wrong.output).toMatch(/Bad user name or password/i);
    expect(wrong.code).not.toBe(0);
  });

  test('broker - events arrive with their content type, retained ones with RETAIN; a session waits for its client', async () => {
    scene.publish({ topic: 'tickets/waste/t1', payload: '{"t":1}', qos: 1, retain: true });
    const format = ['-F', '%t %r %C %p', '-W', '60'];
    // `-c` asks for a session that never expires.
    const kept = ['-i', 'archive', '-c', '-q', '1'];
    const topics = ['-t', 'tickets/#', '-t', 'events/#'];
    const first = await run('mosquitto_sub', ...args('city'), ...kept, ...topics, ...format, '-C', '1');
    expect(first).toEqual({ code: 0, output: 'tickets/waste/t1 1 application/json {"t":1}\n' });
    await until(() => scene.broker.counts().sessionsConnected === 0, 'the end');
    scene.publish({ topic: 'events/tickets/waste/t1', payload: '{"e":1}', qos: 1, retain: false });
    const second = await run('mosquitto_sub', ...args('city'), ...kept, ...topics, ...format, '-C', '2');
    expect(second.output).toContain('events/tickets/waste/t1 0 application/cloudevents+json; charset=utf-8 {"e":1}\n');
  });
});

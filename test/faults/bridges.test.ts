import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BridgeStatus } from '../../bridges/index.ts';
import type { Ledger } from '../../domain/index.ts';
import { hasMosquitto, Mosquitto } from '../kit/mosquitto.ts';
import { freePort } from '../kit/ports.ts';
import { RulesServer } from '../kit/rules/server.ts';
import { ADMIN_KEY } from '../kit/server.ts';
import { pause, until } from '../kit/wait.ts';

const BIN = 'bin-1';
const SPAN_MS = 100;

interface Points {
  readonly series: readonly { readonly points: readonly (readonly [number, number])[] }[];
}

describe.skipIf(!hasMosquitto())('bridges - kill -9 on either side under load', () => {
  const server = new RulesServer();
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-bridge-'));
  const fromMs = Math.floor(Date.now() / 1_000) * 1_000 - 3_600_000;
  let port: number;
  let mosquitto: Mosquitto;
  let client: MqttClient;

  /** Mosquitto keeps in its memory what the bridge has not acknowledged. */
  async function startMosquitto(): Promise<void> {
    mosquitto = new Mosquitto(dir, [
      `listener ${port} 127.0.0.1`,
      'max_queued_messages 0',
      'max_inflight_messages 200',
    ]);
    await until(
      () => mosquitto.output.includes('running'),
      () => mosquitto.output,
    );
  }

  const status = async () => (await server.get<{ items: BridgeStatus[] }>('/api/v1/bridges')).items[0]!;
  const connected = () => until(async () => (await status()).state === 'connected', 'the bridge', 50);
  const readingOf = (n: number) =>
    JSON.stringify({ dateObserved: new Date(fromMs + n * SPAN_MS).toISOString(), fill: { value: fillOf(n) } });
  /** Publishes to Mosquitto; resolves once Mosquitto has acknowledged it. */
  const publish = (n: number) => client.publishAsync(`ngsi/${BIN}`, readingOf(n), { qos: 1 });
  const received = async () => (await server.get<Ledger>(`/api/v1/ledger?device=${BIN}`)).messages.received;

  const fillOf = (n: number) => n % 100;
  /** Number and value of each stored reading. */
  async function stored(): Promise<(readonly [n: number, value: number])[]> {
    const [from, to] = [fromMs, fromMs + 3_600_000].map((ms) => new Date(ms).toISOString());
    const range = `from=${from}&to=${to}&maxPoints=50000`;
    const { series } = await server.get<Points>(`/api/v1/readings?device=${BIN}&metric=fill&${range}`);
    return series[0]?.points.map(([ts, value]) => [(ts - fromMs) / SPAN_MS, value]) ?? [];
  }
  const sent = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => [from + i, fillOf(from + i)] as const);

  beforeAll(async () => {
    port = await freePort();
    await startMosquitto();
    await server.start();
    await server.bins([BIN]);
    const bound = { name: 'harbour', role: 'network-server', uplinks: { devices: [BIN] } };
    const { id } = await server.post<{ id: string }>('/api/v1/keys', bound);
    server.write(
      'bridges.yaml',
      `harbour: { url: "mqtt://127.0.0.1:${port}", key: ${id}, protocol: "5", subscribe: [{ topic: "ngsi/+" }] }\n`,
    );
    expect(await server.get('/api/v1/bridges')).toEqual({ items: [], next: null });
    await server.post('/api/v1/city/reload');
    await connected();
    client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 50 });
  });
  afterAll(async () => {
    await client.endAsync(true);
    await server.stop();
    await mosquitto.stop();
  });

  test('what was not on disk when the server died comes again, and nothing is lost', async () => {
    const sending = Array.from({ length: 400 }, async (_, n) => {
      await pause(n * 4);
      await publish(n);
    });
    await until(async () => (await status()).acknowledged > 50, 'a part of them', 10);
    await server.kill();
    await Promise.all(sending);
    await server.start();
    await until(async () => (await status()).pending === 0 && (await received()) >= 400, 'all of them', 50);
    await server.settledLedger(BIN);
    expect(await stored()).toEqual(sent(0, 400));
    const text = await fetch(`http://127.0.0.1:${server.httpPort}/metrics`, {
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    const metrics = await text.text();
    expect(metrics).toContain('lamppost_bridge_up{bridge="harbour"} 1');
    expect(metrics).toMatch(/lamppost_bridge_messages_acknowledged_total\{bridge="harbour"\} [1-9]/);
    expect(metrics).toMatch(/lamppost_bridge_lag_seconds\{bridge="harbour"\} 0/);
  });

  test('the death of the other broker takes nothing that was acknowledged to it, and the bridge comes back', async () => {
    const before = { acknowledged: (await status()).acknowledged, received: await received() };
    let sends = true;
    const sending = (async () => {
      for (let n = 400; sends; n++) {
        void publish(n).catch(() => {});
        await pause(2);
      }
    })();
    await until(async () => (await status()).acknowledged > before.acknowledged + 50, 'some of them', 10);
    await mosquitto.kill();
    await until(async () => (await status()).state !== 'connected', 'the end', 10);
    sends = false;
    await sending;
    await until(async () => (await status()).pending === 0, 'its last messages', 20);
    const { acknowledged, lastError } = await status();
    expect(lastError!.message).not.toBe('');
    await server.settledLedger(BIN);
    // One client and one topic: what was acknowledged are the first of them, and more may be on disk.
    const found = (await stored()).slice(400);
    expect(found.length).toBeGreaterThanOrEqual(acknowledged - before.acknowledged);
    expect(found).toEqual(sent(400, 400 + found.length));
    expect((await received()) - before.received).toBe(found.length);
    await startMosquitto();
    await connected();
    await publish(30_000);
    await until(async () => (await stored()).some(([n]) => n === 30_000), 'a message over the next connection', 50);
  });
});

import { mkdtempSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { describe, expect, type TestContext, test } from 'vitest';
import type { Series } from '../../domain/index.ts';
import { mountable, mountSmallDisk, type SmallDisk } from '../kit/disk.ts';
import { append, openJournal } from '../kit/journal/kit.ts';
import { blocksOf, expectSound, messagesOf } from '../kit/journal/reading.ts';
import { ServerProcess } from '../kit/server.ts';
import { pause, until } from '../kit/wait.ts';

const KIB = 1024;
/** A small disk for as long as the test runs. */
function smallDisk(mib: number, { onTestFinished }: TestContext): SmallDisk {
  const disk = mountSmallDisk(mib)!;
  onTestFinished(() => disk.unmount());
  return disk;
}

describe.skipIf(!mountable('what happens when the disk is full'))('disk full', () => {
  test('journal - publishers wait, then are refused with the reason; nothing is acknowledged without being stored; with free space it goes on', async (context) => {
    const disk = smallDisk(8, context);
    const journal = openJournal(disk.path, { tickMs: 20, retentionMs: 0 }, { patienceMs: 3_000, retryMs: 10 });
    journal.server.start();
    disk.fill(1024 * KIB);
    let n = 0;
    const acknowledged: number[] = [];
    const send = async () => {
      const mine = n++;
      const payload = `${mine}:`.padEnd(20 * KIB);
      const error = await append(journal, { identity: 'bin-1', topic: 't', payload });
      if (error === null) acknowledged.push(mine);
      return error;
    };
    const found = () =>
      blocksOf(journal.path)
        .flatMap(messagesOf)
        .map(({ payload }) => Number.parseInt(payload, 10));
    let refusal = await send();
    while (refusal === null) refusal = await send();
    expect(refusal).toMatchObject({ name: 'LamppostError', code: 'disk', retryable: true });
    expect(acknowledged.length).toBeGreaterThan(10);
    expect(found()).toEqual(acknowledged);
    // Consumers go on while the disk is full: the journal may free the blocks they processed, or wait with that, too.
    journal.server.release(5);
    const waiting = send();
    await pause(50);
    disk.relieve();
    expect(await waiting, 'who still waits is acknowledged').toBeNull();
    for (let i = 0; i < 20; i++) expect(await send()).toBeNull();
    await until(() => blocksOf(journal.path)[0]!.seq === 6, 'trimming goes on');
    const blocks = blocksOf(journal.path);
    expectSound(blocks, 6);
    const kept = found();
    expect(kept).toEqual(acknowledged.slice(-kept.length));
    journal.close();
  });

  test('journal - a start on a full disk keeps the stored records, and accepts more as soon as there is space', async (context) => {
    const disk = smallDisk(8, context);
    const first = openJournal(disk.path);
    const message = (payload: string) => ({ identity: 'bin-1', topic: 't', payload });
    for (let i = 0; i < 10; i++) expect(await append(first, message(`${i}`))).toBeNull();
    first.close();
    disk.fill(0);
    expect(() => openJournal(disk.path)).toThrow(expect.objectContaining({ name: 'LamppostError', code: 'disk' }));
    disk.relieve();
    disk.fill(128 * KIB);
    const journal = openJournal(disk.path, {}, { patienceMs: 50, retryMs: 10 });
    const large = 'refused'.repeat(100_000);
    expect(await append(journal, message(large))).toMatchObject({ code: 'disk' });
    await expect(journal.server.control('city', large, 'v1')).rejects.toThrow(
      expect.objectContaining({ code: 'disk' }),
    );
    expect(journal.server.heads()).toEqual({ city: null, registry: 0 });
    disk.relieve();
    expect(await append(journal, message('10'))).toBeNull();
    const blocks = blocksOf(journal.path);
    expectSound(blocks);
    expect(blocks.flatMap(messagesOf).map(({ payload }) => payload)).toEqual(
      Array.from({ length: 11 }, (_, i) => `${i}`),
    );
    journal.close();
  });

  const START = Date.now() - 3_600_000;
  interface Device {
    readonly id: string;
    readonly client: MqttClient;
    readonly acknowledged: Set<number>;
    /** Messages that were not acknowledged when their connection ended. */
    refused: number;
    stopped: boolean;
    done: Promise<void>;
  }

  /** Sends messages, a few at a time, each until it is acknowledged. */
  function publish(server: ServerProcess, id: string, password: string): Device {
    const options = { clientId: id, username: id, password, reconnectPeriod: 200, clean: false };
    const client = mqtt.connect(`mqtt://127.0.0.1:${server.mqttPort}`, options);
    client.on('error', () => {});
    const device: Device = { id, client, acknowledged: new Set(), refused: 0, stopped: false, done: Promise.resolve() };
    client.on('close', () => device.refused++);
    let next = 0;
    const lane = async () => {
      while (!device.stopped) {
        const n = next++;
        const payload = JSON.stringify({ ts: START + n * 10, metrics: { fill: n % 90 } }).padEnd(500);
        const sent = () =>
          client.publishAsync(`devices/${id}/readings`, payload, { qos: 1 }).then(
            () => true,
            () => false,
          );
        while (!(await sent())) await pause(50);
        device.acknowledged.add(n);
      }
    };
    device.done = Promise.all(Array.from({ length: 5 }, lane)).then(() => {});
    return device;
  }

  async function ride(server: ServerProcess, disk: SmallDisk, leave: number): Promise<void> {
    await server.start();
    const { pid } = server;
    const ids = ['bin-1', 'bin-2', 'bin-3'];
    const registered = await server.post<{ id: string; secret: string }[]>(
      '/api/v1/devices',
      ids.map((id) => ({ id, profile: 'waste-bin', district: 'harbour' })),
    );
    const devices = registered.map(({ id, secret }) => publish(server, id, secret));
    const total = () => devices.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0);
    await until(() => total() > 100, 'the first messages');
    disk.fill(leave);
    await until(() => devices.some(({ refused }) => refused > 0), 'publishers wait, then are refused');
    const before = total();
    await pause(300);
    expect(total(), 'nothing is acknowledged meanwhile').toBe(before);
    disk.relieve();
    await until(() => total() > before + 100, 'with room it goes on');
    for (const device of devices) device.stopped = true;
    await Promise.all(devices.map(({ done }) => done));
    await Promise.all(devices.map(({ client }) => client.endAsync()));
    await server.settledLedger();
    for (const { id, acknowledged } of devices) {
      const to = START + 86_400_000;
      const path = `/api/v1/readings?device=${id}&metric=fill&from=${START}&to=${to}&maxPoints=1000000`;
      const { series } = await server.get<{ series: Series[] }>(path);
      const stored = new Set(series[0]!.points.map(([ts]) => (ts - START) / 10));
      expect(
        [...acknowledged].filter((n) => !stored.has(n)),
        `${id}: acknowledged, but nowhere`,
      ).toEqual([]);
      expect(stored.size, 'none is stored twice').toBe(series[0]!.points.length);
    }
    expect(server.pid, 'the process is the same').toBe(pid);
    expect(await server.stop()).toBe(0);
  }

  test.concurrent('server - the disk of the journal fills up: publishers wait, then are refused; with free space everything acknowledged is in the history', async (context) => {
    const disk = smallDisk(16, context);
    const data = mkdtempSync(join(tmpdir(), 'lamppost-test-'));
    // The journal alone is on the small disk: SQLite puts its log beside the file that the link names.
    symlinkSync(join(disk.path, 'journal.sqlite'), join(data, 'journal.sqlite'));
    await ride(new ServerProcess(data), disk, 0);
    expect(statSync(join(disk.path, 'journal.sqlite')).size).toBeGreaterThan(0);
  });

  test.concurrent('server - a start on a full disk says how much to free, and starts by itself with free space', async (context) => {
    const disk = smallDisk(64, context);
    const server = new ServerProcess(disk.path);
    disk.fill(0);
    server.startWithinMs = 120_000;
    const started = server.start();
    await until(() => server.output.includes('is full: free at least'), 'it says so', 60_000);
    expect(server.output).not.toMatch(/^\s+at /m);
    disk.relieve();
    await started;
    expect(await server.stop()).toBe(0);
  });

  test.concurrent('server - the disk of all files fills up, and nothing is lost', async (context) => {
    const disk = smallDisk(64, context);
    await ride(new ServerProcess(disk.path), disk, 0);
  });
});

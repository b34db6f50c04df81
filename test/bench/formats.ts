import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { createBridges } from '../../bridges/index.ts';
import { parseCity, readCityFolder } from '../../city-model/index.ts';
import { type City, type MetricTable, systemClock, systemTimers } from '../../domain/index.ts';
import { type Codec, codecsOfProfile } from '../../ingest/codecs/index.ts';
import { Checked, checkReading, compileChecks, compileFormats, decodePayload, formatOf } from '../../ingest/index.ts';
import { hasMosquitto, Mosquitto } from '../kit/mosquitto.ts';
import { freePort } from '../kit/ports.ts';
import { until } from '../kit/wait.ts';

const CITY = fileURLToPath(new URL('../../city', import.meta.url));
const ROUNDS = 100_000;
const PASSES = 20;
const NOW = Date.UTC(2026, 10, 29);

/** The same readings in the native format and in a declared one. */
const NATIVE = '{"ts":1795885800000,"metrics":{"temperature":20.5,"humidity":53.1,"pressure":977}}';
const DECLARED: Readonly<Record<string, readonly [topic: string, payload: string]>> = {
  'a path for each value': [
    'bench/b-1',
    '{"Time":1795885800000,"BME280":{"Temperature":20.5,"Humidity":53.1,"Pressure":977}}',
  ],
  flattened: [
    'v1/devices/me/telemetry',
    '{"ts":1795885800000,"values":{"temperature":20.5,"humidity":53.1,"pressure":977}}',
  ],
  'tasmota, with alternatives': [
    'tele/b-1/SENSOR',
    '{"Time":"2026-11-28T17:10:00","BME280":{"Temperature":20.5,"Humidity":53.1,"Pressure":977},"PressureUnit":"hPa"}',
  ],
};

const BENCH = `
bench:
  topic: bench/{device}
  time: { at: Time, unit: ms }
  values: { temperature: BME280.Temperature, humidity: BME280.Humidity, pressure: BME280.Pressure }
`;

const CODEC =
  'function decodeUplink({ bytes }) { return { data: { temperature: bytes[0], humidity: 53, pressure: 977 } }; }';
const CODED = `
coded:
  title: { en: C, zh: C }
  metrics: [temperature, humidity, pressure]
  interval: 15m
  codec: bench.js
`;
const UPLINK = '{"deviceInfo":{"devEui":"70b3d57ed0001234"},"devAddr":"00189440","fCnt":1,"fPort":2,"data":"FAE="}';

/**
 * CPU time of this process, all of its threads, in µs a message: to decode and validate in the native format, in
 * declared ones and by a codec in its sandbox; to take it from Mosquitto over a bridge whose commits cost nothing.
 */
export async function formatMicros(): Promise<Record<string, number>> {
  const control = await readCityFolder(CITY);
  const files = control.files.map((file) =>
    file.path === 'formats.yaml'
      ? { ...file, text: file.text + BENCH }
      : file.path === 'profiles.yaml'
        ? { ...file, text: file.text + CODED }
        : file,
  );
  const { city } = parseCity({ ...control, files: [...files, { path: 'codecs/bench.js', text: CODEC }] });
  const result: Record<string, number> = {};
  const formats = Object.entries({ native: ['devices/b-1/readings', NATIVE] as const, ...DECLARED });
  for (let pass = -1; pass < PASSES; pass++) {
    // There and back, so that none is always first; the first pass warms up all of them and does not count.
    for (const [name, [topic, payload]] of pass % 2 === 0 ? formats : formats.toReversed()) {
      const micros = measure(city!, topic, payload, ROUNDS / PASSES);
      if (pass >= 0) result[name] = (result[name] ?? 0) + micros / PASSES;
    }
  }
  const codec = codecsOfProfile(city!.profiles.get('coded')!, city!.codecs)!('70b3d57ed0001234', performance.now());
  const coded = ['application/7/device/70b3d57ed0001234/event/up', UPLINK] as const;
  measure(city!, ...coded, CODED_ROUNDS / 10, codec);
  result['a codec, in its sandbox'] = measure(city!, ...coded, CODED_ROUNDS, codec);
  if (hasMosquitto()) result['taken over a bridge'] = await bridgedMicros();
  return result;
}

const CODED_ROUNDS = 2_000;
const BRIDGED = 20_000;

/** Mosquitto and its client are processes of their own: their CPU time does not count. */
async function bridgedMicros(): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-bench-'));
  const port = await freePort();
  const mosquitto = new Mosquitto(dir, [
    `listener ${port} 127.0.0.1`,
    'max_queued_messages 0',
    'max_inflight_messages 1000',
  ]);
  await until(() => mosquitto.output.includes('running'), 'Mosquitto');
  let taken = 0;
  const bridges = createBridges({
    ...{ secrets: { variables: {}, folder: null }, maxMessage: 65_536, clock: systemClock, timers: systemTimers },
    ...{ log: pino({ level: 'silent' }), downlinks: { waiting: () => [], delivered: () => {} } },
    async carry(_key, messages) {
      taken += messages.length;
      return { settled: messages.map(() => null), fault: null };
    },
  });
  const text = `bench: { url: "mqtt://127.0.0.1:${port}", key: k, subscribe: [{ topic: "bench/+" }] }`;
  const files = (await readCityFolder(CITY)).files.filter(({ path }) => path !== 'bridges.yaml');
  bridges.apply(parseCity({ version: 'bench', files: [...files, { path: 'bridges.yaml', text }] }).city!.bridges);
  await until(() => bridges.list()[0]!.state === 'connected', 'the bridge');
  const file = join(dir, 'messages');
  writeFileSync(file, `${NATIVE}\n`.repeat(BRIDGED));
  const before = process.cpuUsage();
  const lines = openSync(file, 'r');
  const client = spawn('mosquitto_pub', ['-p', String(port), '-q', '1', '-t', 'bench/b-1', '-l'], {
    stdio: [lines, 'ignore', 'inherit'],
  });
  await once(client, 'exit');
  await until(
    () => taken >= BRIDGED,
    () => `${taken} messages were taken`,
    60,
  );
  const { user, system } = process.cpuUsage(before);
  bridges.stop();
  await mosquitto.stop();
  return (user + system) / BRIDGED;
}

function measure(city: City, topic: string, payload: string, rounds: number, codec: Codec | null = null): number {
  const { format } = formatOf('b-1', topic, compileFormats(city));
  const names: string[] = [];
  const table: MetricTable = {
    indexOf: (id) => (names.includes(id) ? names.indexOf(id) : names.push(id) - 1),
    idOf: (index) => names[index]!,
  };
  const checks = compileChecks(city, table).get(codec === null ? 'lorawan-climate' : 'coded')!;
  const checked = new Checked();
  const bytes = Buffer.from(payload);
  let values = 0;
  const before = process.cpuUsage();
  for (let i = 0; i < rounds; i++) {
    const decoded = decodePayload(format!, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), NOW, codec);
    if ('reason' in decoded) throw new Error(JSON.stringify(decoded));
    for (const raw of decoded.readings) {
      checkReading(raw, checks, NOW, checked);
      values += checked.length;
    }
  }
  if (values !== rounds * 3)
    throw new Error(`${topic}: ${values} values of ${rounds * 3}: ${JSON.stringify(checked.rejections[0])}`);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / rounds;
}

import { fileURLToPath } from 'node:url';
import { parseCity, readCityFolder } from '../../city-model/index.ts';
import type { City, MetricTable } from '../../domain/index.ts';
import { Checked, checkReading, compileChecks, compileFormats, decodePayload, formatOf } from '../../ingest/index.ts';

const ROUNDS = 300_000;
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

/** µs a message to decode and validate, native and declared, in one thread without anything else. */
export async function formatMicros(): Promise<Record<string, number>> {
  const control = await readCityFolder(fileURLToPath(new URL('../../city', import.meta.url)));
  const files = control.files.map((file) =>
    file.path === 'formats.yaml' ? { ...file, text: file.text + BENCH } : file,
  );
  const { city } = parseCity({ ...control, files });
  const result: Record<string, number> = {};
  for (const [name, [topic, payload]] of Object.entries({
    native: ['devices/b-1/readings', NATIVE] as const,
    ...DECLARED,
  })) {
    // Once to warm up.
    measure(city!, topic, payload, ROUNDS / 10);
    result[name] = measure(city!, topic, payload, ROUNDS);
  }
  return result;
}

function measure(city: City, topic: string, payload: string, rounds: number): number {
  const { format } = formatOf('b-1', topic, compileFormats(city));
  const names: string[] = [];
  const table: MetricTable = {
    indexOf: (id) => (names.includes(id) ? names.indexOf(id) : names.push(id) - 1),
    idOf: (index) => names[index]!,
  };
  const checks = compileChecks(city, table).get('lorawan-climate')!;
  const checked = new Checked();
  const bytes = Buffer.from(payload);
  let values = 0;
  const from = performance.now();
  for (let i = 0; i < rounds; i++) {
    const decoded = decodePayload(format!, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), NOW);
    if ('reason' in decoded) throw new Error(JSON.stringify(decoded));
    for (const raw of decoded.readings) {
      checkReading(raw, checks, NOW, checked);
      values += checked.length;
    }
  }
  if (values !== rounds * 3)
    throw new Error(`${topic}: ${values} values of ${rounds * 3}: ${JSON.stringify(checked.rejections[0])}`);
  return ((performance.now() - from) * 1_000) / rounds;
}

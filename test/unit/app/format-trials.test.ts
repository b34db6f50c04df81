import { afterEach, expect, test } from 'vitest';
import { createFormatTrials } from '../../../app/threads/format-trials.ts';
import { parseCity } from '../../../city-model/index.ts';
import { sample } from '../../kit/city-model/kit.ts';
import { NOW } from '../../kit/ingest/formats.ts';

const EUI = '70b3d57ed0001234';
const PROFILE = `
coded: { title: { en: Coded, zh: 编解码 }, metrics: [temperature], interval: 15m, codec: vendor.js }
`;

function cityWith(codec: string) {
  const files = sample.files.map((file) =>
    file.path === 'profiles.yaml' ? { ...file, text: file.text + PROFILE } : file,
  );
  return parseCity({ version: 'v', files: [...files, { path: 'codecs/vendor.js', text: codec }] }).city!;
}

const trials = createFormatTrials();
afterEach(() => trials.stop());

const uplink = (profile: string) => ({
  topic: `application/7/device/${EUI}/event/up`,
  payload: Buffer.from(
    JSON.stringify({ deviceInfo: { devEui: EUI }, fPort: 2, data: 'AQI=', object: { temperature: 5 } }),
  ),
  ...{ sender: 'lns', profile, receivedAtMs: NOW },
});

test('trials of formats - a codec runs beside this thread, and the thread is gone afterwards', async () => {
  const city = cityWith('function decodeUplink({ bytes }) { return { data: { temperature: bytes[1] } }; }');
  let turns = 0;
  const counting = setInterval(() => turns++, 1);
  const report = await trials.try(city, uplink('coded'));
  clearInterval(counting);
  expect(report.readings[0]?.values).toMatchObject([{ metric: 'temperature', value: 2 }]);
  expect(turns).toBeGreaterThan(0);
});

test('trials of formats - a hostile codec is a refusal, and without a codec there is no thread', async () => {
  const city = cityWith('function decodeUplink() { for (;;) {} }');
  const [hostile, plain] = await Promise.all([
    trials.try(city, uplink('coded')),
    trials.try(city, uplink('lorawan-climate')),
  ]);
  expect(hostile.refused[0]).toMatchObject({ reason: 'not-decoded', detail: expect.stringContaining('interrupted') });
  expect(plain.readings).toHaveLength(1);
});

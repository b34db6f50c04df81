import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseCity } from '../../../../city-model/index.ts';
import { compileFormats, decodePayload, formatOf } from '../../../../ingest/index.ts';
import { sample } from '../../../kit/city-model/kit.ts';
import { pastInMemory } from '../../../kit/ingest/past.ts';

const NOW = Date.parse('2026-11-29T12:00:00Z');
const { city, problems } = parseCity(sample);
if (city === null) throw new Error(JSON.stringify(problems));
const formats = compileFormats(city);

/** A message of a format's real shape, and what it is. */
interface Example {
  readonly topic: string;
  readonly sender?: string;
  readonly payload?: unknown;
  readonly base64?: string;
  /** What came before it, on other topics. */
  readonly before?: readonly Pick<Example, 'topic' | 'payload' | 'base64'>[];
  /** By device: field, value. */
  readonly want: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly ts?: string;
}

const examples = parse(
  readFileSync(new URL('../../../fixtures/formats/examples.yaml', import.meta.url), 'utf8'),
) as Readonly<Record<string, readonly Example[]>>;

function bytesOf({ payload, base64 }: Pick<Example, 'payload' | 'base64'>): Buffer {
  if (base64 !== undefined) return Buffer.from(base64, 'base64');
  return Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload));
}

/** Returns the values of a message by device and field. */
function read({ topic, sender = 'login', before = [], ...message }: Example) {
  const past = pastInMemory();
  for (const one of before) {
    const { device, format } = formatOf(sender, one.topic, formats);
    const of = format!.deviceOf?.(bytesOf(one)) ?? device;
    const decoded = decodePayload(
      format!,
      bytesOf(one),
      NOW,
      null,
      past({ topic: one.topic, identity: sender, device: of }),
    );
    expect(decoded).toMatchObject({ rejections: [] });
  }
  const { device, format } = formatOf(sender, topic, formats);
  const decoded = decodePayload(format!, bytesOf(message), NOW, null, past({ topic, identity: sender, device }));
  if ('reason' in decoded) throw new Error(JSON.stringify(decoded));
  expect(decoded.rejections).toEqual([]);
  const found: Record<string, Record<string, unknown>> = {};
  for (const reading of decoded.readings) {
    const of = reading.device ?? device;
    found[of] = { ...found[of], ...reading.metrics };
  }
  return { name: format!.name, found, ts: decoded.readings[0]?.ts };
}

describe.each([...city.formats.keys()])('shipped formats - %s', (name) => {
  test('has an example of a real shape', () => {
    expect(Object.keys(examples)).toContain(name);
  });

  test.each(examples[name] ?? [])('reads what came on $topic', (example) => {
    const { found, ts, name: by } = read(example);
    expect(by).toBe(name);
    expect(found).toEqual(example.want);
    const written = typeof ts === 'string' ? Date.parse(ts) : ts;
    expect(written).toBe(example.ts === undefined ? undefined : Date.parse(example.ts));
  });
});

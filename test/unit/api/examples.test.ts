import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { openApi } from '../../kit/api/kit.ts';
import { schemaChecker } from '../../kit/json-schema.ts';

interface Media {
  readonly schema: object;
  readonly example?: unknown;
}
interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, Media>> }>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: object;
}

const FILE = fileURLToPath(new URL('../../../api/responses/examples.json', import.meta.url));
const MOST_BYTES = 60 * 1024;

/** The JSON of successes, by the ids of operations. */
let successes: ReadonlyMap<string, Media>;
let components: object;
beforeAll(async () => {
  const api = await openApi();
  const document = (await (await api.fetch('/openapi.json', { key: null })).json()) as Document;
  await api.stop();
  ({ components } = document);
  const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  successes = new Map(
    operations.flatMap(({ operationId, responses }) =>
      Object.entries(responses)
        .filter(([status]) => status.startsWith('2'))
        .flatMap(([, { content = {} }]) => Object.entries(content))
        .filter(([type]) => type.endsWith('json'))
        .map(([, media]) => [operationId, media] as const),
    ),
  );
});

/** A schema that takes no names but those that it has. */
const strictly = (schema: object): object =>
  JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/'), (_key, value) => {
    const isOpen = typeof value?.properties !== 'object' || 'additionalProperties' in value;
    return isOpen ? value : { ...value, additionalProperties: false };
  });

test('examples - every operation that responds with JSON has one, and each is that of an operation', () => {
  const written = Object.keys(JSON.parse(readFileSync(FILE, 'utf8')));
  expect(successes.size).toBeGreaterThan(140);
  expect([...successes].filter(([, { example }]) => example === undefined).map(([id]) => id)).toEqual([]);
  expect(written.toSorted()).toEqual([...successes.keys()].toSorted());
});

test('examples - each is what the schema of its response says, and nothing more', () => {
  const check = schemaChecker({ openapi: strictly({ components }) });
  const faults = [...successes].map(([id, { schema, example }]) => [id, check(strictly(schema), example)] as const);
  expect(faults.filter(([, found]) => found.length > 0)).toEqual([]);
  // It would find a name that the schema does not have, also within.
  const { schema, example } = successes.get('getDevicesById')!;
  expect(check(strictly(schema), { ...(example as object), other: 1 })).not.toEqual([]);
  expect(check(strictly(schema), { ...(example as object), location: { lat: 1, lon: 1, other: 1 } })).not.toEqual([]);
});

/** Texts of an example, each with its name. */
function textsOf(value: unknown, name = ''): readonly (readonly [name: string, text: string])[] {
  if (typeof value === 'string') return [[name, value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) => textsOf(one, Array.isArray(value) ? name : key));
}

/** Random bytes in base64, as secrets are. */
const RANDOM = /(?=[^,]*[a-z])(?=[^,]*[A-Z])(?=[^,]*\d)[\w+/-]{24,}/;
const MADE_UP = /^(whsec_)?the-[a-z0-9-]+$|^GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ$/;
/** The message that a device sent, in base64. */
const PAYLOAD = 'raw';

const looksRandom = (text: string) => text.split(/[^\w+/-]/).some((word) => RANDOM.test(word) && !MADE_UP.test(word));

test('examples - none has a secret, or anything of the machine on which they were made', () => {
  const texts = [...successes].flatMap(([id, { example }]) => textsOf(example).map((one) => [id, ...one] as const));
  const secrets = texts.filter(([, name]) => /^(secret|token|reporter_token)$/.test(name));
  expect(secrets.length).toBeGreaterThan(8);
  expect(secrets.filter(([, , text]) => !MADE_UP.test(text))).toEqual([]);
  expect(texts.filter(([, name, text]) => name !== PAYLOAD && looksRandom(text))).toEqual([]);
  const ofMachine = /(^|[\s"'=])\/(tmp|home|root|Users|var|mnt|work|dev)\b|127\.0\.0\.1|localhost:(?!8080)/;
  expect(texts.filter(([, , text]) => ofMachine.test(text))).toEqual([]);
  // They would be found.
  expect(looksRandom('https://a.example/#q3Zk9_fPzR1-aT6yX0bV2cW8dE4gH7jLmNoPqRsTuVw')).toBe(true);
  expect(ofMachine.test('/tmp/lamppost-data-x')).toBe(true);
});

test('examples - the file is small: who looks at the document reads all of it', () => {
  expect(statSync(FILE).size).toBeLessThan(MOST_BYTES);
});

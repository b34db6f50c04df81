import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openApi, type TestApi } from '../../kit/api/kit.ts';

let api: TestApi;
let document: Document;
beforeAll(async () => {
  api = await openApi();
  document = (await (await api.fetch('/openapi.json', { key: null })).json()) as Document;
});
afterAll(() => api.stop());

/** A part of a JSON Schema. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly propertyNames?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly [key: string]: unknown;
}
interface Document {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[];
            readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
          }
        >
      >
    >
  >;
}

/** Formats that have a length of their own. */
const FORMATS = ['date-time', 'date', 'uuid'];
/** A pattern without an open end: `^\d{1,15}$`. */
const isBoundedPattern = (pattern: string) => !/(?<!\\)[*+]|\{\d+,\}/.test(pattern);

/** Returns the places of a schema where a value may have any size. */
function unbounded(schema: Schema, at: string): string[] {
  const types = [schema.type ?? []].flat();
  const found: string[] = [];
  const { maxLength, pattern, format, maxItems, maxProperties, enum: values, const: constant } = schema;
  const bounded = maxLength ?? values ?? constant ?? (FORMATS.includes(String(format)) || undefined);
  const byPattern = typeof pattern === 'string' && isBoundedPattern(pattern);
  if (types.includes('string') && bounded === undefined && !byPattern) found.push(`${at}: string`);
  if (types.includes('array') && maxItems === undefined) found.push(`${at}: array`);
  const { additionalProperties: more, properties = {}, items } = schema;
  if (typeof more === 'object' && Object.keys(more).length > 0 && maxProperties === undefined) found.push(`${at}: map`);
  return [
    ...found,
    ...(items === undefined ? [] : unbounded(items, `${at}[]`)),
    ...(typeof more === 'object' ? unbounded(more, `${at}.*`) : []),
    ...Object.entries(properties).flatMap(([name, one]) => unbounded(one, `${at}.${name}`)),
    ...[schema.anyOf, schema.oneOf, schema.allOf].flatMap((all) => (all ?? []).flatMap((one) => unbounded(one, at))),
  ];
}

/** What has no bound in the document, and what bounds it. */
const REVIEWED: Readonly<Record<string, string>> = {
  // Open311 takes forms and lists of ids: the first line of a request has at most 16 KiB, and each value is checked.
  '/open311/': 'api/open311 checks each value; a request has at most 16 KiB before its body',
  '?discarded': 'one of the words for true and false',
  '?ended': 'one of the words for true and false',
  '?removed': 'one of the words for true and false',
  '?rules:': 'one of the words for true and false',
  '?train:': 'one of the words for true and false',
};

test('api - every text, list and map in a request has a bound in openapi.json, or is reviewed', () => {
  const found = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { parameters = [], requestBody }]) => {
      const asked = parameters.filter(({ in: where }) => where !== 'header');
      return [
        ...asked.flatMap(({ name, schema }) => unbounded(schema, `${method} ${path} ?${name}`)),
        ...Object.values(requestBody?.content ?? {}).flatMap(({ schema }) =>
          unbounded(schema, `${method} ${path} body`),
        ),
      ];
    }),
  );
  const reviewed = (place: string) => Object.keys(REVIEWED).some((part) => place.includes(part));
  expect(found.filter((place) => !reviewed(place))).toEqual([]);
});

describe('requests past a bound', () => {
  const json = (body: unknown): RequestInit => ({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const tags = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`t${i}`, 'x']));
  const silence = (matchers: object) =>
    json({ matchers, endsAt: new Date(Date.now() + 3_600_000).toISOString(), comment: 'c' });
  const device = (more: object) => json({ id: 'new', profile: 'bin', district: 'east', ...more });
  const hook = (more: object) => json({ url: 'https://city.example/hook', ...more });

  test.each([
    ['/api/v1/silences', silence({ tags: tags(50) }), silence({ tags: tags(51) }), 'at most 50 tags'],
    [
      '/api/v1/silences',
      silence({ rule: Array(1_000).fill('r1') }),
      silence({ rule: Array(1_001).fill('r1') }),
      'rule',
    ],
    ['/api/v1/devices', device({ tags: tags(50) }), device({ id: 'b', tags: tags(51) }), 'at most 50 tags'],
    [
      '/api/v1/keys',
      json({ name: 'x'.repeat(200), role: 'viewer' }),
      json({ name: 'x'.repeat(201), role: 'viewer' }),
      'name',
    ],
    ['/api/v1/webhooks', hook({ description: 'x'.repeat(500) }), hook({ description: 'x'.repeat(501) }), 'description'],
  ])('api - %s takes as much as it says and not more', async (path, at, past, place) => {
    expect((await api.fetch(path, at)).status).toBe(201);
    const refused = await api.fetch(path, past);
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain(place);
  });

  test('api - there are only so many silences that have not ended, and one more when one has', async () => {
    const { items } = api.deps.silences.list({ limit: 1_000, after: null, ended: false });
    const [startsAt, endsAt] = [new Date().toISOString(), new Date(Date.now() + 3_600_000).toISOString()];
    const one = { matchers: { rule: ['r1'] }, startsAt, endsAt, calendar: null, comment: 'c' };
    const actor = { kind: 'key', id: 'admin', role: 'admin', department: null } as const;
    const caller = { actor, address: null, key: null };
    let last = '';
    for (let i = items.length; i < 1_000; i++) last = (await api.deps.silences.add(one, caller)).id;
    const refused = await api.fetch('/api/v1/silences', silence({ rule: 'r1' }));
    expect([refused.status, await refused.text()]).toEqual([409, expect.stringContaining('1000 silences')]);
    await api.deps.silences.end(last, caller);
    expect((await api.fetch('/api/v1/silences', silence({ rule: 'r1' }))).status).toBe(201);
  });

  test('api - the mistakes of a large request are listed up to a bound', async () => {
    const devices = Array.from({ length: 1_000 }, () => ({ id: 'x x', profile: 'bin', district: 'east' }));
    const response = await api.fetch('/api/v1/devices', json(devices));
    const { errors, detail } = (await response.json()) as { errors: unknown[]; detail: string };
    expect([response.status, errors.length]).toEqual([400, 50]);
    expect(detail).toMatch(/and 950 more$/);
  });

  test('api - YAML that is nested too deeply is 400', async () => {
    for (const yaml of ['['.repeat(90_000), '- '.repeat(45_000), '{a: '.repeat(20_000)]) {
      const response = await api.fetch('/api/v1/rules', {
        method: 'POST',
        headers: { 'content-type': 'application/yaml' },
        body: yaml,
      });
      expect([400, 422]).toContain(response.status);
    }
  });
});

import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** Of machines: no person asks for it by hand. */
const OF_MACHINES: Readonly<Record<string, string>> = {
  'GET /health': 'probes of whoever runs it',
  'POST /ingest/sensor-community': 'devices',
  'POST /ingest/http/{format}': 'devices and network servers',
  'POST /ingest/{device}': 'devices; a page shows the snippet',
  'GET /auth/oidc/callback': 'the provider sends the browser there',
  'GET /open311/discovery.{format}': 'apps of citizens',
  'GET /open311/v2/discovery.{format}': 'apps of citizens',
  'GET /open311/v2/requests/{id}.{format}': 'apps of citizens; the public page has its own',
  'GET /open311/v2/servicerequestupdates.{format}': 'apps of citizens; the public page has its own',
  'POST /open311/v2/servicerequestupdates.{format}': 'apps of citizens; the public page has its own',
  'GET /open311/v2/tokens/{token}.{format}': 'apps of citizens',
  'GET /open311/v2/services.{format}': 'apps of citizens; the public page has them in /public/city.json',
  'GET /open311/v2/services/{code}.{format}': 'apps of citizens; the public page has them in /public/city.json',
  'GET /open311/media/{name}': 'the address of a photo, which requests and tickets name',
  'GET /public/follow/{secret}': 'the link of a mail: the server makes the page',
  'POST /public/follow/{secret}/confirm': 'a button of the page of GET /public/follow/{secret}',
  'POST /public/follow/{secret}/end': 'a button of the page of GET /public/follow/{secret}',
};

/** Of the page of a request: its file, and the line that asks. */
const REQUEST = 'console/src/public/Request.tsx';
const OF_A_REQUEST: Readonly<Record<string, string>> = {
  'POST /public/requests/{token}/comment': "say('comment'",
  'POST /public/requests/{token}/not-fixed': "say('not-fixed'",
  'POST /public/requests/{token}/rate': "say('rate'",
  'POST /public/requests/{token}/follow': '/follow`',
};

/** What a page shows already, by another operation. */
const SHOWN_BY: Readonly<Record<string, string>> = {
  'GET /api/v1/devices/{id}/commands/{command}': 'GET /api/v1/devices/{id}/commands',
  'PATCH /api/v1/devices/{id}/desired': 'PUT /api/v1/devices/{id}/desired',
  'GET /api/v1/keys/{id}': 'GET /api/v1/keys',
  'GET /api/v1/users/{id}': 'GET /api/v1/users',
  'GET /api/v1/tickets/{id}/history': 'GET /api/v1/tickets/{id}',
  'POST /api/v1/tickets/{id}/rate': 'POST /public/requests/{token}/rate',
};

const sources = globSync('console/src/**/*.{ts,tsx}')
  .filter((file) => !file.endsWith('api/schema.ts'))
  .map((file) => readFileSync(file, 'utf8').replace(/\$\{[^}]*\}/g, '…'));
const CALL = /\bapi\.([A-Z]+)\(\s*([^,)\s]+)/g;
const schema = readFileSync('console/src/api/schema.ts', 'utf8');

/** The operations of the document, as the types of the client have them. */
function operations(): string[] {
  let path = '';
  return schema
    .slice(schema.indexOf('export interface paths'))
    .split('\n')
    .flatMap((line) => {
      path = /^ {2}"(.+)": \{$/.exec(line)?.[1] ?? path;
      const method = /^ {4}([a-z]+): \{ parameters/.exec(line)?.[1];
      return method === undefined ? [] : `${method.toUpperCase()} ${path}`;
    });
}

/** Whether the client is called by its types; a constant, or a part of the path, may stand in between. */
function isCalled(operation: string): boolean {
  const [method, path] = operation.split(' ') as [string, string];
  const either = path.replace(/^\/api\/v1\/(?:webhooks|subscriptions)\//, '/api/v1/…/');
  return sources.some((text) => {
    const constants = [...text.matchAll(/const (\w+) = '([^']+)'/g)].filter(([, , value]) => value === path);
    const written = [`'${path}'`, `\`${either}\``, ...constants.map(([, name]) => name)];
    return [...text.matchAll(CALL)].some(([, called, what]) => called === method && written.includes(what));
  });
}

/** Whether a page asks without the client: for files and streams, and from the public page, which is small. */
function isFetched(operation: string): boolean {
  const [method, path] = operation.split(' ') as [string, string];
  const place = path.replace('.{format}', '.json').replace(/\{\w+\}/g, '…');
  const line = OF_A_REQUEST[operation];
  if (line !== undefined) return readFileSync(REQUEST, 'utf8').includes(line);
  return sources.some((text) => {
    const others = text.replace(CALL, '');
    return others.includes(place) && (method === 'GET' || others.includes(`'${method}'`));
  });
}

test('operations - each of the API is called by a page, or it is of machines', () => {
  const all = operations();
  expect(all.length).toBeGreaterThan(140);
  const known = new Set([...Object.keys(OF_MACHINES), ...Object.keys(SHOWN_BY)]);
  const missing = all.filter((one) => !known.has(one) && !isCalled(one) && !isFetched(one));
  expect(missing, 'build its page, or say here why it needs none').toEqual([]);
});

test('operations - what is excused is in the document, has no page of its own, and is shown by one that has', () => {
  const all = operations();
  const excused = [...Object.keys(OF_MACHINES), ...Object.keys(SHOWN_BY)];
  expect(excused.filter((one) => !all.includes(one))).toEqual([]);
  expect(excused.filter(isCalled)).toEqual([]);
  expect(Object.values(SHOWN_BY).filter((one) => !isCalled(one) && !isFetched(one))).toEqual([]);
});

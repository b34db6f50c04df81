import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type City, SHARED } from '../../../domain/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';
import * as scene from '../../kit/tickets/scene.ts';

const shown: City = {
  ...scene.city,
  version: 'v',
  name: { en: 'Linjiang', zh: '临江市' },
  timezone: 'Asia/Shanghai',
  accepts: { pastMs: 1, aheadMs: 1 },
  publication: { licence: 'CC0-1.0', coordinateDecimals: 0, readings: [], requests: false, shared: SHARED },
  open311: { jurisdiction: null, contact: null, keyService: null },
  map: { tiles: null, attribution: '' },
  metrics: new Map(),
  profiles: new Map(),
  formats: new Map(),
  codecs: new Map(),
  bridges: new Map(),
  assets: new Map(),
};

let api: TestApi;
beforeAll(async () => {
  api = await openApi({}, { city: () => shown });
  api.incidents(3);
});
afterAll(() => api.stop());

describe('oversight', () => {
  test('has one line per department and service by default', async () => {
    const response = await api.fetch('/api/v1/oversight');
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      items: [{ department: 'environment', service: 'air-quality', opened: 3, open: 3, overdue: 3 }],
      next: null,
    });
  });

  test('comes as CSV by `format` or the Accept header', async () => {
    const header =
      'district,week,opened,open,overdue,resolved,late,reopened,reports,acknowledged,acknowledge_median_s,acknowledge_p90_s,resolve_median_s,resolve_p90_s,ratings,rating_mean';
    const path = '/api/v1/oversight?by=district,week';
    const byAddress = await api.fetch(`${path}&format=csv`);
    expect(byAddress.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present');
    const text = await byAddress.text();
    expect(text).toBe(`${header}\r\nharbour,2026-W01,3,3,3,0,0,0,0,0,,,,,0,\r\n`);
    expect(await (await api.fetch(path, { headers: { accept: 'text/csv' } })).text()).toBe(text);
  });

  test('is limited to tickets of a time range', async () => {
    const items = async (query: string) =>
      ((await (await api.fetch(`/api/v1/oversight?${query}`)).json()) as { items: unknown[] }).items;
    expect(await items('from=2026-01-01&to=2026-01-02')).toHaveLength(1);
    expect(await items('from=2026-01-02')).toEqual([]);
  });

  test('shows a key of a department only its own', async () => {
    const of = async (department: string) => {
      const key = api.key('viewer', department);
      return (await (await api.fetch('/api/v1/oversight', { key })).json()) as { items: unknown[] };
    };
    expect((await of('environment')).items).toHaveLength(1);
    expect((await of('waste')).items).toEqual([]);
  });

  test('needs a key', async () => {
    expect((await api.fetch('/api/v1/oversight', { key: null })).status).toBe(401);
  });

  test.each([
    ['by=street', '"street" is none of department, service, district, week'],
    ['by=', 'is none of department, service, district, week'],
    ['from=2026-02-01&to=2026-01-01', 'is after to'],
    ['format=xml', 'format'],
  ])('refuses %s and says what would be right', async (query, words) => {
    const response = await api.fetch(`/api/v1/oversight?${query}`);
    expect(response.status).toBe(400);
    expect(((await response.json()) as { detail: string }).detail).toContain(words);
  });
});

describe('open data', () => {
  const open = (path: string) => api.fetch(path, { key: null });

  test('needs no key, is open to pages of any origin, and may be cached for a minute', async () => {
    for (const path of ['/public/oversight.json', '/public/tickets.geojson']) {
      const response = await open(path);
      expect(response.status).toBe(200);
      expect(response.headers.get('cache-control')).toBe('public, max-age=60');
      expect(response.headers.get('access-control-allow-origin')).toBe('*');
      expect(await response.json()).toMatchObject({
        city: { zh: '临江市' },
        licence: 'CC0-1.0',
        generatedAt: expect.stringMatching(/Z$/),
      });
    }
  });

  test('shows how the city responds, by service, district and week, with names in both languages', async () => {
    expect(await (await open('/public/oversight.json')).json()).toMatchObject({
      total: { opened: 3 },
      byService: [{ department: 'environment', service: 'air-quality', opened: 3 }],
      byDistrict: [{ district: 'harbour', opened: 3 }],
      byWeek: [{ week: '2026-W01', opened: 3 }],
      departments: { environment: { en: 'environment' } },
      services: { 'air-quality': { en: 'Air', zh: '空气' } },
      districts: { harbour: { en: 'Harbour', zh: '港区' } },
    });
  });

  test('shows how the city responds of one service or district, over one to five years', async () => {
    const of = async (query: string) => (await open(`/public/oversight.json?${query}`)).json();
    const about = { service: 'air-quality', district: 'harbour' };
    expect(await of(new URLSearchParams(about).toString())).toMatchObject({ ...about, total: { opened: 3 } });
    const [one, five] = [await of(''), await of('weeks=260')] as { from: string; generatedAt: string }[];
    const weeks = ({ from, generatedAt }: typeof one & {}) =>
      (Date.parse(generatedAt) - Date.parse(from)) / 604_800_000;
    expect([weeks(one!), weeks(five!)]).toEqual([52, 260]);
    expect(await of('service=air-quality&weeks=104')).toMatchObject({ service: 'air-quality', district: null });
    for (const [query, status] of [
      ['service=ghost', 404],
      ['district=ghost', 404],
      ['weeks=53', 400],
    ] as const)
      expect((await open(`/public/oversight.json?${query}`)).status, query).toBe(status);
    expect(await of('service=air-qualty')).toMatchObject({
      detail: 'unknown service "air-qualty": did you mean "air-quality"?',
    });
  });

  test('names no service that citizens cannot ask for, and counts its tickets in all', async () => {
    const services = new Map([...shown.services].map(([id, service]) => [id, { ...service, open311: false }]));
    const other = await openApi({}, { city: () => ({ ...shown, services }) });
    other.incidents(2);
    const of = (query: string) => other.fetch(`/public/oversight.json${query}`, { key: null });
    const text = await (await of('')).text();
    expect(JSON.parse(text)).toMatchObject({ total: { opened: 2 }, services: {}, byService: [] });
    expect(text).not.toContain('air-quality');
    expect((await of('?service=air-quality')).status).toBe(404);
    await other.stop();
  });

  test('shows the tickets of public services as GeoJSON', async () => {
    const response = await open('/public/tickets.geojson');
    expect(response.headers.get('content-type')).toContain('application/geo+json');
    const { type, features } = (await response.json()) as { type: string; features: unknown[] };
    expect(type).toBe('FeatureCollection');
    expect(features).toHaveLength(3);
    expect(features[0]).toEqual({
      type: 'Feature',
      id: expect.stringMatching(/^t-/),
      geometry: { type: 'Point', coordinates: [122, 31] },
      properties: {
        title: { en: 'Air', zh: '空气' },
        service: 'air-quality',
        department: 'environment',
        district: 'harbour',
        status: 'open',
        severity: 'high',
        origin: 'sensor',
        openedAt: expect.stringMatching(/^2026-01-01T/),
        dueAt: expect.stringMatching(/^2026-01-01T/),
        acknowledgedAt: null,
        resolvedAt: null,
      },
    });
  });

  test('is made once a minute, and is sent again only where it changed', async () => {
    for (const path of ['/public/oversight.json', '/public/tickets.geojson']) {
      const etag = (await open(path)).headers.get('etag')!;
      expect((await open(path)).headers.get('etag')).toBe(etag);
      const known = await api.fetch(path, { key: null, headers: { 'if-none-match': etag } });
      expect([known.status, await known.text(), known.headers.get('cache-control')]).toEqual([
        304,
        '',
        'public, max-age=60',
      ]);
    }
  });

  test('has a page in both languages that needs no key and nothing from other servers', async () => {
    for (const path of ['/public', '/public/report', '/claim']) {
      const response = await open(path);
      expect(response.status, path).toBe(200);
      expect(response.headers.get('content-security-policy')).toContain("script-src 'self'");
      expect(await response.text(), path).not.toMatch(/https?:\/\//);
    }
  });
});

import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { Logger } from 'pino';
import { expect } from 'vitest';
import type { ApiOptions } from '../../../api/index.ts';
import type { Transition } from '../../../domain/index.ts';
import * as scene from '../tickets/scene.ts';
import { openApi } from './kit.ts';

const text = (en: string, zh: string) => ({ en, zh });
const square = (west: number, south: number) => ({
  type: 'Polygon',
  coordinates: [
    [
      [west, south],
      [west + 1, south],
      [west + 1, south + 1],
      [west, south + 1],
      [west, south],
    ],
  ],
});

/**
 * A city of two districts, east and west of the prime meridian, and four services, one of which is not for citizens.
 */
const FILES = {
  'city.yaml': {
    name: text('Linjiang', '临江市'),
    timezone: 'UTC',
    accepts: { past: '10d', ahead: '5m' },
    publication: { coordinate_decimals: 3 },
    open311: {
      jurisdiction: 'city.example',
      contact: text('hotline 12345', '热线12345'),
      key_service: text('ask the hotline', '请致电热线'),
    },
  },
  'departments.yaml': {
    care: { title: text('Care', '运维') },
    lighting: { title: text('Street Lighting Office', '路灯管理所') },
    environment: { title: text('Environment Bureau', '生态环境局') },
    water: { title: text('Water & Sons', '水务局') },
    bright: { title: text('Bright Works', '亮城公司'), kind: 'contractor' },
    friends: { title: text('River Friends', '护河队'), kind: 'community' },
  },
  'services.yaml': {
    repair: { title: text('Sensor care', '设备维护'), department: 'care', deadline: '1h', open311: false },
    'street-light': {
      title: text('Street light out', '路灯故障'),
      description: text('A lamp is dark, or burns by day', '路灯不亮或白天常亮'),
      department: 'lighting',
      deadline: '2d',
      keywords: ['lamp', 'dark', '路灯'],
      asset: { kind: 'pole', within: 30 },
      measured: { kind: ['dark'] },
      attributes: [
        {
          code: 'pole',
          title: text('Number on the pole', '灯杆编号'),
          datatype: 'string',
          hint: text('LJ-0123', 'LJ-0123'),
        },
        {
          code: 'kind',
          title: text('What is wrong?', '故障类型'),
          datatype: 'singlevaluelist',
          required: true,
          values: { dark: text('It is dark', '不亮'), flickers: text('It flickers', '闪烁') },
        },
        { code: 'asset', title: text('Which pole?', '哪根灯杆'), datatype: 'asset' },
      ],
    },
    noise: {
      title: text('Noise', '噪声扰民'),
      department: 'environment',
      deadline: '8h',
      attributes: [
        { code: 'since', title: text('Since when?', '起始时间'), datatype: 'datetime' },
        { code: 'level', title: text('How loud, dB?', '分贝'), datatype: 'number' },
        {
          code: 'sources',
          title: text('What makes it?', '噪声来源'),
          datatype: 'multivaluelist',
          values: { site: text('Building site', '工地'), bar: text('Bar', '酒吧'), road: text('Road', '道路') },
        },
        { code: 'story', title: text('Tell us', '说明'), datatype: 'text' },
      ],
    },
    flood: { title: text('High water', '积水'), department: 'water', deadline: '1h', close: '1h' },
  },
  'districts.geojson': {
    type: 'FeatureCollection',
    features: [
      { type: 'Feature', id: 'east', properties: { title: text('East', '东区') }, geometry: square(0, 0) },
      { type: 'Feature', id: 'west', properties: { title: text('West', '西区') }, geometry: square(-1, 0) },
    ],
  },
};

/** Two poles, 45 m apart. */
const POLES = {
  type: 'FeatureCollection',
  features: [
    ['LJ-1', 0.3, 0.3],
    ['LJ-2', 0.3, 0.3004],
  ].map(([id, lon, lat]) => ({
    type: 'Feature',
    id,
    properties: { kind: 'pole', services: ['street-light'] },
    geometry: { type: 'Point', coordinates: [lon, lat] },
  })),
};

/** GeoReport v2: the element that stands for one of several, by the element around them. */
const SEVERAL: Readonly<Record<string, string>> = {
  services: 'service',
  attributes: 'attribute',
  values: 'value',
  service_requests: 'request',
  errors: 'error',
  endpoints: 'endpoint',
  formats: 'format',
  media_urls: 'media_url',
  service_request_updates: 'request_update',
};
const parser = new XMLParser({
  parseTagValue: false,
  trimValues: false,
  htmlEntities: true,
  ignoreAttributes: false,
  // A request has one `media_url`, and a list of all of them.
  isArray: (name, path) =>
    Object.values(SEVERAL).includes(name) && (name !== 'media_url' || String(path).endsWith('media_urls.media_url')),
});

type Tree = string | readonly Tree[] | { readonly [name: string]: Tree };

/** A document as lists and texts: what its JSON would be, were all of it texts. */
function plain(name: string, found: Tree): Tree {
  const item = SEVERAL[name];
  if (item !== undefined) {
    if (found === '') return [];
    expect(Object.keys(found), `<${name}> has <${item}> only`).toEqual([item]);
    return ((found as Record<string, Tree>)[item] as Tree[]).map((one) => plain(item, one));
  }
  if (typeof found === 'string' || Array.isArray(found)) return found;
  return Object.fromEntries(Object.entries(found).map(([key, one]) => [key, plain(key, one)]));
}

function texts(value: unknown): Tree {
  if (Array.isArray(value)) return value.map(texts);
  if (value === null) return '';
  if (typeof value !== 'object') return String(value);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, texts(one)]));
}

/** A response, parsed from JSON or XML by the ending of its address. */
export interface Reply<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

export type Fields = Readonly<Record<string, string | readonly string[]>>;

interface Sending extends Pick<NonNullable<Parameters<typeof openApi>[1]>, 'smtp' | 'sms'> {
  /** Whether anybody may request a service, without a key. */
  readonly anybody?: boolean;
}

const FOR_ANYBODY = {
  ...FILES,
  'city.yaml': { ...FILES['city.yaml'], publication: { coordinate_decimals: 3, requests: true } },
};

/** An endpoint over real stores, with a clock that a test moves, and a key of an app. */
export async function openOpen311(
  options: Partial<ApiOptions['citizens']> = {},
  log?: Logger,
  edge: Partial<ApiOptions['edge']> = {},
  { anybody = false, ...sending }: Sending = {},
) {
  const clock = { nowMs: Date.UTC(2026, 5, 15, 12), now: () => clock.nowMs };
  const citizens = { publicUrl: null, requestsPerMinute: 0, ...options };
  const api = await openApi(
    { citizens, edge },
    {
      files: { ...(anybody ? FOR_ANYBODY : FILES), 'assets.geojson': POLES },
      clock,
      ...sending,
      ...(log === undefined ? {} : { log }),
    },
  );
  const key = api.key('citizen-app');

  async function json<T>(path: string, init: RequestInit = {}): Promise<Reply<T>> {
    const response = await api.fetch(path, { key: null, ...init });
    expect(response.headers.get('content-type'), path).toBe('application/json; charset=utf-8');
    return { status: response.status, headers: response.headers, body: (await response.json()) as T };
  }

  /** The document of an address that ends in .xml, checked, as lists and texts. An empty root: any. */
  async function xml(path: string, root: string, init: RequestInit = {}): Promise<Reply<Tree>> {
    const response = await api.fetch(path, { key: null, ...init });
    expect(response.headers.get('content-type'), path).toBe('text/xml; charset=utf-8');
    const body = await response.text();
    expect(XMLValidator.validate(body), body).toBe(true);
    const { '?xml': declaration, ...document } = parser.parse(body);
    expect(declaration).toEqual({ '@_version': '1.0', '@_encoding': 'UTF-8' });
    const found = root === '' ? Object.keys(document)[0]! : root;
    expect(Object.keys(document)).toEqual([found]);
    return { status: response.status, headers: response.headers, body: plain(found, document[found]) };
  }

  function measure(transition: Transition, location: { lat: number; lon: number } | null): void {
    const rule = {
      ...scene.rule,
      title: 'High water at {{device.name}}',
      ticket: { service: 'flood', deadlineMs: 3_600_000 },
    };
    const { location: _, ...device } = scene.device;
    const placed = { ...device, id: transition.group, district: 'east', ...(location === null ? {} : { location }) };
    api.fire(transition, { rule, subject: { kind: 'device', device: placed } });
  }

  return {
    api,
    clock,
    key,
    json,
    xml,
    /** Requests both formats, checks that the XML equals the JSON, and returns the JSON. */
    async both<T>(path: string, root: string, query = ''): Promise<Reply<T>> {
      const reply = await json<T>(`${path}.json${query}`);
      const same = await xml(`${path}.xml${query}`, reply.status === 200 ? root : 'errors');
      expect(same.status).toBe(reply.status);
      expect(same.body).toEqual(texts(reply.body));
      return reply;
    },
    /** Sends a form. */
    post<T = Posted[]>(fields: Fields): Promise<Reply<T>> {
      return json<T>('/open311/v2/requests.json', { method: 'POST', body: encoded({ api_key: key, ...fields }) });
    },
    /** A sensor's ticket of high water, at a place. */
    sensor(id: string, location: { lat: number; lon: number } | null, atMs = clock.nowMs): string {
      measure(scene.transition(id, 'firing', { group: id, atMs, value: 4.2 }), location);
      return `t-${id.replace('.', '-')}`;
    },
    /** What the sensor of such a ticket measured is over. */
    sensorEnds(id: string, location: { lat: number; lon: number } | null): void {
      const over = { group: id, from: 'firing', atMs: clock.nowMs, value: 1 } as const;
      measure(scene.transition(`${id}1`, 'resolved', over), location);
    },
    act(
      ticket: string,
      action: 'resolve' | 'close' | 'reopen' | 'acknowledge' | 'start' | 'comment',
      note = '',
      isPublic = false,
    ) {
      const actor = { kind: 'key', id: 'k', role: 'operator', department: null } as const;
      return api.tickets.act({ ticket, action, actor, note, public: isPublic });
    },
    async request(id: string, query = ''): Promise<Shown> {
      const { body } = await json<Shown[]>(`/open311/v2/requests/${id}.json${query}`);
      return body[0]!;
    },
    stop: () => api.stop(),
  };
}

export type Open311 = Awaited<ReturnType<typeof openOpen311>>;

/** A form as browsers and apps send it. */
export function encoded(fields: Fields): URLSearchParams {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) form.append(name, one);
  return form;
}

export interface Posted {
  readonly service_request_id: string;
  readonly service_notice: string;
  readonly account_id: string | null;
  readonly reporter_token: string;
}

export interface Shown {
  readonly service_request_id: string;
  readonly status: 'open' | 'closed';
  readonly [name: string]: unknown;
}

export type Errors = readonly { readonly code: number; readonly description: string }[];

/** A place in the east. */
export const EAST = { lat: '0.5123456', long: '0.6123456' };

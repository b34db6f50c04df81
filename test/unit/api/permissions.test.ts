import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Grant,
  KEY_ROLES,
  type KeyRole,
  mayAny,
  PERMISSION_NAMES,
  PERSON_ROLES,
  type Permission,
  ROLES,
  reaches,
  reachOf,
} from '../../../domain/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';
import { Visit } from '../../kit/browser-like.ts';

const title = { en: 'A', zh: '甲' };
const service = (department: string) => ({ title, department, deadline: '1h' });
const profile = (...departments: string[]) => ({ title, metrics: ['a', 'b'], interval: '1m', departments });
/** Whose devices can be told to do something. */
const commanded = (department: string) => ({ ...profile(department), commands: { dim: { title } } });
const rule = (id: string, of: string) => ({
  id,
  title: id,
  when: { metric: 'a', last: true, above: 90 },
  severity: 'low',
  ticket: { service: of },
});
const FILES = {
  'departments.yaml': { care: { title }, roads: { title } },
  'services.yaml': { repair: service('care'), paving: service('roads') },
  // d1 and d2 of the kit are of care.
  'profiles.yaml': { bin: commanded('care'), pole: commanded('roads') },
  'rules/of-care.yaml': rule('of-care', 'repair'),
  'rules/of-roads.yaml': rule('of-roads', 'paving'),
};

let api: TestApi;
/** The routes that need a key, with the permission that the document names. */
let routes: { readonly method: string; readonly path: string; readonly permission: Permission }[];

beforeAll(async () => {
  // No mail is sent: nothing listens there.
  api = await openApi({}, { files: FILES, smtp: { url: 'smtp://127.0.0.1:9', from: 'a@b.example' } });
  const { paths } = (await (await api.fetch('/openapi.json', { key: null })).json()) as {
    paths: Record<string, Record<string, { description?: string; security?: unknown }>>;
  };
  routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { description, security }]) => {
      // One's own account.
      if (security !== undefined || path.startsWith('/auth/')) return [];
      const [, permission] = /^Needs the right `([a-z.]+)`/.exec(description ?? '') ?? [];
      return [{ method: method.toUpperCase(), path, permission: permission as Permission }];
    }),
  );
});
afterAll(() => api.stop());

/** A role of the whole city, in the department, and in another. */
const GRANTS = KEY_ROLES.flatMap((role): Grant[] => [
  { role, department: null },
  { role, department: 'care' },
  { role, department: 'roads' },
]);
const nameOf = ({ role, department }: Grant) => `${role} of ${department ?? 'the city'}`;
const keys = new Map<string, string>();
/** The secret of a key. It is made beside the API, which refuses some of these: keys of before may be so. */
function keyOf(grant: Grant): string {
  const known = keys.get(nameOf(grant)) ?? api.key(grant.role, grant.department);
  keys.set(nameOf(grant), known);
  return known;
}

/** One route of each right. */
const oneOfEach = () => new Map(routes.map((route) => [route.permission, route])).values();

async function ask(key: string, method: string, path: string, body?: unknown) {
  const json =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const response = await api.fetch(path, { method, key, ...json });
  const text = await response.text();
  const value = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: response.status, detail: String(value.detail), reason: value.reason, value };
}

describe('every route', () => {
  test('has an entry in the table', () => {
    expect(routes.length).toBeGreaterThan(60);
    for (const { method, path, permission } of routes)
      expect(PERMISSION_NAMES, `${method} ${path}`).toContain(permission);
    const used = new Set(routes.map(({ permission }) => permission));
    const elsewhere = ['devices.listen', 'uplinks.publish', 'requests.submit'];
    expect(PERMISSION_NAMES.filter((one) => !used.has(one) && !elsewhere.includes(one))).toEqual([]);
  });

  test.each(GRANTS.map((grant) => [nameOf(grant), grant] as const))(
    'lets in %s as the table says',
    async (_, grant) => {
      // Every route for every role; in a department the same routes have the same rights.
      for (const { method, path, permission } of grant.department === null ? routes : oneOfEach()) {
        const isAllowed = mayAny([grant], permission);
        // It would copy the files of this test.
        if (isAllowed && permission === 'backups.write') continue;
        const { status, detail } = await ask(keyOf(grant), method, path.replace(/\{\w+\}/g, 'x'));
        const isRefused = status === 403 && detail.startsWith(`this needs the right ${permission}`);
        expect(isRefused, `${method} ${path}: ${status} ${detail}`).toBe(!isAllowed);
        expect(status, `${method} ${path}`).not.toBe(401);
      }
    },
  );
});

/** Signs somebody with these roles in. */
async function signedIn(name: string, roles: readonly Grant[]): Promise<Visit> {
  const id = await made('/api/v1/users', { name, email: `${name}@city.example`, roles });
  const { value } = await ask(keyOf(admin), 'POST', `/api/v1/users/${id}/link`);
  const visit = new Visit({ httpPort: api.port });
  const token = String(value.path).split('#')[1]!;
  expect((await visit.send('POST', '/auth/link', { token })).status).toBe(200);
  return visit;
}

describe('people', () => {
  test.each<[name: string, roles: Grant[]]>([
    ...PERSON_ROLES.map((role): [string, Grant[]] => [
      role,
      [{ role, department: ROLES[role].of === 'department' ? 'care' : null }],
    ]),
    ['in-care', [{ role: 'operator', department: 'care' }]],
    [
      'of-both',
      [
        { role: 'viewer', department: null },
        { role: 'dispatcher', department: 'roads' },
        { role: 'rule-author', department: null },
      ],
    ],
  ])('who is signed in may do what any of the roles may: %s', async (name, roles) => {
    const visit = await signedIn(name, roles);
    for (const { method, path, permission } of oneOfEach()) {
      const isAllowed = mayAny(roles, permission);
      if (isAllowed && permission === 'backups.write') continue;
      const { status, body } = await visit.send(method, path.replace(/\{\w+\}/g, 'x'));
      const isRefused = status === 403 && String(body.detail).startsWith(`this needs the right ${permission}`);
      expect(isRefused, `${method} ${path}: ${status} ${body.detail}`).toBe(!isAllowed);
      expect(status, `${method} ${path}`).not.toBe(401);
    }
  });
});

type Owner = 'care' | 'roads';
const OWNERS = ['care', 'roads'] as const;
interface Subject {
  readonly method: string;
  readonly permission: Permission;
  /** What the engine asks for beside it: the ticket is acted on, too. */
  readonly also?: Permission;
  /** What is asked, about something of one department. */
  readonly of: (owner: Owner) => Promise<readonly [path: string, body?: unknown]>;
}

const admin = { role: 'admin', department: null } as const;
const serviceOf = { care: 'repair', roads: 'paving' } as const;
const opening = (owner: Owner) => ({ service: serviceOf[owner], title: 'T', district: 'east' });
const url = 'https://hooks.example/x';
const webhook = (owner: Owner) => ({ url, party: owner, filter: { departments: [owner] } });
const mail = (owner: Owner) => ({
  channel: 'email',
  to: 'a@b.example',
  party: owner,
  filter: { departments: [owner] },
});

async function made(path: string, body: unknown): Promise<string> {
  const { status, detail, value } = await ask(keyOf(admin), 'POST', path, body);
  expect(status, `${path}: ${detail}`).toBe(201);
  return String(value.id);
}
const shortly = (owner: Owner) => ({
  matchers: { department: [owner] },
  endsAt: new Date(Date.now() + 3_600_000).toISOString(),
  comment: 'c',
});
const at = async (path: string, body?: unknown) => [path, body] as const;
const ofNew =
  (list: string, body: (owner: Owner) => unknown, rest = '', sent?: (owner: Owner) => unknown): Subject['of'] =>
  async (owner) =>
    [`${list}/${await made(list, body(owner))}${rest}`, sent?.(owner)] as const;
/** The ticket of an alert of a device of the department. */
const alerted = new Map<Owner, string>();
async function ticketOfAlert(owner: Owner): Promise<string> {
  const known = alerted.get(owner);
  if (known !== undefined) return known;
  const group = DEVICES[owner];
  api.sendAs(group, { ts: api.deps.clock.now(), metrics: { a: 95 } });
  const { value } = await ask(keyOf(admin), 'GET', `/api/v1/tickets?rule=of-${owner}`);
  const { id } = (value.items as { id: string; group: string }[]).find((one) => one.group === group)!;
  alerted.set(owner, id);
  return id;
}

/** The refused messages of a device. */
async function refusedOf(owner: Owner): Promise<string> {
  const { value } = await ask(
    keyOf(admin),
    'GET',
    `/api/v1/quarantine?device=${DEVICES[owner]}&limit=1&discarded=true`,
  );
  return (value.items as { id: string }[])[0]!.id;
}
const DEVICES = { care: 'd1', roads: 'p1' } as const;

const SUBJECTS: Readonly<Record<string, Subject>> = {
  'reads a ticket': { method: 'GET', permission: 'tickets.read', of: ofNew('/api/v1/tickets', opening) },
  'opens a ticket': {
    method: 'POST',
    permission: 'tickets.open',
    of: (owner) => at('/api/v1/tickets', opening(owner)),
  },
  'acts on a ticket': {
    method: 'POST',
    permission: 'tickets.write',
    of: ofNew('/api/v1/tickets', opening, '/acknowledge'),
  },
  'reads the reporter of a ticket': {
    method: 'GET',
    permission: 'reporters.read',
    of: ofNew('/api/v1/tickets', opening, '/reporter'),
  },
  'deletes the reporter of a ticket': {
    method: 'DELETE',
    permission: 'reporters.delete',
    of: ofNew('/api/v1/tickets', opening, '/reporter'),
  },
  'reads what a citizen wrote': {
    method: 'GET',
    permission: 'tickets.read',
    of: ofNew('/api/v1/tickets', opening, '/request'),
  },
  'lists the alerts of a ticket': {
    method: 'GET',
    permission: 'tickets.read',
    of: ofNew('/api/v1/tickets', opening, '/alerts'),
  },
  'reads the history of a ticket': {
    method: 'GET',
    permission: 'tickets.read',
    of: ofNew('/api/v1/tickets', opening, '/history'),
  },
  'makes a part of a ticket': {
    method: 'POST',
    permission: 'tickets.write',
    of: ofNew('/api/v1/tickets', opening, '/parts', (owner) => ({
      department: owner === 'care' ? 'roads' : 'care',
      note: 'n',
    })),
  },
  'runs the command of a ticket': {
    method: 'POST',
    permission: 'commands.write',
    also: 'tickets.write',
    of: async (owner) => [`/api/v1/tickets/${await ticketOfAlert(owner)}/run-command`, { command: 'dim' }],
  },
  'sends a command to a device': {
    method: 'POST',
    permission: 'commands.write',
    of: (owner) => at(`/api/v1/devices/${DEVICES[owner]}/commands`, { command: 'dim' }),
  },
  'cancels a command': {
    method: 'DELETE',
    permission: 'commands.write',
    of: async (owner) => {
      const list = `/api/v1/devices/${DEVICES[owner]}/commands`;
      return [`${list}/${await made(list, { command: 'dim' })}`];
    },
  },
  'sets what a device is wanted to be': {
    method: 'PUT',
    permission: 'commands.write',
    of: (owner) => at(`/api/v1/devices/${DEVICES[owner]}/desired`, { level: 1 }),
  },
  'changes what a device is wanted to be': {
    method: 'PATCH',
    permission: 'commands.write',
    of: (owner) => at(`/api/v1/devices/${DEVICES[owner]}/desired`, { level: 2 }),
  },
  silences: { method: 'POST', permission: 'silences.write', of: (owner) => at('/api/v1/silences', shortly(owner)) },
  'silences by service': {
    method: 'POST',
    permission: 'silences.write',
    of: (owner) => at('/api/v1/silences', { ...shortly(owner), matchers: { service: [serviceOf[owner]] } }),
  },
  'ends a silence': { method: 'DELETE', permission: 'silences.write', of: ofNew('/api/v1/silences', shortly) },
  'reads a refused message': {
    method: 'GET',
    permission: 'quarantine.read',
    of: async (owner) => [`/api/v1/quarantine/${await refusedOf(owner)}`],
  },
  'reads the usage of the quarantine': {
    method: 'GET',
    permission: 'quarantine.read',
    of: (owner) => at(`/api/v1/quarantine/usage?device=${DEVICES[owner]}`),
  },
  'discards refused messages': {
    method: 'POST',
    permission: 'quarantine.write',
    of: async (owner) => ['/api/v1/quarantine/discard', { ids: [await refusedOf(owner)], note: 'n' }],
  },
  'replays refused messages of a device': {
    method: 'POST',
    permission: 'quarantine.write',
    // It replays nothing: there are none so old.
    of: (owner) => at('/api/v1/quarantine/replay', { device: DEVICES[owner], to: '2001-01-01' }),
  },
  'lists webhooks': {
    method: 'GET',
    permission: 'webhooks.read',
    of: (owner) => at(`/api/v1/webhooks?party=${owner}`),
  },
  'reads a webhook': { method: 'GET', permission: 'webhooks.read', of: ofNew('/api/v1/webhooks', webhook) },
  'adds a webhook': {
    method: 'POST',
    permission: 'webhooks.write',
    of: (owner) => at('/api/v1/webhooks', webhook(owner)),
  },
  'changes a webhook': {
    method: 'PATCH',
    permission: 'webhooks.write',
    of: ofNew('/api/v1/webhooks', webhook, '', () => ({ concurrency: 2 })),
  },
  'deletes a webhook': { method: 'DELETE', permission: 'webhooks.write', of: ofNew('/api/v1/webhooks', webhook) },
  'reads a subscription': { method: 'GET', permission: 'subscriptions.read', of: ofNew('/api/v1/subscriptions', mail) },
  'adds a subscription': {
    method: 'POST',
    permission: 'subscriptions.write',
    of: (owner) => at('/api/v1/subscriptions', mail(owner)),
  },
  'changes a subscription': {
    method: 'PATCH',
    permission: 'subscriptions.write',
    of: ofNew('/api/v1/subscriptions', mail, '', () => ({ language: 'en' })),
  },
  'lists subscriptions': {
    method: 'GET',
    permission: 'subscriptions.read',
    of: (owner) => at(`/api/v1/subscriptions?party=${owner}`),
  },
  ...ofReceivers('webhooks', webhook),
  ...ofReceivers('subscriptions', mail),
  'rotates the secret of a webhook': {
    method: 'POST',
    permission: 'webhooks.write',
    of: ofNew('/api/v1/webhooks', webhook, '/rotate'),
  },
  'pings a webhook': { method: 'POST', permission: 'webhooks.write', of: ofNew('/api/v1/webhooks', webhook, '/ping') },
  'delivers a range again': {
    method: 'POST',
    permission: 'webhooks.write',
    of: ofNew('/api/v1/webhooks', webhook, '/redeliver', () => ({ from: 1, to: 1 })),
  },
  'tests a subscription': {
    method: 'POST',
    permission: 'subscriptions.write',
    of: ofNew('/api/v1/subscriptions', mail, '/test'),
  },
};

/** What may be done to every kind of receiver. */
function ofReceivers(name: 'webhooks' | 'subscriptions', body: (owner: Owner) => unknown): Record<string, Subject> {
  const list = `/api/v1/${name}`;
  const reading = (rest: string): Subject => ({
    method: 'GET',
    permission: `${name}.read`,
    of: ofNew(list, body, rest),
  });
  const acting = (rest: string): Subject => ({
    ...{ method: 'POST', permission: `${name}.write`, of: ofNew(list, body, rest) },
  });
  return {
    [`deletes one of ${name}`]: { ...acting(''), method: 'DELETE' },
    [`enables one of ${name}`]: acting('/enable'),
    [`disables one of ${name}`]: acting('/disable'),
    [`lists the deliveries of one of ${name}`]: reading('/deliveries'),
    [`reads a delivery of one of ${name}`]: reading('/deliveries/x'),
    [`delivers again for one of ${name}`]: acting('/deliveries/x/redeliver'),
  };
}

/** Where there is nothing: the same for whose it is as for others. */
const NOTHING_THERE = /reporter|citizen wrote|a delivery|delivers again/;

/** Everything that a person may be given. */
const GRANTS_OF_PEOPLE = PERSON_ROLES.flatMap((role): Grant[] => {
  const { of } = ROLES[role];
  const city: Grant[] = of === 'department' ? [] : [{ role, department: null }];
  return of === 'city' ? city : [...city, ...OWNERS.map((department): Grant => ({ role, department }))];
});
const visits = new Map<string, Promise<Visit>>();
function visitOf(grant: Grant): Promise<Visit> {
  const name = nameOf(grant);
  const known = visits.get(name) ?? signedIn(`the-${name.replaceAll(' ', '-')}`, [grant]);
  visits.set(name, known);
  return known;
}

/** The route that a path is of, as the document writes it. */
function routeOf(method: string, path: string): string {
  const levels = path.split('?')[0]!.split('/');
  const isOf = (template: string) => {
    const names = template.split('/');
    return names.length === levels.length && names.every((name, i) => name.startsWith('{') || name === levels[i]);
  };
  // The one with the fewest variables.
  const fitting = routes.filter((route) => route.method === method && isOf(route.path));
  const variables = ({ path: template }: { path: string }) => template.split('{').length;
  const [found] = fitting.toSorted((a, b) => variables(a) - variables(b));
  return `${method} ${found?.path}`;
}

/** Routes that name nothing of one department, and the test of what they show of all. */
const LISTS: Readonly<Record<string, string>> = {
  'GET /api/v1/tickets': 'a list of tickets has those of the department only',
  'GET /api/v1/tickets/counts': 'a list of tickets has those of the department only',
  'GET /api/v1/tickets/waiting': 'a list of tickets has those of the department only',
  'GET /api/v1/oversight': 'summaries count the tickets of the department only',
  'GET /api/v1/events': 'where the city does not share; test/integration/sse.test.ts',
  'GET /api/v1/alerts': 'where the city does not share',
  'GET /api/v1/alerts/{rule}/{group}': 'where the city does not share',
  'GET /api/v1/devices/{id}/explain': 'where the city does not share',
  'GET /api/v1/readings': 'where the city does not share',
  'GET /api/v1/readings/latest': 'where the city does not share',
  'POST /api/v1/rules/try': 'where the city does not share',
  'POST /api/v1/rules/backtest': 'where the city does not share',
  'POST /api/v1/rules/suggest': 'where the city does not share',
  'POST /api/v1/formats/try': 'where the city does not share',
  'GET /api/v1/quarantine': 'a list of the quarantine has the refused messages of own devices only',
  'GET /api/v1/quarantine/replays/{id}': 'whoever began it has its random id',
};

describe('what belongs to a department', () => {
  beforeAll(() => {
    api.registerAs('p1', 'pole');
    api.sendRaw('p1', '{');
  });

  const rows = Object.entries(SUBJECTS).flatMap(([name, subject]) =>
    OWNERS.map((owner) => [name, owner, subject] as const),
  );
  /** Routes of which it was asked whose things somebody reaches. */
  const asked = new Set<string>();

  function expectBound(name: string, who: string, isAllowed: boolean, status: number, detail: string) {
    const said = `${who} ${name}: ${status} ${detail}`;
    if (isAllowed) expect([200, 201, 202, 204, 404, 409], said).toContain(status);
    else expect([403, 404], said).toContain(status);
    // A hidden thing is like one that does not exist; what there is not, nobody finds.
    if (isAllowed && !NOTHING_THERE.test(name)) expect(status, said).not.toBe(404);
  }

  test.each(rows)('who, with a key, %s of %s', async (name, owner, { method, permission, also = permission, of }) => {
    for (const grant of GRANTS) {
      const isAllowed = [permission, also].every((one) => reaches(reachOf([grant], one), owner));
      const [path, body] = await of(owner);
      const { status, detail } = await ask(keyOf(grant), method, path, body);
      expectBound(name, nameOf(grant), isAllowed, status, detail);
      asked.add(routeOf(method, path));
    }
  });

  // What is decided of a key is decided of a person: who is in the department, in another one, or in none.
  test.each(rows.filter(([, owner]) => owner === 'care'))('who of the people %s of %s', async (name, owner, { method, permission, also = permission, of }) => {
    for (const grant of GRANTS_OF_PEOPLE) {
      const isAllowed = [permission, also].every((one) => reaches(reachOf([grant], one), owner));
      const { status, body } = await (await visitOf(grant)).send(method, ...(await of(owner)));
      expectBound(name, nameOf(grant), isAllowed, status, String(body.detail));
    }
  });

  test('every route with a right that a department bounds is asked here, or lists what there is', () => {
    const bounds = (permission: Permission) =>
      Object.values(ROLES).some(({ rights }) => ['own', 'shared', 'department'].includes(rights[permission] ?? ''));
    const bound = routes.filter(({ permission }) => bounds(permission)).map(({ method, path }) => `${method} ${path}`);
    expect(bound.length).toBeGreaterThan(40);
    expect(bound.filter((route) => !asked.has(route) && LISTS[route] === undefined)).toEqual([]);
    expect(Object.keys(LISTS).filter((route) => !bound.includes(route))).toEqual([]);
  });

  test('a list of tickets has those of the department only', async () => {
    for (const owner of OWNERS) {
      const key = keyOf({ role: 'viewer', department: owner });
      const listed = async (path: string) => JSON.stringify((await ask(key, 'GET', path)).value);
      const [own, other] = [
        await made('/api/v1/tickets', opening(owner)),
        await made('/api/v1/tickets', opening(owner === 'care' ? 'roads' : 'care')),
      ];
      const tickets = await listed('/api/v1/tickets?limit=1000');
      expect([tickets.includes(own), tickets.includes(other)]).toEqual([true, false]);
      expect(await listed('/api/v1/tickets/waiting')).not.toContain(other);
      const before = await listed('/api/v1/tickets/counts');
      await made('/api/v1/tickets', opening(owner === 'care' ? 'roads' : 'care'));
      expect(await listed('/api/v1/tickets/counts')).toBe(before);
      await made('/api/v1/tickets', opening(owner));
      expect(await listed('/api/v1/tickets/counts')).not.toBe(before);
    }
  });

  test('summaries count the tickets of the department only', async () => {
    const by = async (department: Owner | null) => {
      const { value } = await ask(keyOf({ role: 'viewer', department }), 'GET', '/api/v1/oversight?by=department');
      return JSON.stringify(value);
    };
    expect(await by(null)).toMatch(/care.*roads/);
    expect(await by('care')).not.toContain('roads');
    expect(await by('roads')).not.toContain('"care"');
  });

  test('a list of the quarantine has the refused messages of own devices only', async () => {
    const devicesOf = async (grant: Grant) => {
      const { value } = await ask(keyOf(grant), 'GET', '/api/v1/quarantine?discarded=true');
      return new Set((value.items as { device: string }[]).map(({ device }) => device));
    };
    expect(await devicesOf({ role: 'operator', department: null })).toEqual(new Set(['d1', 'd2', 'p1', 'ghost']));
    expect(await devicesOf({ role: 'operator', department: 'care' })).toEqual(new Set(['d1', 'd2']));
    expect(await devicesOf({ role: 'viewer', department: 'roads' })).toEqual(new Set(['p1']));
  });

  test("a receiver cannot be made another department's, nor one that gets all", async () => {
    const key = keyOf({ role: 'dispatcher', department: 'care' });
    const id = await made('/api/v1/webhooks', webhook('care'));
    for (const body of [
      { url, party: 'care' },
      { url, filter: { departments: ['care'] } },
      { url, party: 'care', filter: { departments: ['care', 'roads'] } },
      { url, party: 'person:x', filter: { departments: ['care'] } },
    ]) {
      expect((await ask(key, 'POST', '/api/v1/webhooks', body)).reason, JSON.stringify(body)).toBe(
        'not-your-department',
      );
    }
    for (const body of [{ party: 'roads' }, { party: null }, { filter: {} }, { filter: { departments: ['roads'] } }]) {
      const { reason } = await ask(key, 'PATCH', `/api/v1/webhooks/${id}`, body);
      expect(reason, JSON.stringify(body)).toBe('not-your-department');
    }
    const wide = await made('/api/v1/webhooks', { url, party: 'care', filter: {} });
    expect((await ask(key, 'GET', `/api/v1/webhooks/${wide}`)).status).toBe(404);
    const over = { channel: 'webhook', webhook: await made('/api/v1/webhooks', webhook('roads')), party: 'care' };
    const refused = await ask(key, 'POST', '/api/v1/subscriptions', { ...over, filter: { departments: ['care'] } });
    expect(refused.reason).toBe('not-your-department');
  });
});

describe('what was possible once', () => {
  const operator = { role: 'operator', department: 'care' } as const;
  test('an operator of one department does not silence another, nor everything of a severity', async () => {
    for (const matchers of [
      { department: ['roads'], severity: ['critical'] },
      { department: ['care', 'roads'] },
      { severity: ['critical'] },
      { service: ['repair', 'paving'] },
      { rule: ['of-roads'] },
    ]) {
      const { status, reason } = await ask(keyOf(operator), 'POST', '/api/v1/silences', {
        ...shortly('care'),
        matchers,
      });
      expect([status, reason], JSON.stringify(matchers)).toEqual([403, 'not-your-department']);
    }
  });

  test('a key of an unknown department is not added, nor an admin of one', async () => {
    const add = (body: object) => ask(keyOf(admin), 'POST', '/api/v1/keys', { name: 'k', ...body });
    expect(await add({ role: 'viewer', department: 'raods' })).toMatchObject({
      status: 400,
      detail: expect.stringContaining('did you mean "roads"'),
    });
    for (const role of KEY_ROLES.filter((one) => ROLES[one].of === 'city'))
      expect(await add({ role, department: 'care' }), role).toMatchObject({ status: 400 });
    expect(await add({ role: 'dispatcher' })).toMatchObject({ status: 400 });
    expect(await add({ role: 'dispatcher', department: 'care' })).toMatchObject({ status: 201 });
  });

  test('an admin of a department, of an older version, is bound to it', async () => {
    const old = keyOf({ role: 'admin', department: 'care' });
    const ticket = await made('/api/v1/tickets', opening('roads'));
    expect((await ask(old, 'GET', `/api/v1/tickets/${ticket}`)).status).toBe(404);
    expect((await ask(old, 'POST', '/api/v1/keys', { name: 'k', role: 'admin' })).status).toBe(403);
  });
});

describe('scopes', () => {
  const add = async (role: KeyRole, scopes: readonly string[], by = keyOf(admin)) =>
    await ask(by, 'POST', '/api/v1/keys', { name: 'k', role, scopes });

  test('a key has only the rights that its scopes name', async () => {
    const { status, value } = await add('operator', ['tickets.read']);
    expect([status, value.scopes]).toEqual([201, ['tickets.read']]);
    const key = String(value.secret);
    expect((await ask(key, 'GET', '/api/v1/tickets')).status).toBe(200);
    expect(await ask(key, 'GET', '/api/v1/devices')).toMatchObject({
      status: 403,
      detail: expect.stringMatching(/its scopes leave/),
    });
    expect((await ask(key, 'POST', '/api/v1/tickets', opening('care'))).status).toBe(403);
  });

  test('scopes are within the role, and nobody passes on more than their own', async () => {
    expect(await add('viewer', ['tickets.write'])).toMatchObject({
      status: 400,
      detail: expect.stringContaining('it has'),
    });
    expect((await add('viewer', [])).status).toBe(400);
    expect((await add('viewer', ['tickets.reed'])).status).toBe(400);
    const { value } = await add('admin', ['keys.write', 'tickets.read']);
    const by = String(value.secret);
    expect((await add('viewer', ['tickets.read'], by)).status).toBe(201);
    expect((await add('admin', ['keys.write', 'audit.read'], by)).status).toBe(403);
    expect((await ask(by, 'POST', '/api/v1/keys', { name: 'k', role: 'admin' })).status).toBe(403);
  });
});

describe('where the city does not share', () => {
  let own: TestApi;
  const city = { name: title, timezone: 'UTC', accepts: { past: '10d' } };
  beforeAll(async () => {
    const publication = { shared: { readings: false, alerts: false } };
    own = await openApi({}, { files: { ...FILES, 'city.yaml': { ...city, publication } } });
    own.registerAs('p1', 'pole');
    own.send({ ts: 1_700_000_100_000, metrics: { a: 95 } });
  });
  afterAll(() => own.stop());

  const get = async (path: string, department: string | null, role: KeyRole = 'operator') => {
    const response = await own.fetch(path, { key: own.key(role, department) });
    return { status: response.status, body: (await response.json()) as { items: { rule: string }[]; reason?: string } };
  };

  test('a department reads readings of its own devices, by name', async () => {
    for (const path of ['/api/v1/readings?from=0&', '/api/v1/readings/latest?']) {
      expect((await get(`${path}device=d1`, 'care')).status, path).toBe(200);
      expect((await get(`${path}device=d1,p1`, 'care')).body.reason, path).toBe('not-your-department');
      expect((await get(`${path}district=east`, 'care')).body.reason, path).toBe('not-your-department');
      expect((await get(path, null)).status, path).toBe(200);
    }
  });

  test('a department sees the alerts of its own rules, in every list', async () => {
    const rules = async (path: string, department: string | null) =>
      (await get(path, department)).body.items.map(({ rule: id }) => id).sort();
    for (const path of ['/api/v1/alerts', '/api/v1/devices/d1/explain']) {
      expect(await rules(path, null), path).toEqual(expect.arrayContaining(['of-care', 'of-roads']));
      expect(await rules(path, 'care'), path).toEqual(['of-care']);
      expect(await rules(path, 'roads'), path).toEqual(['of-roads']);
    }
    expect((await get('/api/v1/alerts/of-roads/d1', 'care')).status).toBe(404);
    expect((await get('/api/v1/alerts/of-care/d1', 'care')).status).toBe(200);
  });

  test('a department gets the events of its own alerts', async () => {
    const of = async (department: string | null) => {
      const { items } = (await get('/api/v1/events?type=city.lamppost.alert.firing', department)).body;
      return (items as unknown as { event: { data: { rule: string } } }[]).map(({ event }) => event.data.rule).sort();
    };
    expect(await of(null)).toEqual(['of-care', 'of-roads', 'r1']);
    expect(await of('care')).toEqual(['of-care']);
  });

  test('rules are tried and backtested by the whole city only', async () => {
    const bodies = {
      '/api/v1/rules/try': { rule: 'of-care', device: 'd1', readings: [{}] },
      '/api/v1/rules/backtest': { rule: 'of-care' },
      '/api/v1/rules/suggest': { metric: 'a', profile: 'bin' },
      '/api/v1/formats/try': { format: 'readings', payload: '{}' },
    };
    for (const [path, body] of Object.entries(bodies)) {
      const headers = { 'content-type': 'application/json' };
      const asked = { method: 'POST', key: own.key('operator', 'care'), body: JSON.stringify(body), headers };
      const response = await own.fetch(path, asked);
      expect([response.status, ((await response.json()) as { reason: string }).reason], path).toEqual([
        403,
        'not-your-department',
      ]);
    }
  });
});

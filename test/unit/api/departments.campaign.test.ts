import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Grant, mayAny, PERSON_ROLES, type Permission, ROLES, reaches, reachOf } from '../../../domain/index.ts';
import {
  admin,
  GRANTS,
  nameOf,
  OWNERS,
  type Owner,
  opening,
  openPermissions,
  type Permissions,
  serviceOf,
  shortly,
  url,
  webhook,
} from '../../kit/api/permissions.ts';
import type { Visit } from '../../kit/browser-like.ts';

let scene: Permissions;
beforeAll(async () => {
  scene = await openPermissions();
});
afterAll(() => scene.api.stop());

interface Subject {
  readonly method: string;
  readonly permission: Permission;
  /** What the engine asks for beside it: the ticket is acted on, too. */
  readonly also?: Permission;
  /** What is asked, about something of one department. */
  readonly of: (owner: Owner) => Promise<readonly [path: string, body?: unknown]>;
}

const mail = (owner: Owner) => ({
  channel: 'email',
  to: 'a@b.example',
  party: owner,
  filter: { departments: [owner] },
});
const at = async (path: string, body?: unknown) => [path, body] as const;
const ofNew =
  (list: string, body: (owner: Owner) => unknown, rest = '', sent?: (owner: Owner) => unknown): Subject['of'] =>
  async (owner) =>
    [`${list}/${await scene.made(list, body(owner))}${rest}`, sent?.(owner)] as const;
/** The ticket of an alert of a device of the department. */
const alerted = new Map<Owner, string>();
async function ticketOfAlert(owner: Owner): Promise<string> {
  const known = alerted.get(owner);
  if (known !== undefined) return known;
  const group = DEVICES[owner];
  scene.api.sendAs(group, { ts: scene.api.deps.clock.now(), metrics: { a: 95 } });
  const { value } = await scene.ask(scene.keyOf(admin), 'GET', `/api/v1/tickets?rule=of-${owner}`);
  const { id } = (value.items as { id: string; group: string }[]).find((one) => one.group === group)!;
  alerted.set(owner, id);
  return id;
}

/** The refused messages of a device. */
async function refusedOf(owner: Owner): Promise<string> {
  const { value } = await scene.ask(
    scene.keyOf(admin),
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
      return [`${list}/${await scene.made(list, { command: 'dim' })}`];
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
  const known = visits.get(name) ?? scene.signedIn(`the-${name.replaceAll(' ', '-')}`, [grant]);
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
  const fitting = scene.routes.filter((route) => route.method === method && isOf(route.path));
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
  'GET /api/v1/alerts/fired': 'where the city does not share',
  'GET /api/v1/alerts/{rule}/{group}': 'where the city does not share',
  'GET /api/v1/devices/{id}/explain': 'where the city does not share',
  'GET /api/v1/readings': 'where the city does not share',
  'GET /api/v1/readings/latest': 'where the city does not share',
  'GET /api/v1/readings/seen': 'where the city does not share',
  'POST /api/v1/rules/try': 'where the city does not share',
  'POST /api/v1/rules/backtest': 'where the city does not share',
  'POST /api/v1/rules/suggest': 'where the city does not share',
  'POST /api/v1/formats/try': 'where the city does not share',
  'GET /api/v1/quarantine': 'a list of the quarantine has the refused messages of own devices only',
  'GET /api/v1/quarantine/groups': 'a list of the quarantine has the refused messages of own devices only',
  'GET /api/v1/quarantine/replays/{id}': 'whoever began it has its random id',
  'DELETE /api/v1/quarantine/replays/{id}': 'whoever began it has its random id',
};

describe('what belongs to a department', () => {
  beforeAll(() => {
    scene.api.registerAs('p1', 'pole');
    scene.api.sendRaw('p1', '{');
  });

  const rows = Object.entries(SUBJECTS).flatMap(([name, subject]) =>
    OWNERS.map((owner) => [name, owner, subject] as const),
  );
  /** Routes of which it was asked whose things somebody reaches. */
  const asked = new Set<string>();

  /** Those without it are refused before anything is looked at: permissions.test.ts. */
  const withRight = (grants: readonly Grant[], permission: Permission) =>
    grants.filter((grant) => mayAny([grant], permission));

  function expectBound(name: string, who: string, isAllowed: boolean, status: number, detail: string) {
    const said = `${who} ${name}: ${status} ${detail}`;
    if (isAllowed) expect([200, 201, 202, 204, 404, 409], said).toContain(status);
    else expect([403, 404], said).toContain(status);
    // A hidden thing is like one that does not exist; what there is not, nobody finds.
    if (isAllowed && !NOTHING_THERE.test(name)) expect(status, said).not.toBe(404);
  }

  test.each(rows)('who, with a key, %s of %s', async (name, owner, { method, permission, also = permission, of }) => {
    for (const grant of withRight(GRANTS, permission)) {
      const isAllowed = [permission, also].every((one) => reaches(reachOf([grant], one), owner));
      const [path, body] = await of(owner);
      const { status, detail } = await scene.ask(scene.keyOf(grant), method, path, body);
      expectBound(name, nameOf(grant), isAllowed, status, detail);
      asked.add(routeOf(method, path));
    }
  });

  // What is decided of a key is decided of a person: who is in the department, in another one, or in none.
  test.each(rows.filter(([, owner]) => owner === 'care'))(
    'who of the people %s of %s',
    async (name, owner, { method, permission, also = permission, of }) => {
      for (const grant of withRight(GRANTS_OF_PEOPLE, permission)) {
        const isAllowed = [permission, also].every((one) => reaches(reachOf([grant], one), owner));
        const { status, body } = await (await visitOf(grant)).send(method, ...(await of(owner)));
        expectBound(name, nameOf(grant), isAllowed, status, String(body.detail));
      }
    },
  );

  test('every route with a right that a department bounds is asked here, or lists what there is', () => {
    const bounds = (permission: Permission) =>
      Object.values(ROLES).some(({ rights }) => ['own', 'shared', 'department'].includes(rights[permission] ?? ''));
    const bound = scene.routes
      .filter(({ permission }) => bounds(permission))
      .map(({ method, path }) => `${method} ${path}`);
    expect(bound.length).toBeGreaterThan(40);
    expect(bound.filter((route) => !asked.has(route) && LISTS[route] === undefined)).toEqual([]);
    expect(Object.keys(LISTS).filter((route) => !bound.includes(route))).toEqual([]);
  });

  test('a list of tickets has those of the department only', async () => {
    for (const owner of OWNERS) {
      const key = scene.keyOf({ role: 'viewer', department: owner });
      const listed = async (path: string) => JSON.stringify((await scene.ask(key, 'GET', path)).value);
      const [own, other] = [
        await scene.made('/api/v1/tickets', opening(owner)),
        await scene.made('/api/v1/tickets', opening(owner === 'care' ? 'roads' : 'care')),
      ];
      const tickets = await listed('/api/v1/tickets?limit=1000');
      expect([tickets.includes(own), tickets.includes(other)]).toEqual([true, false]);
      expect(await listed('/api/v1/tickets/waiting')).not.toContain(other);
      const before = await listed('/api/v1/tickets/counts');
      await scene.made('/api/v1/tickets', opening(owner === 'care' ? 'roads' : 'care'));
      expect(await listed('/api/v1/tickets/counts')).toBe(before);
      await scene.made('/api/v1/tickets', opening(owner));
      expect(await listed('/api/v1/tickets/counts')).not.toBe(before);
    }
  });

  test('summaries count the tickets of the department only', async () => {
    const by = async (department: Owner | null) => {
      const { value } = await scene.ask(
        scene.keyOf({ role: 'viewer', department }),
        'GET',
        '/api/v1/oversight?by=department',
      );
      return JSON.stringify(value);
    };
    expect(await by(null)).toMatch(/care.*roads/);
    expect(await by('care')).not.toContain('roads');
    expect(await by('roads')).not.toContain('"care"');
  });

  test('a list of the quarantine has the refused messages of own devices only', async () => {
    const devicesOf = async (grant: Grant) => {
      const devices = async (path: string) => {
        const { value } = await scene.ask(scene.keyOf(grant), 'GET', path);
        return new Set((value.items as { device: string }[]).map(({ device }) => device));
      };
      const [listed, grouped] = [
        await devices('/api/v1/quarantine?discarded=true'),
        await devices('/api/v1/quarantine/groups'),
      ];
      expect([...grouped].filter((device) => !listed.has(device))).toEqual([]);
      return listed;
    };
    expect(await devicesOf({ role: 'operator', department: null })).toEqual(new Set(['d1', 'd2', 'p1', 'ghost']));
    expect(await devicesOf({ role: 'operator', department: 'care' })).toEqual(new Set(['d1', 'd2']));
    expect(await devicesOf({ role: 'viewer', department: 'roads' })).toEqual(new Set(['p1']));
  });

  test("a receiver cannot be made another department's, nor one that gets all", async () => {
    const key = scene.keyOf({ role: 'dispatcher', department: 'care' });
    const id = await scene.made('/api/v1/webhooks', webhook('care'));
    for (const body of [
      { url, party: 'care' },
      { url, filter: { departments: ['care'] } },
      { url, party: 'care', filter: { departments: ['care', 'roads'] } },
      { url, party: 'person:x', filter: { departments: ['care'] } },
    ]) {
      expect((await scene.ask(key, 'POST', '/api/v1/webhooks', body)).reason, JSON.stringify(body)).toBe(
        'not-your-department',
      );
    }
    for (const body of [{ party: 'roads' }, { party: null }, { filter: {} }, { filter: { departments: ['roads'] } }]) {
      const { reason } = await scene.ask(key, 'PATCH', `/api/v1/webhooks/${id}`, body);
      expect(reason, JSON.stringify(body)).toBe('not-your-department');
    }
    const wide = await scene.made('/api/v1/webhooks', { url, party: 'care', filter: {} });
    expect((await scene.ask(key, 'GET', `/api/v1/webhooks/${wide}`)).status).toBe(404);
    const over = { channel: 'webhook', webhook: await scene.made('/api/v1/webhooks', webhook('roads')), party: 'care' };
    const refused = await scene.ask(key, 'POST', '/api/v1/subscriptions', {
      ...over,
      filter: { departments: ['care'] },
    });
    expect(refused.reason).toBe('not-your-department');
  });
});

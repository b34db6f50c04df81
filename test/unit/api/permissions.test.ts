import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Grant,
  KEY_ROLES,
  type KeyRole,
  mayAny,
  PERMISSION_NAMES,
  PERSON_ROLES,
  ROLES,
} from '../../../domain/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';
import {
  admin,
  FILES,
  GRANTS,
  nameOf,
  opening,
  openPermissions,
  type Permissions,
  shortly,
  title,
} from '../../kit/api/permissions.ts';

let scene: Permissions;
beforeAll(async () => {
  scene = await openPermissions();
});
afterAll(() => scene.api.stop());

describe('every route', () => {
  test('has an entry in the table', () => {
    expect(scene.routes.length).toBeGreaterThan(60);
    for (const { method, path, permission } of scene.routes)
      expect(PERMISSION_NAMES, `${method} ${path}`).toContain(permission);
    const used = new Set(scene.routes.map(({ permission }) => permission));
    const elsewhere = ['devices.listen', 'uplinks.publish', 'requests.submit'];
    expect(PERMISSION_NAMES.filter((one) => !used.has(one) && !elsewhere.includes(one))).toEqual([]);
  });

  test('that is no look at something needs a right to change it', () => {
    const reading = scene.routes.filter(({ method, permission }) => method !== 'GET' && permission.endsWith('.read'));
    // It looks at the text that it is given.
    expect(reading.map(({ method, path }) => `${method} ${path}`)).toEqual(['POST /api/v1/rules/check']);
  });

  // Whose something is, departments.campaign.test.ts asks: here one department is as another.
  const inOne = GRANTS.filter(({ department }) => department !== 'roads');
  test.each(inOne.map((grant) => [nameOf(grant), grant] as const))('lets in %s as the table says', async (_, grant) => {
    for (const { method, path, permission } of scene.routes) {
      const isAllowed = mayAny([grant], permission);
      // It would copy the files of this test.
      if (isAllowed && permission === 'backups.write') continue;
      const { status, detail } = await scene.ask(scene.keyOf(grant), method, path.replace(/\{\w+\}/g, 'x'));
      const isRefused = status === 403 && detail.startsWith(`this needs the right ${permission}`);
      expect(isRefused, `${method} ${path}: ${status} ${detail}`).toBe(!isAllowed);
      expect(status, `${method} ${path}`).not.toBe(401);
    }
  });
});

describe('people', () => {
  test.each<[name: string, roles: Grant[]]>([
    ...PERSON_ROLES.map((role): [string, Grant[]] => [
      role,
      [{ role, department: ROLES[role].of === 'department' ? 'care' : null }],
    ]),
    ...PERSON_ROLES.filter((role) => ROLES[role].of === 'either').map((role): [string, Grant[]] => [
      `${role}-in-care`,
      [{ role, department: 'care' }],
    ]),
    [
      'of-both',
      [
        { role: 'viewer', department: null },
        { role: 'dispatcher', department: 'roads' },
        { role: 'rule-author', department: null },
      ],
    ],
  ])('who is signed in may do what any of the roles may: %s', async (name, roles) => {
    const visit = await scene.signedIn(name, roles);
    for (const { method, path, permission } of scene.routes) {
      const isAllowed = mayAny(roles, permission);
      if (isAllowed && permission === 'backups.write') continue;
      const { status, body } = await visit.send(method, path.replace(/\{\w+\}/g, 'x'));
      const isRefused = status === 403 && String(body.detail).startsWith(`this needs the right ${permission}`);
      expect(isRefused, `${method} ${path}: ${status} ${body.detail}`).toBe(!isAllowed);
      expect(status, `${method} ${path}`).not.toBe(401);
    }
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
      const { status, reason } = await scene.ask(scene.keyOf(operator), 'POST', '/api/v1/silences', {
        ...shortly('care'),
        matchers,
      });
      expect([status, reason], JSON.stringify(matchers)).toEqual([403, 'not-your-department']);
    }
  });

  test('a key of an unknown department is not added, nor an admin of one', async () => {
    const add = (body: object) => scene.ask(scene.keyOf(admin), 'POST', '/api/v1/keys', { name: 'k', ...body });
    expect(await add({ role: 'viewer', department: 'raods' })).toMatchObject({
      status: 400,
      detail: expect.stringContaining('did you mean "roads"'),
    });
    for (const role of KEY_ROLES.filter((one) => ROLES[one].of === 'city'))
      expect(await add({ role, department: 'care' }), role).toMatchObject({ status: 400 });
    expect(await add({ role: 'dispatcher' })).toMatchObject({ status: 400 });
    expect(await add({ role: 'dispatcher', department: 'care' })).toMatchObject({ status: 201 });
  });

  test('a person gets no role that no key could have, when added or changed', async () => {
    const email = 'none@city.example';
    const id = await scene.made('/api/v1/users', {
      name: 'N',
      email: 'some@city.example',
      roles: [{ role: 'viewer', department: null }],
    });
    for (const [role, department, why] of [
      ['viewer', 'raods', 'did you mean "roads"'],
      ['admin', 'care', 'admin is a role of the whole city'],
      ['dispatcher', null, 'dispatcher is a role of one department'],
    ] as const) {
      const roles = [{ role, department }];
      const refused = { status: 400, detail: expect.stringContaining(why) };
      expect(await scene.ask(scene.keyOf(admin), 'POST', '/api/v1/users', { name: 'N', email, roles })).toMatchObject(
        refused,
      );
      expect(await scene.ask(scene.keyOf(admin), 'PATCH', `/api/v1/users/${id}`, { roles })).toMatchObject(refused);
    }
  });

  test('an auditor makes no link that signs somebody else in, and sees sessions', async () => {
    const roles = [{ role: 'admin', department: null }];
    const id = await scene.made('/api/v1/users', { name: 'Boss', email: 'boss@city.example', roles });
    const auditor = scene.keyOf({ role: 'auditor', department: null });
    expect(await scene.ask(auditor, 'POST', `/api/v1/users/${id}/link`)).toMatchObject({
      status: 403,
      detail: expect.stringContaining('users.write'),
    });
    expect((await scene.ask(auditor, 'GET', `/api/v1/users/${id}/sessions`)).status).toBe(200);
    expect((await scene.ask(scene.keyOf(admin), 'POST', `/api/v1/users/${id}/link`)).status).toBe(201);
  });

  test('an admin of a department, of an older version, is bound to it', async () => {
    const old = scene.keyOf({ role: 'admin', department: 'care' });
    const ticket = await scene.made('/api/v1/tickets', opening('roads'));
    expect((await scene.ask(old, 'GET', `/api/v1/tickets/${ticket}`)).status).toBe(404);
    expect((await scene.ask(old, 'POST', '/api/v1/keys', { name: 'k', role: 'admin' })).status).toBe(403);
  });
});

describe('scopes', () => {
  const add = async (role: KeyRole, scopes: readonly string[], by = scene.keyOf(admin)) =>
    await scene.ask(by, 'POST', '/api/v1/keys', { name: 'k', role, scopes });

  test('a key has only the rights that its scopes name', async () => {
    const { status, value } = await add('operator', ['tickets.read']);
    expect([status, value.scopes]).toEqual([201, ['tickets.read']]);
    const key = String(value.secret);
    expect((await scene.ask(key, 'GET', '/api/v1/tickets')).status).toBe(200);
    expect(await scene.ask(key, 'GET', '/api/v1/devices')).toMatchObject({
      status: 403,
      detail: expect.stringMatching(/its scopes leave/),
    });
    expect((await scene.ask(key, 'POST', '/api/v1/tickets', opening('care'))).status).toBe(403);
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
    expect((await scene.ask(by, 'POST', '/api/v1/keys', { name: 'k', role: 'admin' })).status).toBe(403);
  });

  test('nor do they come to more by a person, by a link of one, or by the new secret of another key', async () => {
    const { value } = await add('admin', ['keys.write', 'keys.read', 'users.write']);
    const [by, own] = [String(value.secret), String(value.id)];
    const beyond = { status: 403, detail: expect.stringMatching(/^the scopes of your key do not let it give/) };
    const roles = [{ role: 'admin', department: null }];
    const asked = (method: string, path: string, body?: unknown) => scene.ask(by, method, path, body);
    const person = (email: string) => ({ name: 'N', email, roles });
    expect(await asked('POST', '/api/v1/users', person('new@city.example'))).toMatchObject(beyond);
    const chief = await scene.made('/api/v1/users', person('chief@city.example'));
    expect(await asked('PATCH', `/api/v1/users/${chief}`, { roles })).toMatchObject(beyond);
    expect(await asked('POST', `/api/v1/users/${chief}/link`)).toMatchObject(beyond);
    const wide = await scene.made('/api/v1/keys', { name: 'wide', role: 'admin' });
    expect(await asked('POST', `/api/v1/keys/${wide}/rotate`)).toMatchObject(beyond);
    const server = { name: 'ns', role: 'network-server', uplinks: { devices: ['d1'] } };
    const bound = await scene.made('/api/v1/keys', server);
    expect(await asked('PATCH', `/api/v1/keys/${bound}`, { uplinks: 'all' })).toMatchObject(beyond);
    const narrow = await scene.made('/api/v1/keys', { name: 'narrow', role: 'admin', scopes: ['keys.read'] });
    expect((await asked('POST', `/api/v1/keys/${narrow}/rotate`)).status).toBe(200);
    expect((await asked('POST', `/api/v1/keys/${own}/rotate`)).status).toBe(200);
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

  test('a department sees which of its own devices have sent a reading', async () => {
    const seen = async (department: string | null) => {
      const response = await own.fetch('/api/v1/readings/seen', { key: own.key('operator', department) });
      return ((await response.json()) as { items: { device: string; at: string }[] }).items;
    };
    await expect.poll(() => seen(null)).toMatchObject([{ device: 'd1' }]);
    expect(await seen('care')).toHaveLength(1);
    expect(await seen('roads')).toEqual([]);
    expect((await get('/api/v1/readings/seen?device=p1', 'care')).body.reason).toBe('not-your-department');
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

  test('a department learns how often its own rules fired, and no others', async () => {
    const fired = async (department: string | null) => {
      const { counts } = (await get('/api/v1/alerts/fired', department)).body as unknown as {
        counts: { rule: string }[];
      };
      return counts.map(({ rule: id }) => id).sort();
    };
    expect(await fired(null)).toEqual(['of-care', 'of-roads', 'r1']);
    expect(await fired('care')).toEqual(['of-care']);
    expect(await fired('roads')).toEqual(['of-roads']);
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

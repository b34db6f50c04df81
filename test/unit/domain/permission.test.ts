import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  EXTENTS,
  type Grant,
  KEY_ROLES,
  PERMISSION_NAMES,
  PERMISSIONS,
  type Permission,
  type Reach,
  ROLES,
  reaches,
  reachOf,
  SHARED,
  WITHHELD,
} from '../../../domain/index.ts';

const DOC = fileURLToPath(new URL('../../../docs/roles.md', import.meta.url));

/** The tables of docs/roles.md. */
function tables(): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const head = (cells: readonly string[]) => [row(cells), row(cells.map(() => '---'))];
  const roles = KEY_ROLES.map((role) => {
    const { of, about } = ROLES[role];
    return row([`\`${role}\``, { city: 'the city', department: 'a department', either: 'either' }[of], about]);
  });
  const rights = PERMISSION_NAMES.map((permission) => {
    const cells = KEY_ROLES.map((role) => ROLES[role].rights[permission] ?? '');
    return row([`\`${permission}\``, PERMISSIONS[permission], ...cells, WITHHELD.includes(permission) ? 'never' : '']);
  });
  const extents = Object.entries(EXTENTS).map(([name, meaning]) => row([name, meaning]));
  return [
    ...[...head(['role', 'of', 'what it is for']), ...roles, ''],
    ...[...head(['in a cell', 'the right reaches']), ...extents, ''],
    ...[...head(['right', 'to', ...KEY_ROLES, 'in a contractor or group']), ...rights],
  ].join('\n');
}

test('roles.md - has the table of the code', () => {
  const [, written] = /<!-- the table, from domain\/permission.ts -->\n\n([\s\S]*?)\n\n<!-- end -->/.exec(
    readFileSync(DOC, 'utf8'),
  )!;
  expect(written).toBe(tables());
});

/** What somebody must never be able to do, written down once more by hand. */
test.each<[role: Grant['role'], department: string | null, permission: Permission, reach: Reach]>([
  ['viewer', null, 'tickets.write', []],
  ['viewer', 'waste', 'tickets.read', ['waste']],
  ['viewer', 'waste', 'quarantine.read', ['waste']],
  ['viewer', null, 'reporters.read', []],
  ['operator', 'waste', 'silences.write', ['waste']],
  ['operator', 'waste', 'tickets.open', ['waste']],
  ['operator', 'waste', 'quarantine.write', ['waste']],
  ['operator', null, 'silences.write', 'city'],
  ['operator', null, 'reporters.read', []],
  ['operator', null, 'webhooks.read', []],
  ['operator', null, 'rules.write', []],
  ['dispatcher', 'waste', 'webhooks.write', ['waste']],
  ['dispatcher', 'waste', 'devices.write', []],
  ['rule-author', null, 'rules.write', 'city'],
  ['rule-author', null, 'tickets.write', []],
  ['device-manager', null, 'keys.write', []],
  ['auditor', null, 'audit.read', 'city'],
  ['auditor', null, 'reporters.read', []],
  ['admin', null, 'keys.write', 'city'],
  ['admin', 'waste', 'keys.write', []],
  ['admin', 'waste', 'tickets.read', ['waste']],
  ['citizen-app', null, 'tickets.read', []],
  ['network-server', null, 'readings.read', []],
])('permissions - a %s of %s reaches with %s: %j', (role, department, permission, reach) => {
  expect(reachOf([{ role, department }], permission)).toEqual(reach);
});

test('permissions - no right of an auditor or a viewer changes anything', () => {
  for (const role of ['auditor', 'viewer'] as const)
    for (const permission of Object.keys(ROLES[role].rights)) expect(permission).toMatch(/\.read$/);
});

const grant = fc.record({
  role: fc.constantFrom(...KEY_ROLES),
  department: fc.constantFrom(null, 'waste', 'water'),
});
const sharing = fc.record({ readings: fc.boolean(), alerts: fc.boolean() });

test('permissions - several grants reach what each of them reaches, and nothing else', () => {
  fc.assert(
    fc.property(fc.array(grant), fc.constantFrom(...PERMISSION_NAMES), sharing, (grants, permission, shared) => {
      const reach = reachOf(grants, permission, shared);
      for (const department of ['waste', 'water', 'roads', null]) {
        const byOne = grants.some((one) => reaches(reachOf([one], permission, shared), department));
        expect(reaches(reach, department)).toBe(byOne);
      }
    }),
  );
});

test('permissions - scopes only take rights away', () => {
  const scopes = fc.subarray(PERMISSION_NAMES);
  fc.assert(
    fc.property(grant, scopes, fc.constantFrom(...PERMISSION_NAMES), (one, some, permission) => {
      const reach = reachOf([{ ...one, scopes: some }], permission, SHARED);
      expect(reach).toEqual(some.includes(permission) ? reachOf([one], permission, SHARED) : []);
    }),
  );
});

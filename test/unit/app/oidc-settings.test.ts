import { expect, test } from 'vitest';
import { readConfig, unknownDepartments } from '../../../app/index.ts';
import { parseCity } from '../../../city-model/index.ts';
import { sample } from '../../kit/city-model/kit.ts';

const GIVEN = {
  LAMPPOST_PUBLIC_URL: 'https://lamppost.city.example/',
  OIDC_ISSUER: 'https://login.city.example',
  OIDC_CLIENT_ID: 'lamppost',
  OIDC_CLIENT_SECRET: 's',
  OIDC_ROLES: 'cn=Admins=admin, waste desk=operator@waste,, staff = viewer',
};

test('config - the table of OIDC says which value of the claim gives which role where', () => {
  const { oidc } = readConfig(GIVEN).people;
  expect(oidc).toMatchObject({
    claim: 'groups',
    redirectUri: 'https://lamppost.city.example/auth/oidc/callback',
  });
  expect([...oidc!.roles]).toEqual([
    ['cn=Admins', { role: 'admin', department: null }],
    ['waste desk', { role: 'operator', department: 'waste' }],
    ['staff', { role: 'viewer', department: null }],
  ]);
  expect(readConfig({}).people.oidc).toBeNull();
});

test.each([
  [{ OIDC_CLIENT_SECRET: undefined }, 'OIDC_CLIENT_SECRET: must be set'],
  [{ OIDC_ROLES: undefined }, 'OIDC_ROLES: must be set'],
  [{ OIDC_ROLES: 'staff=mayor' }, '"staff=mayor" is not <value>=<role>'],
  [{ OIDC_ROLES: 'staff' }, '"staff" is not <value>=<role>'],
  [{ OIDC_ROLES: 'staff=admin@waste' }, '"staff=admin@waste": role: admin is a role of the whole city'],
  [{ OIDC_ROLES: 'staff=dispatcher' }, '"staff=dispatcher": department: dispatcher is a role of one department'],
  [{ OIDC_ISSUER: 'http://login.city.example' }, 'OIDC_ISSUER: must be an https URL'],
  [{ OIDC_ISSUER: 'login' }, 'OIDC_ISSUER: must be the URL of a provider'],
])('config - %j is a mistake that stops the start', (changes, why) => {
  expect(() => readConfig({ ...GIVEN, ...changes })).toThrow(why);
});

test('config - a provider on this machine may do without TLS', () => {
  for (const host of ['127.0.0.1:9', 'localhost:9', '[::1]:9'])
    expect(readConfig({ ...GIVEN, OIDC_ISSUER: `http://${host}` }).people.oidc?.issuer).toBe(`http://${host}`);
});

test('config - a department of the table that the city does not have is named, with the one that was meant', () => {
  const city = parseCity(sample).city!;
  const oidcOf = (roles: string) => readConfig({ ...GIVEN, OIDC_ROLES: roles }).people.oidc;
  expect(unknownDepartments(oidcOf('a=operator@waste, b=viewer'), city)).toEqual([]);
  expect(unknownDepartments(oidcOf('a=operator@wast, b=viewer@wast'), city)).toEqual([
    'OIDC_ROLES: unknown department "wast": did you mean "waste"?',
  ]);
  expect(unknownDepartments(null, city)).toEqual([]);
});

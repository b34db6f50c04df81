import { LamppostError, type Page } from '../domain/index.ts';
import { type Client, clientOf, requestAndPrint } from './client.ts';
import { overlapOf } from './devices.ts';
import { SERVER } from './flags.ts';
import { print, table } from './output.ts';
import { command, type Given, type Group, list, needed, text } from './spec.ts';

const ADD = {
  ...SERVER,
  role: needed(text('R', 'its role (docs/roles.md)')),
  department: text('D', 'the department that it is bound to'),
  scopes: list('RIGHTS', 'only these rights of the role, such as tickets.read'),
  expires: text('T', 'when it ends, such as 2027-03-01T00:00:00Z'),
  note: text('N', 'whom to ask about it'),
  uplinks: text('WHAT', 'of a network server: all, devices=a,b, applications=a,b or tags=name:value'),
};
const OVERLAP = { ...SERVER, overlap: text('TIME', 'how long the old secret stays valid, such as 24h') };

interface ListedKey {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly department: string | null;
  readonly expiresAt: string | null;
  readonly lastUsedAt: string | null;
}

const at = (id: string, action = '') => `/api/v1/keys/${encodeURIComponent(id)}${action}`;

/** `key …`: the keys of people and programs. A new secret is printed this one time. */
export const KEY: Group = {
  about: 'Keys of people and programs.',
  commands: {
    list: command({ about: 'lists keys, without their secrets', flags: SERVER, run: listKeys }),
    show: command({
      ...{ about: 'shows a key, without its secret', args: '<id>', flags: SERVER },
      run: (given, environment) => requestAndPrint(given, environment, ['GET', at(given.args[0]!)]),
    }),
    add: command({ ...{ about: 'makes a key; prints its secret once', args: '<name>', flags: ADD }, run: addKey }),
    rotate: command({
      ...{ about: 'replaces the secret; prints the new one once', args: '<id>', flags: OVERLAP },
      run: (given, environment) =>
        requestAndPrint(given, environment, ['POST', at(given.args[0]!, '/rotate'), overlapOf(given.flags)]),
    }),
    confirm: command({
      ...{ about: 'ends the old secret of a rotation', args: '<id>', flags: SERVER },
      run: (given, environment) => requestAndPrint(given, environment, ['POST', at(given.args[0]!, '/confirm')]),
    }),
    revoke: command({
      ...{ about: 'ends a key', args: '<id>', flags: SERVER },
      run: (given, environment) => requestAndPrint(given, environment, ['DELETE', at(given.args[0]!)]),
    }),
  },
};

const keysOf = async (client: Client) => (await client.json<Page<ListedKey>>('GET', '/api/v1/keys')).items;

async function listKeys({ flags }: Given<typeof SERVER>, environment: NodeJS.ProcessEnv): Promise<number> {
  const row = ({ id, name, role, department, expiresAt, lastUsedAt }: ListedKey) => [
    ...[id, name, department === null ? role : `${role}@${department}`, expiresAt ?? 'never', lastUsedAt ?? 'never'],
  ];
  const head = ['id', 'name', 'role', 'expires', 'last used'];
  print(flags.json, await keysOf(clientOf(flags, environment)), (keys) => table([head, ...keys.map(row)]));
  return 0;
}

async function addKey(given: Given<typeof ADD>, environment: NodeJS.ProcessEnv): Promise<number> {
  const [name = ''] = given.args;
  const { role, department = null, scopes, expires: expiresAt, note, uplinks } = given.flags;
  const bound = uplinks === undefined ? {} : { uplinks: uplinksOf(uplinks) };
  const body = { name, role, department, scopes, expiresAt, note, ...bound };
  const before = await keysOf(clientOf(given.flags, environment));
  const code = await requestAndPrint(given, environment, ['POST', '/api/v1/keys', body]);
  const same = before.filter((one) => one.name === name).map(({ id }) => id);
  if (same.length > 0) console.error(`note: the name "${name}" is also that of ${same.join(', ')}`);
  return code;
}

/** `all`, or what the API takes: `devices=a,b`, `applications=a,b`, `tags=name:value,…`. */
function uplinksOf(written: string): unknown {
  if (written === 'all') return written;
  const [kind = '', names = ''] = written.split('=');
  const all = names.split(',').filter(Boolean);
  if (kind === 'devices' || kind === 'applications') return { [kind]: all };
  if (kind === 'tags') return { tags: Object.fromEntries(all.map((pair) => pair.split(':', 2))) };
  throw new LamppostError(
    'config',
    `--uplinks: "${written}" found; write all, devices=<DevEUI>,…, applications=<name>,… or tags=<name>:<value>,…`,
  );
}

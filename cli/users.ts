import { LamppostError, type Person } from '../domain/index.ts';
import { allOf, type Client, changesOf, clientOf, printResponse, urlOf } from './client.ts';
import { SERVER } from './flags.ts';
import { print, table } from './output.ts';
import { command, type Given, type Group, list, needed, text } from './spec.ts';

const ABOUT = {
  ...SERVER,
  name: text('N', 'the name'),
  role: list('R[@D]', 'a role, of a department where one is named; may be written several times'),
  language: text('LANG', 'the language of messages: en or zh'),
};
const ADD = { ...ABOUT, name: needed(ABOUT.name), role: needed(ABOUT.role) };
const CHANGE = { ...ABOUT, email: text('E-MAIL', 'the new address') };
type Asking = Given<typeof SERVER>;

/** A command on the person with an address; prints what `act` returns. */
const acting = (about: string, act: (client: Client, id: string) => Promise<string>) =>
  command({
    ...{ about, args: '<e-mail>', flags: SERVER },
    async run({ args, flags }: Asking, environment) {
      const client = clientOf(flags, environment);
      return printResponse(await act(client, await idOf(client, args[0]!)), flags);
    },
  });
const deleting = (about: string, path: string) =>
  acting(about, (client, id) => client.text('DELETE', `/api/v1/users/${id}${path}`));
const posting = (about: string, path: string) =>
  acting(about, async (client, id) => {
    await client.text('POST', `/api/v1/users/${id}${path}`);
    return '';
  });

/** `user …`: the people who sign in. Links are printed once. */
export const USER: Group = {
  about: 'People who sign in.',
  commands: {
    list: command({ about: 'lists people and their roles', flags: SERVER, run: listPeople }),
    add: command({
      ...{ about: 'adds a person; prints a link that signs in once', args: '<e-mail>', flags: ADD },
      run: add,
    }),
    link: command({
      ...{ about: 'prints a new link that signs in once', args: '<e-mail>', flags: SERVER },
      async run({ args, flags }, environment) {
        const client = clientOf(flags, environment);
        const link = await linkOf(client, await idOf(client, args[0]!), urlOf(flags, environment));
        print(flags.json, link, linesOf);
        return 0;
      },
    }),
    change: command({
      ...{ about: 'changes a person; all roles are given anew', args: '<e-mail>', flags: CHANGE },
      run: change,
    }),
    remove: deleting('removes a person', ''),
    suspend: posting('signs a person out, and refuses them until they are resumed', '/suspend'),
    resume: posting('lets a suspended person sign in again', '/resume'),
    'sign-out': deleting('ends all sessions of a person', '/sessions'),
    'reset-totp': deleting('removes the authenticator of a person', '/totp'),
  },
};

async function listPeople({ flags }: Asking, environment: NodeJS.ProcessEnv): Promise<number> {
  const row = ({ id, name, email, roles, suspendedAt }: Person) => [
    ...[id, email, name, roles.map(roleText).join(', ')],
    suspendedAt === null ? '' : 'suspended',
  ];
  const head = ['id', 'e-mail', 'name', 'roles', ''];
  print(flags.json, await people(clientOf(flags, environment)), (all) => table([head, ...all.map(row)]));
  return 0;
}

async function add({ args, flags }: Given<typeof ADD>, environment: NodeJS.ProcessEnv): Promise<number> {
  const { name, role, language } = flags;
  const client = clientOf(flags, environment);
  const body = { email: args[0], name, roles: role.map(grantOf), language };
  const person = await client.json<Person>('POST', '/api/v1/users', body);
  const link = await linkOf(client, person.id, urlOf(flags, environment));
  print(flags.json, { ...person, link }, ({ id }) => [`${id} was added.`, ...linesOf(link)]);
  return 0;
}

async function change({ args, flags }: Given<typeof CHANGE>, environment: NodeJS.ProcessEnv): Promise<number> {
  const { name, email, role, language } = flags;
  const body = changesOf('user change', { email, name, roles: role?.map(grantOf), language });
  const client = clientOf(flags, environment);
  return printResponse(await client.text('PATCH', `/api/v1/users/${await idOf(client, args[0]!)}`, body), flags);
}

interface Link {
  readonly url: string;
  /** When it ends, ISO 8601. */
  readonly until: string;
}

/** Makes a link that signs a person in once. */
async function linkOf(client: Client, id: string, base: string): Promise<Link> {
  const { path, until } = await client.json<{ path: string; until: string }>('POST', `/api/v1/users/${id}/link`);
  return { url: `${base}${path}`, until };
}

const linesOf = ({ url, until }: Link) => [`This link signs in, once, until ${until}; then set a password:`, url];

/** Reads `operator@waste`, or `admin` for all departments. */
function grantOf(text: string): { role: string; department: string | null } {
  const [role, department = null] = text.split('@') as [string, string?];
  return { role, department };
}

const roleText = ({ role, department }: Person['roles'][number]) =>
  department === null ? role : `${role}@${department}`;

async function idOf(client: Client, email: string): Promise<string> {
  const person = await findPerson(client, email);
  if (person === null) throw new LamppostError('not-found', `there is no person with the address ${email}`);
  return person.id;
}

/** Returns the person who signs in with an address; null where there is none. */
export async function findPerson(client: Client, email: string): Promise<Person | null> {
  return (await people(client)).find((one) => one.email === email.trim().toLowerCase()) ?? null;
}

const people = (client: Client) => allOf<Person>(client, '/api/v1/users');

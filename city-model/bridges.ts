import { z } from 'zod';
import { type CityBridge, type CityProblem, unknownName } from '../domain/index.ts';
import { Id, strict } from './schema.ts';
import type { Source } from './source.ts';
import { unless } from './wording.ts';

const MOST_BRIDGES = 50;
const MOST_FILTERS = 64;
const LONGEST_TOPIC = 1_024;

/** Variables have one beginning, so that a folder cannot send others of the environment to a broker. */
const ENV = /^LAMPPOST_BRIDGE_[A-Z0-9_]+$/;
const FILE = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

const Place = z.union(
  [
    strict({ env: z.string().regex(ENV, 'a variable whose name begins with LAMPPOST_BRIDGE_') }),
    strict({ file: z.string().regex(FILE, 'the name of a file in the folder LAMPPOST_BRIDGE_SECRETS') }),
  ],
  { error: unless('no secret stands in the city folder: write { env: LAMPPOST_BRIDGE_… } or { file: … }') },
);
const Secret = Place.nullable().default(null);

const Filter = z
  .string()
  .min(1)
  .max(LONGEST_TOPIC)
  .superRefine((filter, context) => {
    const fault = filterFault(filter);
    if (fault !== null) context.addIssue(fault);
  });

/** MQTT 3.1.1 §4.7, 5 §4.8.2. */
function filterFault(filter: string): string | null {
  const shared = /^\$share\/([^/]*)(?:\/(.*))?$/s.exec(filter);
  if (filter.startsWith('$share') && (shared === null || !shared[1] || !shared[2]))
    return 'a shared subscription is $share/{group}/{filter}';
  if (shared !== null && /[+#]/.test(shared[1]!)) return 'a group has no wildcard';
  if (filter.includes('\u0000')) return 'a topic has no U+0000';
  const levels = (shared?.[2] ?? filter).split('/');
  const odd = levels.find((level, i) => {
    if (level === '#') return i < levels.length - 1;
    return level !== '+' && /[+#]/.test(level);
  });
  return odd === undefined ? null : `"${odd}": a wildcard is a whole level, and # is the last one`;
}

const Topic = z
  .string()
  .max(LONGEST_TOPIC)
  .refine((topic) => !/[+#]/.test(topic) && !topic.includes('\u0000'), 'the beginning of a topic has no wildcard');

const Subscription = strict(
  {
    topic: Filter,
    qos: z
      .number()
      .refine((qos) => qos === 0 || qos === 1, 'write 0 or 1; a message of QoS 2 comes with 1')
      .default(1),
    format: z.string().nullable().default(null),
    retained: z.boolean().default(false),
    remove: Topic.default(''),
    add: Topic.default(''),
  },
  { filter: 'unknown key; did you mean "topic"?' },
);

const Url = z
  .url({ protocol: /^mqtts?$/, error: 'must be mqtt://host:port or mqtts://host:port' })
  .refine(
    (url) => !/^mqtts?:\/\/[^/]*@/.test(url),
    'no credentials in the URL: write username, and password: { env: … }',
  );

const BridgeSchema = strict(
  {
    url: Url,
    protocol: z.enum(['3.1.1', '5'], { error: unless('write "3.1.1" or "5", in quotes') }).default('3.1.1'),
    key: z.string().min(1).max(200),
    client_id: z.string().min(1).max(256).nullable().default(null),
    username: z.string().min(1).max(1_024).nullable().default(null),
    password: Secret,
    tls: strict({ ca: Secret, cert: Secret, key: Secret, server_name: z.string().nullable().default(null) }).prefault(
      {},
    ),
    commands: z.boolean().default(false),
    keep_alive: z.number().int().min(5).max(3_600).default(30),
    subscribe: z.array(Subscription).min(1).max(MOST_FILTERS),
  },
  { topics: 'unknown key; did you mean "subscribe"?' },
).superRefine(({ url, tls, username, password }, context) => {
  const isSecure = url.startsWith('mqtts:');
  if (!isSecure && Object.values(tls).some((one) => one !== null))
    context.addIssue({ code: 'custom', path: ['tls'], message: 'needs an url of mqtts://' });
  if ((tls.cert === null) !== (tls.key === null))
    context.addIssue({ code: 'custom', path: ['tls'], message: 'cert and key belong together' });
  if (password !== null && username === null)
    context.addIssue({ code: 'custom', path: ['password'], message: 'needs a username' });
});

/** `bridges.yaml`. */
export const BridgesSchema = z
  .record(Id, BridgeSchema)
  .refine((bridges) => Object.keys(bridges).length <= MOST_BRIDGES, `at most ${MOST_BRIDGES} bridges`);
type Written = z.output<typeof BridgesSchema>;

/** Checks that formats are declared, and that no two bridges are one client of the same broker. */
export function checkBridges(
  bridges: Source,
  read: Written,
  formats: Readonly<Record<string, unknown>>,
  problems: CityProblem[],
): void {
  const clients = new Map<string, string>();
  for (const [id, { url, client_id, subscribe }] of Object.entries(read)) {
    for (const [i, { format }] of subscribe.entries()) {
      const fault = format === null ? null : unknownName('format', format, Object.keys(formats));
      if (fault !== null) problems.push(bridges.problem([id, 'subscribe', i, 'format'], fault));
    }
    const client = `${url} ${client_id ?? clientIdOf(id)}`;
    const other = clients.get(client);
    clients.set(client, id);
    if (other === undefined) continue;
    const message = `${other} has this client id at the same broker, and each would end the connection of the other`;
    problems.push(bridges.problem([id, 'client_id'], message));
  }
}

const clientIdOf = (id: string) => `lamppost-${id}`;

/** Returns the bridges of a file without mistakes. */
export function bridgesOf(read: Written): ReadonlyMap<string, CityBridge> {
  return new Map(
    Object.entries(read).map(([id, { protocol, client_id, tls, keep_alive, subscribe, ...bridge }]) => {
      const { server_name: serverName, ...pems } = tls;
      return [
        id,
        {
          ...bridge,
          id,
          protocol: protocol === '5' ? 5 : 4,
          clientId: client_id ?? clientIdOf(id),
          tls: { ...pems, serverName },
          keepAliveS: keep_alive,
          subscribe: subscribe.map(({ topic, qos, ...one }) => ({ ...one, qos: qos === 0 ? 0 : 1, filter: topic })),
        },
      ];
    }),
  );
}

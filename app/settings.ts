import { z } from 'zod';
import { faultOfLog, isClusterName } from '../cluster/index.ts';
import { createTrustedProxies } from '../limits/index.ts';

const KIB = 1024;
const MIB = KIB * KIB;

const port = z.coerce.number().int().min(0).max(65_535);
const whole = (fallback: number, least: number, most = Number.MAX_SAFE_INTEGER) =>
  z.coerce.number().int().min(least).max(most).default(fallback);
const bytes = (fallback: number) => whole(fallback, KIB);
const days = (fallback: number) => whole(fallback, 0, 36_500);
const name = () => z.string().refine(isClusterName, 'must be 1 to 64 letters, digits, - or _, such as node-1');

/** A URL of the web. `such` is one, for who writes another one. */
const web = (what: string, such: string) => z.url({ protocol: /^https?$/, error: `must be ${what}, such as ${such}` });

// Each description is a row of docs/settings.md, with links from there; up to its first `;`, `:` or `(` it is the help
// of `lamppost start`, too. `absent` says what counts where nothing is set and the schema has no default.

const Places = z.object({
  LAMPPOST_DATA: z
    .string()
    .min(1)
    .default('./data')
    .describe('the folder of all files; it becomes private to its owner'),
  LAMPPOST_CITY: z.string().min(1).default('./city').describe('the city folder'),
  LAMPPOST_ADMIN_KEY: z
    .string()
    .refine((key) => key === 'off' || key.length >= 32, 'must have 32 characters or more, or be off')
    .optional()
    .meta({
      absent: 'made at the start and shown once',
      description:
        "the admin's key, 32 characters or more; `off`: there is none, once a person or another key administers ([people](people.md))",
    }),
  LAMPPOST_SECRETS_KEY: z.string().min(32, 'must have 32 characters or more').optional().meta({
    absent: '`secrets.key` in the data folder, made at the first start',
    description: 'what secrets of webhooks are encrypted with, 32 characters or more ([security](security.md))',
  }),
  LAMPPOST_PUBLIC_URL: web('an http or https URL', 'https://lamppost.city.example')
    .transform((url) => url.replace(/\/+$/, ''))
    .optional()
    .meta({
      absent: '`http://localhost:HTTP_PORT`',
      description: 'where people reach the server, also behind a proxy; links in messages and of Open311 lead there',
    }),
  LAMPPOST_TRUSTED_PROXIES: z
    .string()
    .default('')
    .superRefine((text, context) => {
      try {
        createTrustedProxies(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: (error as Error).message });
      }
    })
    .describe(
      'proxies that are trusted: addresses and CIDRs, with commas between them ([mqtt](mqtt.md#behind-a-proxy))',
    ),
  LAMPPOST_MEMORY_MIB: z.coerce.number().int().min(512).optional().meta({
    absent: 'that of the machine or container',
    description: 'the memory that the server sizes itself for, MiB',
  }),
  LAMPPOST_CLOCK_WAIT_SECONDS: whole(120, 0, 86_400).describe(
    "seconds that a start goes on with the log's time where the wall clock is far from the newest record ([rule-engine](rule-engine.md#clocks))",
  ),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('what is logged: `fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`'),
});

/** Where the cluster is. */
export const Cluster = z.object({
  LAMPPOST_LOG: z
    .string()
    .superRefine((text, context) => {
      const message = faultOfLog(text);
      if (message !== null) context.addIssue({ code: 'custom', message });
    })
    .optional()
    .describe(
      'the NATS servers whose JetStream has the log: `nats://10.0.0.1:4222,nats://10.0.0.2:4222`; then `LAMPPOST_ADMIN_KEY` and `LAMPPOST_SECRETS_KEY` must be set, the same on every node',
    ),
  LAMPPOST_NODE: name().optional().meta({
    absent: 'the name of the machine',
    description: 'the name of this node, which no other one has',
  }),
  LAMPPOST_CLUSTER: name()
    .default('lamppost')
    .describe(
      'the name of the cluster: its stream, buckets and subjects begin with it; two that share NATS servers have two',
    ),
  LAMPPOST_LOG_REPLICAS: z.coerce.number().int().min(1).max(5).optional().meta({
    absent: '3, or as many as `LAMPPOST_LOG` names',
    description: 'on how many NATS servers each record is',
  }),
  NATS_CREDENTIALS: z
    .string()
    .min(1)
    .optional()
    .describe('a credentials file; or a user and a password in `LAMPPOST_LOG`'),
  NATS_CA: z.string().min(1).optional().describe('the authority of the NATS servers, a PEM file'),
  NATS_CERT: z.string().min(1).optional().describe("this node's certificate for NATS, a PEM file"),
  NATS_KEY: z.string().min(1).optional().describe('the key of `NATS_CERT`, a PEM file'),
  NATS_DOMAIN: z.string().min(1).optional().describe('the JetStream domain'),
});

const Mqtt = z.object({
  MQTT_HOST: z.string().default('0.0.0.0').describe('the address on which MQTT listens'),
  MQTT_PORT: z
    .union([z.literal('off'), port.default(1883)], 'must be a port from 0 to 65535, or off')
    .describe(
      'the port of MQTT; `off`: only over TLS, also over WebSocket, here or at a [trusted proxy](operate.md#tls)',
    ),
  MQTTS_PORT: port.optional().describe('the port of MQTT over TLS, with `TLS_CERT` and `TLS_KEY`'),
  TLS_CERT: z
    .string()
    .optional()
    .describe('the certificate of MQTT over TLS and HTTPS, a PEM file; read again on SIGHUP'),
  TLS_KEY: z.string().optional().describe('the key of `TLS_CERT`, a PEM file; read again on SIGHUP'),
  TLS_CLIENT_CA: z
    .string()
    .optional()
    .describe(
      'at `MQTTS_PORT`, only clients with a certificate of this authority, a PEM file; read again on SIGHUP; WebSocket asks for none',
    ),
  TLS_CLIENT_NAMES: z
    .stringbool()
    .default(false)
    .describe('whether a certificate of `TLS_CLIENT_CA` that names a device logs it in without a password'),
  MQTT_MAX_PACKET: bytes(256 * KIB).describe('the largest packet, bytes'),
  MQTT_MAX_CONNECTIONS: whole(20_000, 1).describe('MQTT connections in all; a quarter of them may be without a login'),
  MQTT_CONNECTIONS_PER_ADDRESS: whole(2_000, 10, 1_000_000).describe(
    'MQTT connections without a login from one address; so many new ones may come at once, and a tenth of it each second',
  ),
  MQTT_MESSAGES_PER_SECOND: z.coerce
    .number()
    .min(0)
    .default(10_000)
    .describe('packets of one device a second; of a network server ten times as many; `0`: no limit'),
  MQTT_BYTES_PER_SECOND: z.coerce
    .number()
    .min(0)
    .default(8 * MIB)
    .describe('bytes of one device a second; of a network server ten times as many; `0`: no limit'),
  MQTT_PROXY_PROTOCOL: z
    .stringbool()
    .default(true)
    .describe('whether trusted proxies begin each MQTT connection with a header of the PROXY protocol'),
  LAMPPOST_BRIDGE_SECRETS: z
    .string()
    .min(1)
    .optional()
    .describe(
      'the folder of the secrets that `bridges.yaml` names as files; those in the environment have names that begin with `LAMPPOST_BRIDGE_` ([mqtt](mqtt.md#bridges))',
    ),
  MQTT_SESSION_DAYS: whole(7, 1, 3_650).describe('days without a connection after which a kept session ends'),
  MQTT_QUEUE_MESSAGES: whole(10_000, 1, 1_000_000).describe(
    'how many messages wait for one session; beyond it the oldest are dropped',
  ),
  MQTT_QUEUE_BYTES: bytes(16 * MIB).describe('how many bytes wait for one session; beyond it the oldest are dropped'),
  MQTT_SESSIONS_PER_KEY: whole(100, 1, 100_000).describe(
    'kept sessions of one key; beyond it the session that was away longest ends',
  ),
});

const Http = z.object({
  HTTP_HOST: z.string().default('0.0.0.0').describe('the address on which HTTP and MQTT over WebSocket listen'),
  HTTP_PORT: port.default(8080).describe('the port of HTTP and MQTT over WebSocket'),
  HTTPS_PORT: port
    .optional()
    .describe('the port of HTTP and MQTT over WebSocket over TLS, with `TLS_CERT` and `TLS_KEY`'),
  HTTP_REDIRECT: z
    .stringbool()
    .default(false)
    .describe(
      'whether requests without TLS are sent to `LAMPPOST_PUBLIC_URL`; that must begin with `https:` then; `/health` and `/ready` are served, and MQTT over WebSocket without TLS is refused',
    ),
  HTTP_MAX_CONNECTIONS: whole(10_000, 10, 1_000_000).describe(
    'HTTP connections in all; a fifth of them only for those with a key',
  ),
  HTTP_CONNECTIONS_PER_HOLDER: whole(1_000, 1, 1_000_000).describe('HTTP connections of one address, or of one key'),
  HTTP_REQUESTS_PER_SECOND: z.coerce
    .number()
    .min(0)
    .max(1_000_000)
    .default(200)
    .describe(
      "requests of one key or device a second; of an admin's key five times as many; ten seconds' may come at once; `0`: no limit",
    ),
  HTTP_REQUEST_SECONDS: whole(60, 1, 3_600).describe('seconds that a client may take to send a request'),
  HTTP_QUERY_SECONDS: whole(30, 1, 3_600).describe(
    'seconds that a query of the history may run; exports and backtests 20 times as long',
  ),
  HTTP_QUERY_POINTS: whole(100_000, 1_000).describe(
    'points of the history that a key may read a second; after a pause, those of 100 seconds may come at once',
  ),
  LAMPPOST_SESSION_HOURS: z.coerce
    .number()
    .min(0.01)
    .max(720)
    .default(12)
    .describe('hours without a request after which a person is signed out ([people](people.md))'),
  OIDC_ISSUER: web('the URL of a provider', 'https://login.city.example')
    .optional()
    .describe('the OpenID Connect provider at which people sign in: https, or http on this machine'),
  OIDC_CLIENT_ID: z.string().min(1).optional().describe('the name under which the provider knows Lamppost'),
  OIDC_CLIENT_SECRET: z.string().min(1).optional().describe('the secret that goes with `OIDC_CLIENT_ID`'),
  OIDC_CLAIM: z.string().min(1).default('groups').describe('the claim whose values give roles'),
  OIDC_ROLES: z
    .string()
    .default('')
    .describe(
      'values of the claim and the roles that they give: `value=role` or `value=role@department`, with commas between them',
    ),
});

const Kept = z.object({
  LAMPPOST_JOURNAL_MAX_BYTES: bytes(8_192 * MIB).describe('bytes of the journal; beyond it publishers wait'),
  LAMPPOST_JOURNAL_RETENTION_MS: whole(3_600_000, 0).describe(
    'milliseconds that the journal keeps what every consumer has; with `LAMPPOST_BACKUP_DIR` until a good backup has it ([backup](backup.md))',
  ),
  LAMPPOST_HISTORY_DAYS: days(0).describe(
    'days that raw readings are kept; hourly and daily aggregates stay; `0`: for ever',
  ),
  LAMPPOST_QUARANTINE_DAYS: days(30).describe('days that refused messages are kept, for a fix and a replay'),
  LAMPPOST_QUARANTINE_MAX_BYTES: bytes(1_024 * MIB).describe(
    'bytes of refused messages in all; beyond it the oldest of the device with the most are dropped ([formats](formats.md))',
  ),
  LAMPPOST_QUARANTINE_DEVICE_BYTES: bytes(16 * MIB).describe(
    'bytes of refused messages of one device; beyond it its oldest are dropped',
  ),
  LAMPPOST_BACKUP_DIR: z
    .string()
    .min(1)
    .optional()
    .describe('the folder of all backups, nightly and on request; without it there are none ([backup](backup.md))'),
  LAMPPOST_BACKUP_KEEP: whole(7, 1).describe('how many nightly backups are kept'),
  LAMPPOST_DELIVERY_DAYS: whole(14, 1, 3_650).describe('days that the log of deliveries to webhooks is kept'),
  LAMPPOST_AUDIT_DAYS: whole(1_095, 1, 36_500).describe('days that entries of the audit trail are kept'),
  LAMPPOST_REPORTER_DAYS: days(90).describe(
    'days that names and contacts of reporters are kept after their ticket closed',
  ),
});

const Citizens = z.object({
  LAMPPOST_SAME_METRES: z.coerce
    .number()
    .min(0)
    .max(10_000)
    .default(100)
    .describe("how near to an open ticket of the same service a citizen's request joins it, metres; `0`: none does"),
  LAMPPOST_REQUESTS_PER_MINUTE: whole(120, 0).describe(
    "citizens' requests of one address with one key in a minute; a quarter of them of one `device_id` or `account_id`; ten times as many with the key altogether; `0`: no limit ([open311](open311.md))",
  ),
  WEBHOOK_ALLOW_PRIVATE: z
    .stringbool()
    .default(false)
    .describe('whether webhooks may go to private, loopback and link-local addresses'),
  SMTP_URL: z
    .url({
      protocol: /^smtps?$/,
      error: 'must be the URL of a mail server, such as smtp://user:password@mail.example:587',
    })
    .optional()
    .describe('the mail server; options of nodemailer may follow a `?` ([notifications](notifications.md))'),
  SMTP_FROM: z
    .string()
    .regex(
      /^([^<>\r\n]*<[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)$/,
      'must be an address, such as "Lamppost <lamppost@city.example>"',
    )
    .optional()
    .describe('the sender of mail: `Lamppost <lamppost@city.example>`; needed with `SMTP_URL`'),
  SMS_URL: web('the URL of a gateway', 'https://sms.city.example/send')
    .optional()
    .describe(
      'the gateway that sends citizens SMS; it gets each as a signed webhook ([open311](open311.md#replies-to-citizens))',
    ),
  SMS_SECRET: z
    .string()
    .regex(/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/, 'must be whsec_ and 24 bytes or more in base64')
    .optional()
    .describe('what requests to `SMS_URL` are signed with: `whsec_` and 24 bytes or more in base64'),
});

const Influx = z.object({
  INFLUX_URL: web('the URL of an InfluxDB', 'http://127.0.0.1:8086').optional().meta({
    absent: 'none: the embedded history',
    description: 'the InfluxDB that is the history ([influxdb](influxdb.md))',
  }),
  INFLUX_API: z.enum(['v2', 'v1']).default('v2').describe('the API of the InfluxDB: `v2` or `v1`'),
  INFLUX_TOKEN: z
    .string()
    .default('')
    .describe('the token of the InfluxDB; for `v1` `user:password`, or nothing where the server asks for none'),
  INFLUX_ORG: z.string().default('').describe('the organisation in the InfluxDB, for `v2`'),
  INFLUX_BUCKET: z.string().min(1).default('lamppost').describe('the bucket in the InfluxDB; for `v1` the database'),
});

/** The settings by the headings of docs/settings.md. */
const SECTIONS: Readonly<Record<string, z.ZodObject>> = {
  'Where things are': Places,
  'Several machines': Cluster,
  MQTT: Mqtt,
  HTTP: Http,
  'What is kept': Kept,
  'Citizens and notifications': Citizens,
  'InfluxDB as history': Influx,
};

/** All settings, by the names of their variables. */
export const Settings = z.object({
  ...{ ...Places.shape, ...Cluster.shape, ...Mqtt.shape, ...Http.shape },
  ...{ ...Kept.shape, ...Citizens.shape, ...Influx.shape },
});

/** The names of all settings. */
export const SETTINGS: readonly string[] = Object.keys(Settings.shape);

/** Returns what each setting is, in a few words of plain text, by its name. */
export function settingWords(): Readonly<Record<string, string>> {
  const words = ({ description = '' }: z.ZodType) => description.split(/;|: | \(/)[0]!.replaceAll('`', '');
  return Object.fromEntries(Object.entries(Settings.shape).map(([setting, schema]) => [setting, words(schema)]));
}

const UNITS = ['', ' KiB', ' MiB', ' GiB'];

/** A default as the page shows it. Numbers that 1024 divides are bytes. */
function shown(value: unknown, power = 0): string {
  if (value === undefined || value === '') return 'none';
  if (typeof value !== 'number') return `\`${value}\``;
  const isWhole = value % KIB === 0 && value > 0 && power < UNITS.length - 1;
  return isWhole ? shown(value / KIB, power + 1) : `${value}${UNITS[power]}`;
}

function tableOf({ shape }: z.ZodObject): string {
  const rows = Object.entries(shape).map(([setting, schema]) => {
    const { absent, description } = schema.meta() as { absent?: string; description: string };
    return `| \`${setting}\` | ${absent ?? shown(schema.parse(undefined))} | ${description} |`;
  });
  return ['| setting | default | |', '| --- | --- | --- |', ...rows].join('\n');
}

const TABLE = /^\|.*(?:\n\|.*)*/m;

/** Returns docs/settings.md with the tables of the settings as they are; throws where a section has no table there. */
export function pageOf(page: string): string {
  return Object.entries(SECTIONS).reduce((text, [title, section]) => {
    const [before, part, ...more] = text.split(`\n## ${title}\n`);
    if (part === undefined || more.length > 0 || !TABLE.test(part.split('\n## ')[0]!))
      throw new Error(`docs/settings.md needs a heading "## ${title}" and a table below it`);
    return `${before}\n## ${title}\n${part.replace(TABLE, () => tableOf(section))}`;
  }, page);
}

import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { LamppostError } from './domain/index.ts';

const port = (fallback: number) => z.coerce.number().int().min(0).max(65_535).default(fallback);
const bytes = (fallback: number) => z.coerce.number().int().min(1_024).default(fallback);

const MIB = 1024 * 1024;

const Settings = z.object({
  LAMPPOST_DATA: z.string().min(1).default('./data'),
  LAMPPOST_CITY: z.string().min(1).default('./city'),
  LAMPPOST_ADMIN_KEY: z.string().min(32, 'must have 32 characters or more').optional(),
  /** Bound of the journal on disk. */
  LAMPPOST_JOURNAL_MAX_BYTES: bytes(8_192 * MIB),
  /** How long the journal keeps what every consumer has taken. */
  LAMPPOST_JOURNAL_RETENTION_MS: z.coerce.number().int().min(0).default(3_600_000),
  MQTT_HOST: z.string().default('0.0.0.0'),
  MQTT_PORT: port(1883),
  MQTT_MAX_PACKET: bytes(256 * 1024),
  MQTT_MAX_CONNECTIONS: z.coerce.number().int().min(1).default(20_000),
  MQTTS_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  TLS_CERT: z.string().optional(),
  TLS_KEY: z.string().optional(),
  TLS_CLIENT_CA: z.string().optional(),
  HTTP_HOST: z.string().default('0.0.0.0'),
  HTTP_PORT: port(8080),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

/** Settings of the process, read once and frozen. */
export interface Config {
  readonly data: string;
  readonly city: string;
  readonly adminKey: string | null;
  readonly journal: { readonly maxBytes: number; readonly retentionMs: number };
  readonly mqtt: {
    readonly host: string;
    readonly port: number;
    readonly maxPacket: number;
    readonly maxConnections: number;
    readonly tls: { port: number; cert: string; key: string; clientCa: string | null } | null;
  };
  readonly http: { readonly host: string; readonly port: number };
  readonly logLevel: string;
}

/** Reads the settings from flags (`--mqtt-port 1884` is MQTT_PORT) over the environment. Throws `config`, listing every problem. */
export function readConfig(environment: NodeJS.ProcessEnv = process.env, flags: Record<string, string> = {}): Config {
  const parsed = Settings.safeParse({ ...environment, ...flags });
  const problems = parsed.success
    ? []
    : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  const influx = Object.keys({ ...environment, ...flags }).filter((name) => name === 'INFLUX_URL');
  if (influx.length > 0)
    problems.push('INFLUX_URL: InfluxDB as history is not supported yet; unset it to use the embedded history');
  const tls = parsed.success ? readTls(parsed.data, problems) : null;
  if (!parsed.success || problems.length > 0) throw new LamppostError('config', `settings: ${problems.join('; ')}`);
  const s = parsed.data;
  return Object.freeze({
    data: s.LAMPPOST_DATA,
    city: s.LAMPPOST_CITY,
    adminKey: s.LAMPPOST_ADMIN_KEY ?? null,
    journal: { maxBytes: s.LAMPPOST_JOURNAL_MAX_BYTES, retentionMs: s.LAMPPOST_JOURNAL_RETENTION_MS },
    mqtt: {
      host: s.MQTT_HOST,
      port: s.MQTT_PORT,
      maxPacket: s.MQTT_MAX_PACKET,
      maxConnections: s.MQTT_MAX_CONNECTIONS,
      tls,
    },
    http: { host: s.HTTP_HOST, port: s.HTTP_PORT },
    logLevel: s.LOG_LEVEL,
  });
}

function readTls(s: z.infer<typeof Settings>, problems: string[]): Config['mqtt']['tls'] {
  if (s.MQTTS_PORT === undefined) return null;
  const read = (name: 'TLS_CERT' | 'TLS_KEY' | 'TLS_CLIENT_CA'): string => {
    const path = s[name];
    if (path === undefined) {
      problems.push(`${name}: must name a PEM file where MQTTS_PORT is set`);
      return '';
    }
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      problems.push(`${name}: ${(error as Error).message}`);
      return '';
    }
  };
  const clientCa = s.TLS_CLIENT_CA === undefined ? null : read('TLS_CLIENT_CA');
  return { port: s.MQTTS_PORT, cert: read('TLS_CERT'), key: read('TLS_KEY'), clientCa };
}

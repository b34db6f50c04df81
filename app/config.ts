import { readFileSync, statSync } from 'node:fs';
import { totalmem } from 'node:os';
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { z } from 'zod';
import { EDGE, type EdgeOptions } from '../api/index.ts';
import { type ClusterSettings, clusterSettings } from '../cluster/index.ts';
import { HOUR_MS, LamppostError, suggest, wordingOf } from '../domain/index.ts';
import type { InfluxSettings } from '../history/index.ts';
import { createTrustedProxies } from '../limits/index.ts';
import { readOidc } from './oidc-settings.ts';
import { Cluster, SETTINGS, Settings } from './settings.ts';

const MIB = 1024 * 1024;

/** What strangers and keys may use of HTTP, where a setting says it. */
function edgeOf(s: z.infer<typeof Settings>): Partial<EdgeOptions> {
  const [total, perSecond] = [s.HTTP_MAX_CONNECTIONS, s.HTTP_REQUESTS_PER_SECOND];
  return {
    proxies: createTrustedProxies(s.LAMPPOST_TRUSTED_PROXIES),
    connections: { total, perHolder: s.HTTP_CONNECTIONS_PER_HOLDER, reserve: Math.floor(total / 5) },
    timeouts: { ...EDGE.timeouts, requestMs: s.HTTP_REQUEST_SECONDS * 1_000 },
    requests: perSecond === 0 ? null : { perSecond, burst: Math.max(1, perSecond * 10) },
    https: s.LAMPPOST_PUBLIC_URL?.startsWith('https:') ?? false,
    redirect: s.HTTP_REDIRECT ? s.LAMPPOST_PUBLIC_URL! : null,
    mqttNeedsTls: s.MQTT_PORT === 'off',
    publicOrigin: s.LAMPPOST_PUBLIC_URL === undefined ? null : new URL(s.LAMPPOST_PUBLIC_URL).origin,
  };
}

/** What a machine that is alone makes by itself. */
const SAME_EVERYWHERE = ['LAMPPOST_ADMIN_KEY', 'LAMPPOST_SECRETS_KEY'] as const;

/**
 * Reads only the settings that say where the cluster is, for who looks at it from outside; null where the log is a file
 * of this machine. Throws `config`.
 */
export function readCluster(environment: NodeJS.ProcessEnv, flags: Record<string, string> = {}) {
  const parsed = Cluster.safeParse({ ...written(environment), ...flags }, { error: wordingOf });
  const problems = (parsed.error?.issues ?? []).map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  const unknown = Object.keys(flags).filter((name) => !SETTINGS.includes(name));
  for (const name of unknown) problems.push(`${name}: there is no such setting${suggest(name, SETTINGS)}`);
  if (!parsed.success || problems.length > 0) throw new LamppostError('config', `settings: ${problems.join('; ')}`);
  return clusterOf(parsed.data);
}

/** Null where the log is a file of this machine. */
function clusterOf(s: z.infer<typeof Cluster>): ClusterSettings | null {
  if (s.LAMPPOST_LOG === undefined) return null;
  const [log, node, name, replicas] = [s.LAMPPOST_LOG, s.LAMPPOST_NODE, s.LAMPPOST_CLUSTER, s.LAMPPOST_LOG_REPLICAS];
  const files = { credentials: s.NATS_CREDENTIALS, ca: s.NATS_CA, cert: s.NATS_CERT, key: s.NATS_KEY };
  return clusterSettings({ log, node, name, replicas, ...files, domain: s.NATS_DOMAIN });
}

/** The variables that say something: an empty one, such as `HTTP_PORT=` of an env file, counts as absent. */
const written = (environment: NodeJS.ProcessEnv) =>
  Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));

/** Of the command line, of bridges, of compose files and of their nats-servers. */
const NO_SETTINGS = /^LAMPPOST_(URL|KEY|BIND|BACKUPS|HOSTNAME|NATS_PASSWORD|BRIDGE_.+)$/;
/** The variables of others have names of their own: only what is very close is a mistake. */
const CLOSE = 4;

/** Returns the variables that nobody reads and that look like a setting, each with the name that was meant. */
export function misspelt(environment: NodeJS.ProcessEnv): string[] {
  return Object.keys(environment).flatMap((name) => {
    if (SETTINGS.includes(name) || NO_SETTINGS.test(name)) return [];
    const meant = suggest(name, SETTINGS, CLOSE);
    return meant !== '' || name.startsWith('LAMPPOST_') ? [`${name} is no setting${meant}`] : [];
  });
}

/** Settings of the process, read once and frozen; handed out in slices. */
export type Config = ReturnType<typeof readConfig>;

/**
 * Reads the settings from flags (`--mqtt-port 1884` is MQTT_PORT) over the environment. Throws `config`, listing every
 * problem.
 */
export function readConfig(environment: NodeJS.ProcessEnv, flags: Record<string, string> = {}) {
  const given = { ...written(environment), ...flags };
  const parsed = Settings.safeParse(given, { error: wordingOf });
  const problems = parsed.success
    ? []
    : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  const unknown = Object.keys(flags).filter((name) => !SETTINGS.includes(name));
  for (const name of unknown) problems.push(`${name}: there is no such setting${suggest(name, SETTINGS)}`);
  const backups = given.LAMPPOST_BACKUP_DIR;
  if (backups !== undefined && !statSync(backups, { throwIfNoEntry: false })?.isDirectory())
    problems.push(`LAMPPOST_BACKUP_DIR: there is no folder ${backups}`);
  if (given.SMTP_URL !== undefined && given.SMTP_FROM === undefined) {
    problems.push('SMTP_FROM: must name the sender of mail where SMTP_URL is set');
  }
  if (given.SMS_URL !== undefined && given.SMS_SECRET === undefined)
    problems.push(
      'SMS_SECRET: must be what requests to SMS_URL are signed with, such as whsec_ and 32 bytes in base64',
    );
  if (parsed.data?.HTTP_REDIRECT && !given.LAMPPOST_PUBLIC_URL?.startsWith('https:'))
    problems.push('LAMPPOST_PUBLIC_URL: must be the https URL that people are sent to where HTTP_REDIRECT is set');
  for (const name of given.LAMPPOST_LOG === undefined ? [] : SAME_EVERYWHERE)
    if (given[name] === undefined) problems.push(`${name}: must be set where LAMPPOST_LOG is, the same on every node`);
  const certificates = certificatesOf(given, problems);
  const tls = readTls(certificates, problems);
  if (parsed.data?.TLS_CLIENT_NAMES && (tls?.clientCa ?? null) === null)
    problems.push('TLS_CLIENT_NAMES: needs TLS_CLIENT_CA, the authority whose certificates are believed');
  const oidc = parsed.success ? oidcOf(parsed.data, problems) : null;
  if (!parsed.success || problems.length > 0) throw new LamppostError('config', `settings: ${problems.join('; ')}`);
  const s = parsed.data;
  return Object.freeze({
    data: s.LAMPPOST_DATA,
    city: s.LAMPPOST_CITY,
    /** Null where none is set, or where it is switched off. */
    adminKey: s.LAMPPOST_ADMIN_KEY === 'off' ? null : (s.LAMPPOST_ADMIN_KEY ?? null),
    adminKeyOff: s.LAMPPOST_ADMIN_KEY === 'off',
    /** What secrets of webhooks are sealed with; null: the key file of the data folder. */
    secretsKey: s.LAMPPOST_SECRETS_KEY ?? null,
    cluster: clusterOf(s),
    journal: { maxBytes: s.LAMPPOST_JOURNAL_MAX_BYTES, retentionMs: s.LAMPPOST_JOURNAL_RETENTION_MS },
    /** How long a start does not believe a wall clock that is far from the newest record, ms. */
    clockWaitMs: s.LAMPPOST_CLOCK_WAIT_SECONDS * 1_000,
    /** Where nightly backups go, an absolute path (null: there are none), and how many of them stay. */
    backup: {
      dir: s.LAMPPOST_BACKUP_DIR === undefined ? null : resolve(s.LAMPPOST_BACKUP_DIR),
      keep: s.LAMPPOST_BACKUP_KEEP,
    },
    /** Days that raw readings (0: without limit), refused messages and the log of deliveries are kept. */
    keep: {
      historyDays: s.LAMPPOST_HISTORY_DAYS,
      quarantineDays: s.LAMPPOST_QUARANTINE_DAYS,
      deliveryDays: s.LAMPPOST_DELIVERY_DAYS,
      auditDays: s.LAMPPOST_AUDIT_DAYS,
    },
    quarantine: { bytes: s.LAMPPOST_QUARANTINE_MAX_BYTES, holderBytes: s.LAMPPOST_QUARANTINE_DEVICE_BYTES },
    /** Where people reach this Lamppost, without a slash at the end. */
    publicUrl: publicUrlOf(s),
    /** The mail server; null where none is set. */
    smtp: s.SMTP_URL === undefined ? null : { url: s.SMTP_URL, from: s.SMTP_FROM! },
    /** The gateway for SMS; null where none is set. */
    sms: s.SMS_URL === undefined ? null : { url: s.SMS_URL, secret: s.SMS_SECRET! },
    people: { idleMs: s.LAMPPOST_SESSION_HOURS * HOUR_MS, oidc },
    webhooks: { allowPrivate: s.WEBHOOK_ALLOW_PRIVATE },
    citizens: {
      reporterDays: s.LAMPPOST_REPORTER_DAYS,
      sameWithinM: s.LAMPPOST_SAME_METRES,
      requestsPerMinute: s.LAMPPOST_REQUESTS_PER_MINUTE,
      publicUrl: s.LAMPPOST_PUBLIC_URL ?? null,
    },
    mqtt: {
      host: s.MQTT_HOST,
      /** Null where it is switched off. */
      port: s.MQTT_PORT === 'off' ? null : s.MQTT_PORT,
      maxPacket: s.MQTT_MAX_PACKET,
      maxConnections: s.MQTT_MAX_CONNECTIONS,
      /** What one device may send; 0: no limit. */
      sends: { messagesPerSecond: s.MQTT_MESSAGES_PER_SECOND, bytesPerSecond: s.MQTT_BYTES_PER_SECOND },
      maxPerAddress: s.MQTT_CONNECTIONS_PER_ADDRESS,
      /** The trusted proxies that speak the PROXY protocol. */
      proxies: s.MQTT_PROXY_PROTOCOL ? s.LAMPPOST_TRUSTED_PROXIES : '',
      /** Bounds of kept sessions. */
      sessions: {
        days: s.MQTT_SESSION_DAYS,
        messages: s.MQTT_QUEUE_MESSAGES,
        bytes: s.MQTT_QUEUE_BYTES,
        perUser: s.MQTT_SESSIONS_PER_KEY,
      },
      tls:
        tls === null || s.MQTTS_PORT === undefined
          ? null
          : { ...tls, port: s.MQTTS_PORT, clientNames: s.TLS_CLIENT_NAMES },
    },
    /** Where `bridges.yaml` finds its secrets. */
    bridges: {
      folder: s.LAMPPOST_BRIDGE_SECRETS === undefined ? null : resolve(s.LAMPPOST_BRIDGE_SECRETS),
      variables: bridgeVariables(environment),
    },
    http: {
      host: s.HTTP_HOST,
      port: s.HTTP_PORT,
      edge: edgeOf(s),
      tls: tls === null || s.HTTPS_PORT === undefined ? null : { cert: tls.cert, key: tls.key, port: s.HTTPS_PORT },
      queries: {
        seconds: s.HTTP_QUERY_SECONDS,
        points: { perSecond: s.HTTP_QUERY_POINTS, burst: 100 * s.HTTP_QUERY_POINTS },
        // All the time of one query, and four of the longest at once.
        work: { perSecond: 1, burst: 4 * s.HTTP_QUERY_SECONDS },
      },
    },
    /** The files of certificates, to read them again; null where nothing listens with TLS. */
    certificates: tls === null ? null : certificates,
    /** The InfluxDB that is the history; null for the embedded one. */
    influx: influxOf(s),
    memory: memoryOf(s.LAMPPOST_MEMORY_MIB ?? machineMiB()),
    logLevel: s.LOG_LEVEL,
  });
}

/**
 * Returns the bounds of memory under load, MiB: V8's young generations in the two threads where every message is
 * garbage a moment later, and DuckDB's limit. From 8 GiB on they are those of the benchmark; below, they shrink down to
 * those of 1 GiB.
 */
function memoryOf(machine: number) {
  const share = (part: number, least: number, most: number) =>
    Math.round(Math.min(most, Math.max(least, machine * part)));
  return {
    engineYoungMiB: share(1 / 64, 16, 128),
    brokerYoungMiB: share(3 / 128, 24, 192),
    duckdb: { memoryMiB: share(1 / 256, 64, 128), walMiB: share(1 / 256, 8, 16) },
  };
}

/** Secrets of bridges in the environment, by the names of their variables. */
function bridgeVariables(environment: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  const named = Object.entries(environment).filter(([name]) => name.startsWith('LAMPPOST_BRIDGE_'));
  return Object.fromEntries(named.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

/** The memory of the machine, or of its container. */
const machineMiB = () => Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY) / MIB;

const publicUrlOf = (s: z.infer<typeof Settings>) => s.LAMPPOST_PUBLIC_URL ?? `http://localhost:${s.HTTP_PORT}`;

function oidcOf(s: z.infer<typeof Settings>, problems: string[]) {
  const provider = { issuer: s.OIDC_ISSUER, clientId: s.OIDC_CLIENT_ID, clientSecret: s.OIDC_CLIENT_SECRET };
  return readOidc({ ...provider, claim: s.OIDC_CLAIM, roles: s.OIDC_ROLES, publicUrl: publicUrlOf(s) }, problems);
}

export type Pems = { readonly cert: string; readonly key: string; readonly clientCa: string | null };

function influxOf(s: z.infer<typeof Settings>): InfluxSettings | null {
  if (s.INFLUX_URL === undefined) return null;
  return {
    url: s.INFLUX_URL,
    token: s.INFLUX_TOKEN,
    org: s.INFLUX_ORG,
    bucket: s.INFLUX_BUCKET,
    api: s.INFLUX_API,
  };
}

/** Paths of PEM files. */
interface CertificateFiles {
  readonly TLS_CERT: string;
  readonly TLS_KEY: string;
  readonly TLS_CLIENT_CA: string | null;
}

/** Returns the files of the certificates; null where nothing listens with TLS. */
function certificatesOf(given: NodeJS.ProcessEnv, problems: string[]): CertificateFiles | null {
  const needs = ['MQTTS_PORT', 'HTTPS_PORT'].filter((name) => given[name] !== undefined);
  if (needs.length === 0) return null;
  const path = (name: 'TLS_CERT' | 'TLS_KEY') => {
    if (given[name] === undefined) problems.push(`${name}: must name a PEM file where ${needs.join(' or ')} is set`);
    return given[name] ?? '';
  };
  return { TLS_CERT: path('TLS_CERT'), TLS_KEY: path('TLS_KEY'), TLS_CLIENT_CA: given.TLS_CLIENT_CA ?? null };
}

function readTls(files: CertificateFiles | null, problems: string[]): Pems | null {
  if (files === null) return null;
  const before = problems.length;
  const read = (name: keyof CertificateFiles): string => {
    try {
      return files[name] ? readFileSync(files[name], 'utf8') : '';
    } catch (error) {
      problems.push(`${name}: ${(error as Error).message}`);
      return '';
    }
  };
  const clientCa = files.TLS_CLIENT_CA === null ? null : read('TLS_CLIENT_CA');
  const pems = { cert: read('TLS_CERT'), key: read('TLS_KEY'), clientCa };
  if (problems.length === before && pems.cert !== '') checkPems(pems, problems);
  return pems;
}

/** Reads the certificates again. Throws `config` where a file cannot be read, or they do not match. */
export function readCertificates(files: CertificateFiles): Pems {
  const problems: string[] = [];
  const pems = readTls(files, problems);
  if (problems.length > 0 || pems === null) throw new LamppostError('config', `certificates: ${problems.join('; ')}`);
  return pems;
}

function checkPems({ cert, key, clientCa }: Pems, problems: string[]): void {
  try {
    createSecureContext({ cert, key, ...(clientCa === null ? {} : { ca: clientCa }) });
  } catch (error) {
    problems.push(`TLS_CERT, TLS_KEY, TLS_CLIENT_CA: they do not match: ${(error as Error).message}`);
  }
}

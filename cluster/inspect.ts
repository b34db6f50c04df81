import type { StreamInfo } from '@nats-io/jetstream';
import { z } from 'zod';
import { LamppostError, MINUTE_MS, SECOND_MS } from '../domain/index.ts';
import { connectTo } from './connection.ts';
import type { ClusterSettings } from './settings.ts';
import { streamInfo } from './stream.ts';

const NANOS = 1_000_000;
/** NATS says durations in nanoseconds. */
const msOf = (nanos: number) => Math.floor(nanos / NANOS);

/** One thing about NATS that was looked at: a sentence, and whether that is well. */
export interface ClusterFinding {
  readonly well: boolean;
  readonly said: string;
}

/** What is known of one NATS server. */
export interface SeenServer {
  readonly url: string;
  /** Why it cannot be reached; null where it can. */
  readonly fault: string | null;
  readonly version: string;
  readonly hasJetStream: boolean;
  readonly maxPayload: number;
  /** How long what it acknowledged may wait for its disk, ms; null: its monitoring port does not say it. */
  readonly syncMs: number | null;
}

/** What of the stream is looked at. */
export type SeenStream = Pick<StreamInfo, 'config' | 'cluster'>;

const MONITOR_PORT = 8222;
const MONITOR_MS = 1_500;
/** From this version on `sync_interval` can be `always`, and the monitoring port says it. */
const SAYS_SYNC = [2, 10] as const;
const DEFAULT_SYNC_MS = 2 * MINUTE_MS;
const LEAST_PAYLOAD = 1_024 ** 2;
const LEAST_WINDOW_MS = 2 * MINUTE_MS;

/** Looks at the servers and the stream of the settings: what `doctor` says. Throws nothing but bugs. */
export async function inspectCluster(
  settings: ClusterSettings,
  monitorOf: (url: string) => string = monitorUrl,
): Promise<ClusterFinding[]> {
  const servers = await Promise.all(settings.servers.map((url) => look(settings, url, monitorOf(url))));
  const reached = servers.filter(({ fault }) => fault === null);
  if (reached.length === 0) return findingsOf(settings, servers, null);
  try {
    const connection = await connectTo({ ...settings, servers: reached.map(({ url }) => url) }, 'doctor');
    const stream = await streamInfo(connection, settings).finally(() => connection.close());
    return findingsOf(settings, servers, stream);
  } catch (error) {
    if (!(error instanceof LamppostError)) throw error;
    return [...findingsOf(settings, servers, null), { well: false, said: `stream ${settings.name}: ${error.message}` }];
  }
}

/** What there is to say about servers and stream (null: there is none yet). */
export function findingsOf(
  settings: Pick<ClusterSettings, 'name' | 'replicas'>,
  servers: readonly SeenServer[],
  stream: SeenStream | null,
): ClusterFinding[] {
  return [...ofServers(settings, servers), ...ofStream(settings, stream), promiseOf(settings, servers, stream)];
}

function* ofServers({ replicas }: Pick<ClusterSettings, 'replicas'>, servers: readonly SeenServer[]) {
  for (const { url, fault, version, hasJetStream, maxPayload } of servers) {
    if (fault !== null) yield { well: false, said: `${url}: ${fault}` };
    else if (!hasJetStream) yield { well: false, said: `${url}: NATS ${version} without JetStream; set jetstream {}` };
    else if (maxPayload < LEAST_PAYLOAD)
      yield { well: false, said: `${url}: max_payload is ${maxPayload} bytes; set it to 1 MiB or more, 8 MiB at most` };
    else yield { well: true, said: `${url}: NATS ${version}, max_payload ${maxPayload / LEAST_PAYLOAD} MiB` };
  }
  if (servers.length < replicas)
    yield {
      well: false,
      said: `LAMPPOST_LOG names ${servers.length} servers for ${replicas} replicas; name them all, so that one may be away`,
    };
}

function* ofStream({ name, replicas }: Pick<ClusterSettings, 'name' | 'replicas'>, stream: SeenStream | null) {
  const of = `stream ${name}:`;
  if (stream === null) {
    yield { well: true, said: `${of} there is none yet; the first node makes it` };
    return;
  }
  const { config, cluster } = stream;
  const wrong = (said: string) => ({ well: false, said: `${of} ${said}` });
  if (config.num_replicas !== replicas)
    yield wrong(
      `it has ${config.num_replicas} replicas, and LAMPPOST_LOG_REPLICAS is ${replicas}; ` +
        `nats stream edit ${name} --replicas ${replicas}`,
    );
  const behind = (cluster?.replicas ?? []).filter(({ current, offline }) => offline || !current);
  for (const { name: server, offline } of behind)
    yield wrong(
      `its replica on ${server} is ${offline ? 'away' : 'behind: where it stays so for a minute, restart that server'}`,
    );
  if (msOf(config.duplicate_window) < LEAST_WINDOW_MS)
    yield wrong(`its duplicate window is ${msOf(config.duplicate_window) / SECOND_MS} s; it must be 120 s or more`);
  if (config.storage !== 'file') yield wrong('it is in memory only; it must be in files');
  if (config.retention !== 'limits') yield wrong(`its retention is ${config.retention}; it must be limits`);
  if (config.max_age > 0 || config.max_msgs > 0 || config.max_msgs_per_subject > 0)
    yield wrong('it drops what is old by age or number: only snapshots may trim it; take these limits away');
  if (config.discard !== 'new') yield wrong('it drops what is old when it is full; set discard to new');
  yield { well: true, said: `${of} ${config.num_replicas} replicas, leader ${cluster?.leader ?? 'the only server'}` };
}

/** Says which promise holds: what may be lost before something that was acknowledged is. */
function promiseOf(
  settings: Pick<ClusterSettings, 'replicas'>,
  servers: readonly SeenServer[],
  stream: SeenStream | null,
): ClusterFinding {
  const replicas = stream?.config.num_replicas ?? settings.replicas;
  const waits = servers.filter(({ fault }) => fault === null).map((server) => syncOf(server));
  const syncMs = waits.some((ms) => ms === null) ? null : Math.max(0, ...(waits as number[]));
  if (replicas === 1)
    return {
      well: true,
      said: 'durability: one replica. Every process may be killed; with the disk of its server the stream is lost',
    };
  const majority = `durability: ${replicas} replicas. Any ${Math.floor((replicas - 1) / 2)} of them may be lost, and every process may be killed.`;
  if (syncMs === 0) return { well: true, said: `${majority} All may lose power: NATS acknowledges what is on disks` };
  const how =
    syncMs === null
      ? 'Whether NATS syncs before it acknowledges is not known (monitoring port 8222): it does not by default.'
      : `NATS syncs its disks every ${Math.round(syncMs / SECOND_MS)} s, after it acknowledged.`;
  return {
    well: true,
    said:
      `${majority} ${how} Where a majority loses power at once, NATS may lose its newest blocks: nodes that run put them ` +
      'back, and after a stop lamppost cluster recover does. sync_interval: always (NATS 2.10) prevents that',
  };
}

/** Null where it is not known. Before 2.10 there is only the default. */
function syncOf({ version, syncMs }: SeenServer): number | null {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const says = major > SAYS_SYNC[0] || (major === SAYS_SYNC[0] && minor >= SAYS_SYNC[1]);
  return says ? syncMs : DEFAULT_SYNC_MS;
}

const VarzSchema = z.object({
  server_id: z.string(),
  jetstream: z.object({
    config: z.object({ sync_interval: z.number().optional(), sync_always: z.boolean().default(false) }),
  }),
});

/**
 * Reads from `/varz` of a server's monitoring port how long it waits for its disk, ms; null where it does not say so.
 */
export function syncIn(varz: unknown, serverId: string): number | null {
  const { data } = VarzSchema.safeParse(varz);
  if (data === undefined || data.server_id !== serverId) return null;
  const { sync_always: always, sync_interval: interval } = data.jetstream.config;
  if (always) return 0;
  return interval === undefined ? null : msOf(interval);
}

async function look(settings: ClusterSettings, url: string, monitor: string): Promise<SeenServer> {
  const unknown = { url, version: '', hasJetStream: false, maxPayload: 0, syncMs: null };
  try {
    const connection = await connectTo({ ...settings, servers: [url] }, 'doctor');
    const info = connection.info!;
    await connection.close();
    return {
      ...{ url, fault: null, version: info.version, maxPayload: info.max_payload },
      hasJetStream: info.jetstream === true,
      syncMs: await readSync(monitor, info.server_id),
    };
  } catch (error) {
    if (!(error instanceof LamppostError)) throw error;
    return { ...unknown, fault: error.message };
  }
}

/** The monitoring port is often closed to others: then nothing is known. */
async function readSync(monitor: string, serverId: string): Promise<number | null> {
  try {
    const response = await fetch(`${monitor}/varz`, { signal: AbortSignal.timeout(MONITOR_MS) });
    return syncIn(await response.json(), serverId);
  } catch {
    return null;
  }
}

const monitorUrl = (url: string) => `http://${new URL(url).hostname}:${MONITOR_PORT}`;

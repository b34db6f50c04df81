import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Clock, SessionDrop } from '../domain/index.ts';
import type { Credentials } from '../registry/index.ts';
import type { Subscribers } from './access.ts';
import { type Admission, createPublisher } from './admission.ts';
import type { Arrivals, DeviceCommands } from './commands.ts';
import { userOf } from './ingest-aedes.ts';
import { type MqttOutbox, type SessionLimits, Sessions, type SessionsDeps, type Shared } from './sessions/index.ts';

/** Where sessions are kept, and their bounds. */
export interface KeepOptions {
  readonly path: string;
  readonly limits: SessionLimits;
  /** Interval of the upkeep, ms. */
  readonly upkeepMs: number;
}

const STATUS = /^devices\/([^/]+)\/status$/;
const OFFLINE = Buffer.from('offline');

/**
 * Opens the sessions. Deletes the status of devices that are no longer registered; after a start no device is online.
 */
export function openSessions(
  parts: {
    clock: Clock;
    log: Logger;
    credentials: Credentials;
    access: Subscribers;
    outbox: MqttOutbox;
    commands: DeviceCommands;
    arrivals: Arrivals;
    shared: Shared | null;
    members: NonNullable<SessionsDeps['members']>;
  },
  { path, limits }: Omit<KeepOptions, 'upkeepMs'>,
): Sessions {
  const { clock, log, outbox, credentials, access, commands, arrivals, shared, members } = parts;
  const deps = {
    clock,
    log,
    outbox,
    shared,
    members,
    newId: randomUUID,
    ownerOf(id: string) {
      const user = userOf(id);
      const known = credentials.get(user);
      return known === undefined ? null : { user, secret: known.hash, oldSecret: known.oldHash };
    },
    mayRead(id: string, topic: string, payload?: string) {
      if (payload !== undefined && commands.isOver(topic, payload)) return false;
      const identity = credentials.get(userOf(id))?.identity;
      if (identity === undefined || access.refuse(identity, topic) !== null) return false;
      if (payload === undefined || identity.kind !== 'key' || identity.key.role !== 'network-server') return true;
      return commands.downlink(topic, payload)?.key === identity.id;
    },
    waiting: (topic: string) => commands.waiting(topic),
    waitingDownlinks: () => commands.downlinks(),
    onArrived: (payload: string) => arrivals.note(payload),
    onDownlink(topic: string, payload: string) {
      const id = commands.downlink(topic, payload)?.id;
      if (id !== undefined) arrivals.noteId(id);
    },
    resting: (topic: string) => (STATUS.test(topic) ? OFFLINE : null),
  };
  const sessions = new Sessions(deps, path, limits);
  for (const packet of [...sessions.retained.matching('devices/+/status')]) {
    const device = STATUS.exec(packet.topic)![1]!;
    if (credentials.get(device) === undefined) sessions.retained.store({ ...packet, payload: '' });
  }
  return sessions;
}

/** Admits the wills of connections that a crash ended. Resolves when each is on disk or refused. */
export async function publishLeftWills(
  sessions: Sessions,
  credentials: Credentials,
  admission: Admission,
): Promise<void> {
  const wills = sessions.leftWills();
  if (wills.length > 0) await sessions.clients?.caughtUp();
  const settled = wills.map(async (will) => {
    const identity = credentials.get(userOf(will.session))?.identity;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    if (identity === undefined || sessions.isElsewhere(will.session)) return sessions.settleWill(will);
    admission.admit(createPublisher(identity), will.topic, will.payload, (error) => {
      resolve(error === null);
    });
    // A will that the disk does not take now is admitted at the next start.
    if (await promise) sessions.settleWill(will);
  });
  await Promise.all(settled);
}

/** Ends expired sessions and publishes dropped messages, at an interval. */
export interface Upkeep {
  start(): void;
  stop(): void;
}

/**
 * Returns the upkeep. `publishDrops` resolves when the drops are stored as events; drops that it rejects are passed
 * again.
 */
export function createUpkeep(
  { sessions, everyMs }: { sessions: Sessions; everyMs: number },
  {
    publishDrops,
    credentials,
    log,
  }: { publishDrops: (drops: readonly SessionDrop[]) => Promise<void>; credentials: Credentials; log: Logger },
): Upkeep {
  let timer: NodeJS.Timeout | undefined;
  let publishing = false;

  function departmentOf(user: string): string | null {
    const identity = credentials.get(user)?.identity;
    return identity?.kind === 'key' ? identity.key.department : null;
  }

  async function round(): Promise<void> {
    const drops = sessions.maintain();
    if (publishing || drops.length === 0) return;
    publishing = true;
    try {
      await publishDrops(drops.map((drop) => ({ ...drop, department: departmentOf(drop.user) })));
      sessions.published(drops);
    } catch (error) {
      log.warn({ err: error }, 'drops not published; the upkeep tries again');
    } finally {
      publishing = false;
    }
  }

  return {
    start() {
      timer = setInterval(() => void round(), everyMs);
    },
    stop: () => clearInterval(timer),
  };
}

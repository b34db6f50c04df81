import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Clock, SessionDrop } from '../domain/index.ts';
import type { Credentials } from '../registry/index.ts';
import { refuseSubscribe } from './access.ts';
import { type Admission, createPublisher } from './admission.ts';
import { userOf } from './ingest-aedes.ts';
import { type SessionLimits, Sessions } from './sessions/index.ts';

/** Where sessions are kept, and their bounds. */
export interface KeepOptions {
  readonly path: string;
  readonly limits: SessionLimits;
  /** How often it is looked for what has expired and what is to be told. */
  readonly upkeepMs: number;
}

const STATUS = /^devices\/([^/]+)\/status$/;
const OFFLINE = Buffer.from('offline');

/** Opens what outlives the broker. A device that is no longer known has no status, and after a start none is online. */
export function openSessions(
  { clock, log, credentials }: { clock: Clock; log: Logger; credentials: Credentials },
  { path, limits }: Omit<KeepOptions, 'upkeepMs'>,
): Sessions {
  const deps = {
    clock,
    log,
    newId: randomUUID,
    ownerOf(id: string) {
      const user = userOf(id);
      const known = credentials.get(user);
      return known === undefined ? null : { user, secret: known.hash };
    },
    mayRead(id: string, topic: string) {
      const identity = credentials.get(userOf(id))?.identity;
      return identity !== undefined && refuseSubscribe(identity, topic) === null;
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

/** Wills of connections that a crash ended: a last word is a message like any other. Resolves when they are on disk or refused. */
export async function sayLastWords(sessions: Sessions, credentials: Credentials, admission: Admission): Promise<void> {
  const said = sessions.lastWords().map(async (word) => {
    const identity = credentials.get(userOf(word.session))?.identity;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    if (identity === undefined) return sessions.said(word);
    admission.admit(createPublisher(identity), word.topic, word.payload, (error) => {
      resolve(error === null || error.code === 'forbidden');
    });
    // What the disk does not take now is said at the next start.
    if (await promise) sessions.said(word);
  });
  await Promise.all(said);
}

/** Lets sessions expire, and tells what was dropped. */
export interface Upkeep {
  start(): void;
  stop(): void;
}

/** Makes the upkeep; `tell` resolves when the drops have become events. What it rejects is told again. */
export function createUpkeep(
  { sessions, everyMs }: { sessions: Sessions; everyMs: number },
  {
    tell,
    credentials,
    log,
  }: { tell: (drops: readonly SessionDrop[]) => Promise<void>; credentials: Credentials; log: Logger },
): Upkeep {
  let timer: NodeJS.Timeout | undefined;
  let telling = false;

  function departmentOf(user: string): string | null {
    const identity = credentials.get(user)?.identity;
    return identity?.kind === 'key' ? identity.key.department : null;
  }

  async function round(): Promise<void> {
    const drops = sessions.maintain();
    if (telling || drops.length === 0) return;
    telling = true;
    try {
      await tell(drops.map((drop) => ({ ...drop, department: departmentOf(drop.user) })));
      sessions.told(drops);
    } catch (error) {
      log.warn({ err: error }, 'dropped messages are told later');
    } finally {
      telling = false;
    }
  }

  return {
    start() {
      timer = setInterval(() => void round(), everyMs);
    },
    stop: () => clearInterval(timer),
  };
}

import type { DatabaseSync } from 'node:sqlite';
import { type Clock, MINUTE_MS } from '../domain/index.ts';
import { transact } from '../store/index.ts';

/** When keys were used, as it is written: once a minute at the most, and never in the log. */
export interface KeyUse {
  readonly id: string;
  readonly usedMs: number;
}

/** Writes when keys were used. The caller owns the file; keys that have ended are passed over. */
export function writeKeyUse(db: DatabaseSync, uses: readonly KeyUse[]): void {
  const write = db.prepare(`
    insert into registry_key_use select id, ?2 from registry_keys where id = ?1 and revoked = 0
    on conflict (id) do update set used_ms = max(used_ms, excluded.used_ms)`);
  transact(db, () => {
    for (const { id, usedMs } of uses) write.run(id, usedMs);
  });
}

/** Collects which keys are used, over HTTP and MQTT, and writes it once a minute. */
export interface KeyUses {
  /** Notes that a key was used now. */
  used(id: string): void;
  start(): void;
  /** Writes what was noted since; idempotent. */
  stop(): Promise<void>;
}

interface Parts {
  readonly clock: Clock;
  /** Returns the keys that were used over MQTT since the last call, or are connected. */
  readonly ofBroker: () => Promise<readonly string[]>;
  readonly write: (uses: readonly KeyUse[]) => Promise<unknown>;
  readonly everyMs?: number;
}

/** Returns the collector. What cannot be written is lost: it is no more than a hint. */
export function createKeyUses({ clock, ofBroker, write, everyMs = MINUTE_MS }: Parts): KeyUses {
  let uses = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  const used = (id: string) => void uses.set(id, clock.now());

  async function flush(): Promise<void> {
    for (const id of await ofBroker()) used(id);
    if (uses.size === 0) return;
    const noted = [...uses].map(([id, usedMs]) => ({ id, usedMs }));
    uses = new Map();
    await write(noted);
  }

  return {
    used,
    start() {
      timer = setInterval(() => void flush().catch(() => {}), everyMs);
    },
    async stop() {
      clearInterval(timer);
      await flush().catch(() => {});
    },
  };
}

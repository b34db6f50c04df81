import type { DatabaseSync } from 'node:sqlite';
import type { KnownDevice, Uplinks } from '../domain/index.ts';

/** SQL of the keys of network servers that may not publish for every device, by the block that bound them. */
export const PUBLISHERS_SCHEMA = `
  create table context_publishers (
    id text not null, seq integer not null, body text, primary key (id, seq)
  ) strict, without rowid;
`;

/** What a key may publish for; null: it is not bound. */
type Bound = Exclude<Uplinks, 'all'> | null;

interface Version {
  readonly seq: number;
  readonly bound: Bound;
}

/** Which devices each network server may publish for, as of any block. */
export interface Publishers {
  /** Call the result to write it, inside a transaction; null where it is known. */
  learn(seq: number, id: string, bound: Bound): (() => void) | null;
  /** Whether who sent a message on this topic may publish for the device, at a block. */
  mayPublish(sender: Sender, device: Pick<KnownDevice, 'id' | 'tags'>, seq: number): boolean;
  /** Forgets, inside a transaction, the versions that others replaced up to a block. */
  prune(settled: number): void;
}

interface Sender {
  readonly identity: string;
  readonly topic: string;
}

/** The application in the topic of an uplink; behind it The Things Stack names the tenant. */
const APPLICATION = /^(?:application|v3)\/([^/@]+)/;

/** Reads the publishers back from the state file. */
export function createPublishers(db: DatabaseSync): Publishers {
  const byId = new Map<string, Version[]>();
  const save = db.prepare('insert or replace into context_publishers values (?, ?, ?)');
  const drop = db.prepare('delete from context_publishers where id = ? and seq < ?');

  function add(seq: number, id: string, bound: Bound): void {
    const versions = byId.get(id);
    if (versions === undefined) byId.set(id, [{ seq, bound }]);
    else versions.push({ seq, bound });
  }

  for (const { id, seq, body } of db.prepare('select * from context_publishers order by id, seq').all())
    add(Number(seq), String(id), body === null ? null : (JSON.parse(String(body)) as Bound));

  return {
    learn(seq, id, bound) {
      const body = bound === null ? null : JSON.stringify(bound);
      const before = byId.get(id)?.at(-1)?.bound;
      if (before !== undefined && JSON.stringify(before) === JSON.stringify(bound)) return null;
      add(seq, id, bound);
      return () => void save.run(id, seq, body);
    },
    mayPublish({ identity, topic }, device, seq) {
      const bound = byId.get(identity)?.findLast((version) => version.seq <= seq)?.bound ?? null;
      if (bound === null || bound.devices?.some((id) => id.toLowerCase() === device.id.toLowerCase())) return true;
      if (bound.applications?.includes(APPLICATION.exec(topic)?.[1] ?? '')) return true;
      return Object.entries(bound.tags ?? {}).some(([tag, value]) => device.tags?.[tag] === value);
    },
    prune(settled) {
      for (const [id, versions] of byId) {
        const unneeded = versions.findLastIndex(({ seq }) => seq <= settled);
        if (unneeded <= 0) continue;
        versions.splice(0, unneeded);
        drop.run(id, versions[0]!.seq);
      }
    },
  };
}

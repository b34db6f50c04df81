import type { DatabaseSync } from 'node:sqlite';

/** SQL of which device hardware belongs to, where its DevEUI is not the id of its device, by the block that said so. */
export const HARDWARE_SCHEMA = `
  create table context_hardware (
    name text not null, seq integer not null, device text not null, primary key (name, seq)
  ) strict, without rowid;
`;

/** The device that hardware belongs to, from one block on. */
export interface Belonging {
  readonly seq: number;
  readonly device: string;
}

/**
 * Whose hardware a DevEUI is, as of any block. What hardware belonged to last it belongs to until another device has
 * it: so it is known whose old hardware still sends.
 */
export class Hardware {
  readonly #byName = new Map<string, Belonging[]>();
  readonly #sql: ReturnType<typeof statementsOf>;

  /** Reads it back from the state file. */
  constructor(db: DatabaseSync) {
    this.#sql = statementsOf(db);
    for (const { name, seq, device } of this.#sql.all.all())
      this.#of(String(name)).push({ seq: Number(seq), device: String(device) });
  }

  /** Returns the names that have devices, and the list that grows with each. */
  entries(): Iterable<readonly [name: string, belongings: readonly Belonging[]]> {
    return this.#byName;
  }

  /**
   * A device has hardware of this name. Returns null where that is known; else the list of all devices that had it, and
   * what writes it, inside a transaction.
   */
  learn(seq: number, name: string, device: string): { belongings: readonly Belonging[]; save: () => void } | null {
    const last = this.#byName.get(name)?.at(-1)?.device ?? name;
    if (last === device) return null;
    const belongings = this.#of(name);
    if (belongings.at(-1)?.seq === seq) belongings.pop();
    belongings.push({ seq, device });
    return { belongings, save: () => void this.#sql.save.run(name, seq, device) };
  }

  /** Forgets, inside a transaction, what others replaced up to a block. */
  prune(settled: number): void {
    for (const [name, belongings] of this.#byName) {
      const unneeded = belongings.findLastIndex(({ seq }) => seq <= settled);
      if (unneeded <= 0) continue;
      belongings.splice(0, unneeded);
      this.#sql.drop.run(name, belongings[0]!.seq);
    }
  }

  #of(name: string): Belonging[] {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const made: Belonging[] = [];
    this.#byName.set(name, made);
    return made;
  }
}

function statementsOf(db: DatabaseSync) {
  return {
    all: db.prepare('select * from context_hardware order by name, seq'),
    save: db.prepare('insert or replace into context_hardware values (?, ?, ?)'),
    drop: db.prepare('delete from context_hardware where name = ? and seq < ?'),
  };
}

/**
 * Returns, over any connection to the file, for a device: whether a name in a message is its own, as things are now.
 * `isHardware`: it is that of hardware, else an id.
 */
export function createHardwareNames(db: DatabaseSync) {
  const newest = 'select name, device, max(seq) from context_hardware group by name';
  const having = db.prepare(`select name from (${newest}) where device = ?`);
  const holder = db.prepare('select device from context_hardware where name = ? order by seq desc limit 1');
  return (device: string): ((name: string, isHardware: boolean) => boolean) => {
    const names = new Set(having.all(device).map(({ name }) => name));
    if ((holder.get(device)?.device ?? device) === device) names.add(device);
    return (name, isHardware) => (isHardware ? names.has(name) : name === device);
  };
}

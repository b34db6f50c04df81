import type { DatabaseSync } from 'node:sqlite';
import { type Holder, type Key, type KeyRole, LamppostError, REGISTRY_REFUSALS } from '../domain/index.ts';
import type { Rotation } from './device-records.ts';
import { type KeyBody, type KeyRow, type RegisteredKey, registeredKeyOf } from './rows.ts';
import { type HashText, hashBytes, type RecordPlace, type RegistryState } from './state.ts';

/** A key that is asked for. */
export interface NewKey extends Omit<Key, 'id' | 'role' | 'department'> {
  readonly role: KeyRole;
  readonly department: string | null;
  readonly hash: HashText;
  /** Epoch ms; null: it does not expire. */
  readonly expiresMs: number | null;
  readonly note: string;
}

/** A change of a key; what is absent stays. */
export interface KeyChange extends Partial<Pick<NewKey, 'name' | 'note' | 'expiresMs' | 'uplinks'>> {}

/** A key that the registry's own file had before its rows were records of the log. */
export interface TakenKey {
  readonly key: Key;
  readonly hash: HashText;
}

/** Revoked keys whose names the audit trail may still be read with. */
const MOST_REVOKED = 1_000;

const INSERT = `insert into registry_keys
  values (:id, :body, :hash, null, null, :expiresMs, 1, :changed, 0)`;

/** Changes keys at their place in the log, as `DeviceRecords` does devices. */
export class KeyRecords {
  readonly #state: RegistryState;
  readonly #sql: ReturnType<typeof statementsOf>;

  constructor(db: DatabaseSync, state: RegistryState) {
    this.#state = state;
    this.#sql = statementsOf(db);
  }

  /** Adds a key, whose id is made of its place in the log. */
  add({ hash, expiresMs, ...key }: NewKey, by: string, { seq, n, atMs }: RecordPlace): RegisteredKey {
    let id = `key-${seq}-${n}`;
    while (this.#state.isTaken(id)) id += 'x';
    const body: KeyBody = { ...key, createdMs: atMs, createdBy: by };
    this.#sql.insert.run({ id, body: JSON.stringify(body), hash: hashBytes(hash), expiresMs, changed: seq });
    this.#state.changedAt(seq);
    return this.#get(id);
  }

  change(id: string, expected: number | undefined, change: KeyChange, at: RecordPlace): RegisteredKey {
    const row = this.#row(id, expected);
    const { expiresMs = row.expires_ms, ...rest } = change;
    this.#sql.setBody.run(JSON.stringify({ ...(JSON.parse(row.body) as KeyBody), ...rest }), expiresMs, id);
    return this.#changed(id, at);
  }

  rotate(id: string, { hash, oldUntilMs }: Rotation, at: RecordPlace): RegisteredKey {
    const row = this.#row(id);
    const keepsOld = oldUntilMs !== null && oldUntilMs > at.atMs;
    this.#sql.setHash.run(hashBytes(hash), keepsOld ? row.hash : null, keepsOld ? oldUntilMs : null, id);
    return this.#changed(id, at);
  }

  confirm(id: string, at: RecordPlace): RegisteredKey {
    if (this.#row(id).old_hash === null) return this.#get(id);
    this.#sql.dropOld.run(id);
    return this.#changed(id, at);
  }

  revoke(id: string, at: RecordPlace): void {
    this.#row(id);
    this.#end(id, at);
  }

  takeOver(keys: readonly TakenKey[]): void {
    for (const { key, hash } of keys) {
      if (this.#sql.one.get(key.id) !== undefined) continue;
      const { id, ...rest } = key;
      const body: KeyBody = { ...rest, createdMs: null, createdBy: null, note: '' };
      this.#sql.insert.run({ id, body: JSON.stringify(body), hash: hashBytes(hash), expiresMs: null, changed: 0 });
    }
  }

  /**
   * Returns what a key may do at this place of the log; `ended` where it may nothing any more, null where it is none.
   */
  holderOf(id: string): Holder | 'ended' | null {
    const row = this.#sql.one.get(id) as KeyRow | undefined;
    if (row === undefined) return null;
    if (row.revoked === 1) return 'ended';
    const { role, department, scopes } = registeredKeyOf(row);
    return { role, department, ...(scopes === undefined ? {} : { scopes }) };
  }

  isDue(nowMs: number): boolean {
    return this.#sql.due.get(nowMs, nowMs) !== undefined;
  }

  /** Ends keys and old secrets whose time has come. */
  doDue(at: RecordPlace): void {
    for (const row of this.#sql.allDue.all(at.atMs, at.atMs)) {
      const { id, expires_ms } = row as unknown as KeyRow;
      if (expires_ms !== null && expires_ms <= at.atMs) this.#end(id, at);
      else {
        this.#sql.dropOld.run(id);
        this.#changed(id, at);
      }
    }
  }

  /** Moves the time of old secrets, where the wall clock was set; the day on which a key expires stays. */
  stepped(byMs: number): void {
    this.#sql.stepOld.run(byMs);
  }

  /** A key that has ended is no identity any more; its row says who it was. */
  #end(id: string, at: RecordPlace): void {
    this.#sql.revoke.run(id);
    this.#changed(id, at);
    this.#sql.prune.run(MOST_REVOKED);
    this.#sql.dropUse.run(id);
  }

  #row(id: string, expected?: number): KeyRow {
    const row = this.#sql.one.get(id) as KeyRow | undefined;
    if (row === undefined || row.revoked === 1) throw new LamppostError('not-found', `there is no key "${id}"`);
    if (expected !== undefined && expected !== row.version) {
      const reason = 'key-changed';
      const detail = `it is at version ${row.version}, not ${expected}`;
      throw new LamppostError('precondition', `${REGISTRY_REFUSALS[reason]}: ${detail}`, { reason });
    }
    return row;
  }

  /** Without the last use, which is not of the log. */
  #get(id: string): RegisteredKey {
    return registeredKeyOf(this.#sql.one.get(id) as unknown as KeyRow);
  }

  #changed(id: string, { seq }: RecordPlace): RegisteredKey {
    this.#sql.touch.run(seq, id);
    this.#state.changedAt(seq);
    return this.#get(id);
  }
}

function statementsOf(db: DatabaseSync) {
  const set = (what: string) => db.prepare(`update registry_keys set ${what} where id = ?`);
  const isDue = 'revoked = 0 and (expires_ms <= ? or old_until_ms <= ?)';
  return {
    one: db.prepare('select * from registry_keys where id = ?'),
    insert: db.prepare(INSERT),
    setBody: set('body = ?, expires_ms = ?'),
    setHash: set('hash = ?, old_hash = ?, old_until_ms = ?'),
    dropOld: set('old_hash = null, old_until_ms = null'),
    // Nobody finds it by its secret any more.
    revoke: set("revoked = 1, hash = x'', old_hash = null, old_until_ms = null, expires_ms = null"),
    touch: set('version = version + 1, changed = ?'),
    due: db.prepare(`select 1 from registry_keys where ${isDue} limit 1`),
    allDue: db.prepare(`select * from registry_keys where ${isDue} order by id`),
    stepOld: db.prepare('update registry_keys set old_until_ms = old_until_ms + ? where old_until_ms is not null'),
    prune: db.prepare(`
      delete from registry_keys where id in (
        select id from registry_keys where revoked = 1 order by changed desc, id limit -1 offset ?)`),
    dropUse: db.prepare('delete from registry_key_use where id = ?'),
  };
}

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { MEDIA_FOLDER } from '../citizens/index.ts';
import { LamppostError } from '../domain/index.ts';
import { readInFull } from '../history/index.ts';
import { type DamagedBlocks, describeDamage, missingBlocks, walkBlocks } from '../journal/index.ts';
import { createSealer, keyFileFault } from '../notify/index.ts';
import { HOLDS, isDamage, MANIFEST, ownerOf, readManifest, sealsIn, sha256Of } from '../store/index.ts';
import { SECRETS_KEY_FILE } from './backup.ts';
import { SIGNED_IN } from './people-deps.ts';

/** Something that is wrong with a data folder. */
export interface Finding {
  readonly file: string;
  readonly problem: string;
  /** What to do about it. */
  readonly todo: string;
}

/** The result of looking at every byte of a data folder or a backup. */
export interface Examination {
  readonly dir: string;
  readonly kind: 'data folder' | 'backup';
  /** A sentence on the server that runs on it; null where none does. */
  readonly inUse: string | null;
  /** Files that were read in full. */
  readonly read: readonly string[];
  readonly findings: readonly Finding[];
  /** Damaged blocks of the journal. */
  readonly blocks: readonly DamagedBlocks[];
}

/** Files without which a folder that was in use is not whole. */
const SQLITE = ['journal', 'state', 'sessions', 'deliveries', 'reporters'].map((name) => `${name}.sqlite`);
/** What an earlier version kept of devices and keys, until a start takes it over. */
const OF_BEFORE = 'registry.sqlite';
const HISTORY = 'history.duckdb';

/**
 * Reads every file of a data folder or backup in full and compares them with each other. It changes nothing. `owned`:
 * the caller has the lock of the folder; `secretsKey`: LAMPPOST_SECRETS_KEY, where it is set.
 */
export async function examine(
  dir: string,
  progress: (line: string) => void = () => {},
  { owned = false, secretsKey = null }: { readonly owned?: boolean; readonly secretsKey?: string | null } = {},
): Promise<Examination> {
  const examiner = new Examiner(dir, progress, owned ? null : ownerOf(dir), secretsKey);
  await examiner.run();
  return examiner.result();
}

interface Positions {
  checkpoint: number;
  rules: number;
  ledger: number;
  intake: number;
  messages: number;
  /** Readings that the history should have. */
  stored: number;
}

class Examiner {
  readonly #dir: string;
  readonly #progress: (line: string) => void;
  readonly #isBackup: boolean;
  readonly #inUse: string | null;
  readonly #secretsKey: string | null;
  readonly #findings: Finding[] = [];
  readonly #read: string[] = [];
  readonly #blocks: DamagedBlocks[] = [];
  #state: Positions | null = null;

  constructor(dir: string, progress: (line: string) => void, inUse: string | null, secretsKey: string | null) {
    this.#dir = dir;
    this.#secretsKey = secretsKey;
    this.#progress = progress;
    this.#isBackup = existsSync(join(dir, MANIFEST));
    this.#inUse = inUse;
  }

  result(): Examination {
    const kind = this.#isBackup ? 'backup' : 'data folder';
    return {
      dir: this.#dir,
      kind,
      inUse: this.#inUse,
      read: this.#read,
      findings: this.#findings,
      blocks: this.#blocks,
    };
  }

  async run(): Promise<void> {
    if (this.#isBackup) await this.#manifest();
    else await this.#seals();
    for (const file of SQLITE) this.#sqlite(file);
    if (existsSync(join(this.#dir, OF_BEFORE))) this.#sqlite(OF_BEFORE);
    // A backup has none, nor has a folder of an earlier version.
    if (existsSync(join(this.#dir, SIGNED_IN))) this.#sqlite(SIGNED_IN);
    this.#reading('state.sqlite', (db) => this.#ledger(db));
    if (!this.#isBackup) this.#reading('state.sqlite', (db) => this.#key(db));
    this.#reading('journal.sqlite', (db) => this.#journal(db));
    await this.#history();
    await this.#photos();
  }

  #add(file: string, problem: string, todo = this.#repair()): void {
    // Each check of a file that is no database says so.
    if (this.#findings.some((found) => found.file === file && found.problem === problem)) return;
    this.#findings.push({ file, problem, todo });
  }

  #repair(): string {
    if (this.#isBackup) return 'use another backup';
    return `stop the server, then run: lamppost repair --data ${this.#dir} --backup <the newest backup>`;
  }

  async #manifest(): Promise<void> {
    const { files } = await readManifest(this.#dir);
    for (const { name, bytes, sha256 } of files) {
      const path = join(this.#dir, name);
      this.#progress(`${name}: ${bytes} bytes against the manifest`);
      if (!existsSync(path)) this.#add(name, 'it is in the manifest and missing');
      else if (statSync(path).size !== bytes) this.#add(name, `it has ${statSync(path).size} bytes, not ${bytes}`);
      else if ((await sha256Of(path)) !== sha256) this.#add(name, 'its SHA-256 is not that of the manifest');
    }
  }

  /** Files have to be what the last stop left: SQLite has no checksums of its own. */
  async #seals(): Promise<void> {
    for (const [file, sha256] of Object.entries(this.#inUse === null ? sealsIn(this.#dir) : {})) {
      const path = join(this.#dir, file);
      const logged = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
      if (isFile(path) && logged === 0 && (await sha256Of(path)) !== sha256)
        this.#add(file, 'it is not what the server left when it stopped');
    }
  }

  /** Runs a check that reads a file; what it cannot read is a finding. */
  #reading(file: string, check: (db: DatabaseSync) => void): void {
    const path = join(this.#dir, file);
    if (!isFile(path)) return;
    let db: DatabaseSync | null = null;
    try {
      db = new DatabaseSync(path, { readOnly: true });
      check(db);
    } catch (error) {
      const { errcode, message } = error as Error & { errcode?: number };
      if (!isDamage(error, true) && errcode === undefined) throw error;
      this.#add(file, message);
    } finally {
      db?.close();
    }
  }

  #sqlite(file: string): void {
    const path = join(this.#dir, file);
    if (!existsSync(path)) {
      // A folder that was never in use has none of them.
      if (existsSync(join(this.#dir, 'state.sqlite')) || existsSync(join(this.#dir, 'journal.sqlite')))
        this.#add(file, `it is missing; it holds ${HOLDS[file]}`);
      return;
    }
    if (!isFile(path)) {
      this.#add(file, NO_FILE);
      return;
    }
    this.#progress(`${file}: ${statSync(path).size} bytes`);
    this.#read.push(file);
    this.#reading(file, (db) => {
      const faults = db
        .prepare('pragma integrity_check(5)')
        .all()
        .map((row) => String(row.integrity_check));
      if (faults.join() !== 'ok') this.#add(file, faults.join('; ').replaceAll('\n', ' '));
    });
    this.#reading(file, (db) => {
      const broken = db.prepare('pragma foreign_key_check').all();
      if (broken.length > 0)
        this.#add(file, `${broken.length} rows of ${broken[0]!.table} refer to rows that are gone`);
      for (const problem of jsonFaults(db)) this.#add(file, problem);
    });
  }

  /** The key has to open what was sealed last. */
  #key(db: DatabaseSync): void {
    const path = join(this.#dir, SECRETS_KEY_FILE);
    const fault = keyFileFault(path);
    if (fault !== null) return void this.#add(SECRETS_KEY_FILE, fault);
    const newest = 'select sealed from receiver_secrets order by created_at desc limit 1';
    const sealed = db.prepare(newest).get()?.sealed;
    if (sealed === undefined) return;
    const ask = `with LAMPPOST_SECRETS_KEY set that is right; otherwise ${this.#repair()}`;
    const key = this.#secretsKey ?? (existsSync(path) ? readFileSync(path, 'utf8').trim() : null);
    if (key === null)
      return void this.#add(SECRETS_KEY_FILE, `it is missing; it holds ${HOLDS[SECRETS_KEY_FILE]}`, ask);
    try {
      createSealer(key).open(String(sealed));
    } catch (error) {
      if (!(error instanceof LamppostError)) throw error;
      this.#add(SECRETS_KEY_FILE, "webhooks' secrets were not sealed with this key", ask);
    }
  }

  #ledger(db: DatabaseSync): void {
    const one = (sql: string) => db.prepare(sql).get() ?? {};
    const cursor = one('select seq, messages from ledger_cursor');
    const rules = one('select seq, checkpoint from rules_cursor');
    const sums = one(`select sum(decoded + quarantined) as messages, sum(stored - replaced) as stored,
      sum(decoded < 0 or quarantined < 0 or stored < 0 or duplicate < 0 or refused < 0 or replaced > stored) as wrong from ledger`);
    const number = (value: unknown) => Number(value ?? 0);
    this.#state = {
      checkpoint: number(rules.checkpoint),
      rules: number(rules.seq),
      ledger: number(cursor.seq),
      intake: number(one('select seq from intake').seq),
      messages: number(cursor.messages),
      stored: number(sums.stored),
    };
    const { messages } = this.#state;
    if (number(sums.messages) !== messages)
      this.#add(
        'state.sqlite',
        `the ledger does not balance: ${messages} messages, of which ${number(sums.messages)} are counted`,
      );
    if (number(sums.wrong) > 0) this.#add('state.sqlite', `the ledger does not balance for ${sums.wrong} devices`);
    const outbox = one('select count(*) as kept, coalesce(max(n) - min(n) + 1, 0) as span from outbox');
    if (outbox.kept !== outbox.span)
      this.#add('state.sqlite', `the outbox has gaps: ${outbox.kept} events in ${outbox.span} numbers`);
  }

  #journal(db: DatabaseSync): void {
    const { ledger = 0, rules = 0, intake = 0, checkpoint = 0, messages = 0 } = this.#state ?? {};
    let [oldest, newest, counted] = [0, 0, 0];
    const read = this.#inUse === null ? Math.max(ledger, rules, intake) : 0;
    for (const { row, damaged } of walkBlocks(db, read)) {
      if (damaged !== undefined) {
        this.#blocks.push(damaged);
        this.#add('journal.sqlite', describeDamage(damaged));
        oldest ||= damaged.from;
        newest = damaged.to;
      } else {
        oldest ||= row.seq;
        newest = row.seq;
        if (row.seq === ledger) counted = row.first + row.count;
        if (row.seq % 50_000 === 0) this.#progress(`journal.sqlite: block ${row.seq}`);
      }
    }
    if (this.#inUse !== null || this.#state === null) return;
    const missing = missingBlocks({ newest: Math.max(rules, ledger, intake), checkpoint, ledger }, { oldest, newest });
    if (missing !== null) this.#add('journal.sqlite', `it does not go together with state.sqlite: ${missing}`);
    const replayed = Number(db.prepare("select value from heads where name = 'replayed'").get()?.value ?? 0);
    if (counted > 0 && counted - replayed !== messages)
      this.#add(
        'state.sqlite',
        `the ledger counts ${messages} messages up to block ${ledger}; the journal has ${counted - replayed}`,
      );
  }

  async #history(): Promise<void> {
    const path = join(this.#dir, HISTORY);
    if (!existsSync(path)) {
      const { stored = 0 } = this.#state ?? {};
      if (stored > 0 && !this.#isBackup)
        this.#add(HISTORY, 'it is missing', `with InfluxDB that is right; otherwise ${this.#repair()}`);
      return;
    }
    if (!isFile(path)) return this.#add(HISTORY, NO_FILE);
    if (this.#inUse !== null) return this.#progress(`${HISTORY}: the server has it open; stop it to read that file`);
    this.#progress(`${HISTORY}: ${statSync(path).size} bytes`);
    this.#read.push(HISTORY);
    const read = await readInFull(path);
    if ('problem' in read) return this.#add(HISTORY, read.problem);
    const { ledger = 0, stored = 0 } = this.#state ?? {};
    if (this.#state === null) return;
    if (read.cursor < ledger)
      this.#add(HISTORY, `it ends at block ${read.cursor}; the ledger counts up to block ${ledger}`);
    else if (read.cursor === ledger && !read.pruned && read.readings < stored)
      this.#add(HISTORY, `it has ${read.readings} readings; the ledger counts ${stored} as stored`);
  }

  async #photos(): Promise<void> {
    const folder = join(this.#dir, MEDIA_FOLDER);
    const there = existsSync(folder) ? readdirSync(folder).filter((name) => !name.endsWith('.part')) : [];
    for (const name of there) {
      if ((await sha256Of(join(folder, name))) !== name.split('.')[0])
        this.#add(`${MEDIA_FOLDER}/${name}`, 'the photo is not the one that was sent');
    }
    if (there.length > 0) this.#read.push(MEDIA_FOLDER);
    this.#reading('state.sqlite', (db) => {
      const urls = db
        .prepare("select distinct media_url as url from tickets where media_url like '/open311/media/%'")
        .all();
      const names = urls.map(({ url }) => String(url).split('/').at(-1)!);
      for (const name of names.filter((one) => !there.includes(one)))
        this.#add(`${MEDIA_FOLDER}/${name}`, 'the photo of a ticket is missing');
    });
  }
}

const NO_FILE = 'it is no file';
const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() === true;

/** Texts that begin like JSON have to be JSON: a changed byte in one would end a start, or a request, with an error. */
function* jsonFaults(db: DatabaseSync): Generator<string> {
  const columns = db.prepare(`
    select t.name as "table", c.name as "column" from sqlite_schema t, pragma_table_info(t.name) c
    where t.type = 'table' and t.name not like 'sqlite_%' and lower(c.type) = 'text'`);
  for (const { table, column } of columns.all()) {
    const wrong = `substr("${column}", 1, 1) in ('{', '[') and not json_valid("${column}")`;
    const { n } = db.prepare(`select count(*) as n from "${table}" where ${wrong}`).get()!;
    if (Number(n) > 0) yield `${n} rows of ${table} have a ${column} that is not JSON`;
  }
}

import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseCity } from '../city-model/index.ts';
import { systemClock as clock, LamppostError } from '../domain/index.ts';
import { createDuckdbHistory } from '../history/index.ts';
import { createContext, createLedgerStore, Intake } from '../ingest/index.ts';
import { describeDamage, JournalReader, type Rebuilt, rebuildJournal } from '../journal/index.ts';
import { createConsumerStore } from '../rules/index.ts';
import {
  atOnce,
  lockFolder,
  type Manifest,
  PRIVATE_FILE,
  readManifest,
  setAside,
  unsealFolder,
} from '../store/index.ts';
import { type Examination, examine } from './examine.ts';
import { ASIDE, moveAside, SECRETS_KEY } from './set-aside.ts';
import { openStateFile } from './threads/state.ts';

/** What a repair may use, and do. */
export interface RepairOptions {
  /** A complete backup of the same server. */
  readonly backup: string | null;
  /** Whether blocks that nobody has may be passed over: their messages then count as quarantined, and are gone. */
  readonly passOver: boolean;
  /** `LAMPPOST_SECRETS_KEY`, where it is set. */
  readonly secretsKey: string | null;
  /** False: it only says what it would do. */
  readonly act: boolean;
  readonly progress?: (line: string) => void;
}

/** What a repair did, or would do. */
export interface Repaired {
  readonly done: readonly string[];
  /** What could not be recovered. */
  readonly lost: readonly string[];
  /** Damaged files as they were. */
  readonly aside: readonly string[];
  /** What is wrong afterwards; what was wrong where it did not act. */
  readonly findings: Examination['findings'];
}

/**
 * Repairs a data folder in which no server runs: what is damaged is made anew from a backup and the log, and kept
 * aside. Throws `conflict` where a server runs on it, `invalid` where the backup is not sound, or where something can
 * only be passed over and that is not allowed.
 */
export async function repair(dir: string, options: RepairOptions): Promise<Repaired> {
  const lock = lockFolder(dir, clock.now());
  // The examination must not take this lock for that of a server.
  try {
    const found = await examine(dir, options.progress, { owned: true, secretsKey: options.secretsKey });
    if (found.findings.length === 0) return { done: [], lost: [], aside: [], findings: [] };
    const backup = options.backup === null ? null : await soundBackup(options.backup);
    const work = new Repair(dir, found, backup, options);
    // What a repair writes is not what the last stop left.
    if (options.act) unsealFolder(dir);
    await work.run();
    const after = options.act
      ? await examine(dir, options.progress, { owned: true, secretsKey: options.secretsKey })
      : found;
    return { done: work.done, lost: work.lost, aside: work.aside, findings: after.findings };
  } finally {
    lock.release();
  }
}

interface Backup {
  readonly dir: string;
  readonly manifest: Manifest;
}

async function soundBackup(dir: string): Promise<Backup> {
  const { findings } = await examine(dir);
  if (findings.length > 0)
    throw new LamppostError(
      'invalid',
      `${dir} is damaged itself (${findings[0]!.file}: ${findings[0]!.problem}): take another`,
    );
  return { dir, manifest: await readManifest(dir) };
}

/** One repair. Each step says what it does and what is lost by it; it acts only where that is asked for. */
class Repair {
  readonly done: string[] = [];
  readonly lost: string[] = [];
  readonly aside: string[] = [];
  readonly #dir: string;
  readonly #damaged: ReadonlySet<string>;
  readonly #found: Examination;
  readonly #backup: Backup | null;
  readonly #options: RepairOptions;

  constructor(dir: string, found: Examination, backup: Backup | null, options: RepairOptions) {
    this.#dir = dir;
    this.#found = found;
    this.#damaged = new Set(found.findings.map(({ file }) => file));
    this.#backup = backup;
    this.#options = options;
  }

  async run(): Promise<void> {
    const state = this.#isDamaged('state.sqlite') ? this.#state() : this.#path('state.sqlite');
    this.#journal(state);
    if (this.#isDamaged('history.duckdb')) await this.#history();
    if (this.#isDamaged('registry.sqlite')) this.#fileOfBefore();
    if (this.#isDamaged(SECRETS_KEY.file)) this.#secretsKey();
    for (const one of ASIDE) if (this.#isDamaged(one.file)) this.#serving(one);
    this.#photos();
  }

  #isDamaged(file: string): boolean {
    return this.#damaged.has(file);
  }

  #path(file: string): string {
    return join(this.#dir, file);
  }

  /** The file in the backup; null where there is none. */
  #copy(file: string): string | null {
    const path = this.#backup === null ? null : join(this.#backup.dir, file);
    return path !== null && existsSync(path) ? path : null;
  }

  /** Moves a file aside and puts that of the backup in its place. */
  #replace(file: string): void {
    this.#moveAside(file);
    const copy = this.#copy(file);
    if (copy !== null && this.#options.act) copyFileSync(copy, this.#path(file));
  }

  #moveAside(file: string): void {
    if (this.#options.act && existsSync(this.#path(file))) this.aside.push(setAside(this.#path(file), clock.now()));
  }

  get #since(): string {
    return this.#backup!.manifest.startedAt;
  }

  /** Returns the file whose cursors count from now on. */
  #state(): string | null {
    const copy = this.#copy('state.sqlite');
    if (copy === null) {
      this.done.push('state.sqlite: made anew from the log');
      this.lost.push(
        'devices, keys, what people did to tickets, silences, quarantine and the ledger from before the log begins',
      );
    } else {
      this.done.push(`state.sqlite: from the backup of ${this.#since}, and the log after it`);
      this.lost.push(
        `what people did since ${this.#since}: acknowledgements, assignments, comments, silences, discarded entries`,
      );
    }
    this.#replace('state.sqlite');
    return copy;
  }

  /** Makes the journal anew where a block is damaged, or where it lacks what the state has still to read. */
  #journal(state: string | null): void {
    const at = positionsIn(state);
    const path = this.#path('journal.sqlite');
    const [source, backup] = [openToRead(path), openToRead(this.#copy('journal.sqlite'))];
    try {
      const oldest = oldestIn(source);
      // The newest block carries the numbering.
      const from = Math.min(at.checkpoint + 1, at.ledger + 1, at.newest);
      if (!this.#isDamaged('journal.sqlite') && oldest !== null && oldest <= from) return;
      const messages = at.messages + replayedIn(source ?? backup);
      // The next start goes on from the newest block: with an older time it would not believe the wall clock.
      const wanted = { from, to: at.newest, messages, atMs: clock.now() };
      const rebuilt = rebuildJournal(source, backup, `${path}.new`, wanted);
      this.#report(rebuilt, Math.min(at.checkpoint, at.ledger) + 1);
      if (!this.#options.act) return;
    } finally {
      source?.close();
      backup?.close();
      if (!this.#options.act) for (const tail of ['', '-wal', '-shm']) rmSync(`${path}.new${tail}`, { force: true });
    }
    this.#moveAside('journal.sqlite');
    renameSync(`${path}.new`, path);
  }

  #report({ kept, fromBackup, lost: gone }: Rebuilt, from: number): void {
    // Blocks that every consumer has had are not missed.
    const lost = gone.filter(({ to }) => to >= from);
    this.done.push(`journal.sqlite: made anew from ${kept} sound blocks and ${fromBackup} of the backup`);
    for (const one of lost) this.lost.push(`journal.sqlite: ${describeDamage(one)}; counted as quarantined and lost`);
    if (lost.length === 0 || this.#options.passOver || !this.#options.act) return;
    rmSync(`${this.#path('journal.sqlite')}.new`, { force: true });
    const blocks = lost.map(describeDamage).join('; ');
    throw new LamppostError(
      'invalid',
      `nobody has these, and a repair passes over them only with --pass-over: ${blocks}`,
    );
  }

  /** The history of the backup, and the readings of the log after it. */
  async #history(): Promise<void> {
    const copy = this.#copy('history.duckdb');
    const before = copy === null ? 'made anew' : `from the backup of ${this.#since}`;
    this.done.push(`history.duckdb: ${before}, and the readings of the log after it`);
    const oldest = oldestIn(null, this.#path('journal.sqlite')) ?? 1;
    const reached = copy === null ? 0 : Number(this.#positions('history.duckdb').cursor ?? 0);
    const next = Number(this.#positions('journal.sqlite').newest ?? reached) + 1;
    if (Math.max(reached + 1, next) < oldest || (copy === null && oldest > 1))
      this.lost.push(
        `history.duckdb: readings of blocks ${Math.max(reached + 1, next)} to ${oldest - 1}, which the log has no more`,
      );
    this.#replace('history.duckdb');
    if (this.#options.act) await this.#catchUp(this.#copy('journal.sqlite'));
  }

  #positions(file: string): Readonly<Record<string, number>> {
    return this.#backup?.manifest.files.find(({ name }) => name === file)?.positions ?? {};
  }

  /** Stores the readings of blocks that the ledger has counted and the history lacks; counts nothing again. */
  async #catchUp(backupJournal: string | null): Promise<void> {
    const db = openStateFile(this.#dir);
    const context = createContext(db, (control) => parseCity(control).city);
    const intake = new Intake(db, context).open();
    atOnce(intake.restore());
    const history = createDuckdbHistory({
      path: this.#path('history.duckdb'),
      metrics: context.metrics,
      unitOf: () => '',
    });
    await history.start();
    const until = createLedgerStore(db).cursor();
    try {
      for (const path of [backupJournal, this.#path('journal.sqlite')]) {
        if (path === null) continue;
        const journal = new JournalReader(path).open();
        for (
          let next = journal.after(history.cursor(), 64);
          next.length > 0;
          next = journal.after(history.cursor(), 64)
        ) {
          const outcomes = next.filter(({ seq }) => seq <= until).map((block) => intake.outcome(block));
          if (outcomes.length === 0) break;
          const of = (what: 'readings' | 'replaced') => outcomes.map((outcome) => outcome[what]);
          await history.append(of('readings'), outcomes.at(-1)!.block.seq, of('replaced'));
        }
        journal.close();
      }
      if (history.cursor() < until) await history.append([], until);
    } finally {
      await history.stop();
      db.close();
    }
  }

  /** What an earlier Lamppost kept of devices and keys, and no start has taken over yet. */
  #fileOfBefore(): void {
    const copy = this.#copy('registry.sqlite');
    this.done.push(`registry.sqlite: ${copy === null ? 'moved aside' : `from the backup of ${this.#since}`}`);
    this.lost.push(
      copy === null
        ? 'registry.sqlite: devices and keys; register them again'
        : `registry.sqlite: devices and keys that were added or changed since ${this.#since}`,
    );
    this.#replace('registry.sqlite');
  }

  /** Without a backup of it the next start makes another key. */
  #secretsKey(): void {
    const { file, lost } = SECRETS_KEY;
    const copy = this.#copy(file);
    this.done.push(`${file}: ${copy === null ? 'moved aside' : `from the backup of ${this.#since}`}`);
    if (copy === null) this.lost.push(`${file}: ${lost}`);
    this.#replace(file);
    if (copy !== null && this.#options.act) chmodSync(this.#path(file), PRIVATE_FILE);
  }

  /** A file that serves only itself: what can be read of it, that of the backup, or a new one. */
  #serving(one: (typeof ASIDE)[number]): void {
    const { file } = one;
    const copy = this.#copy(file);
    if (copy !== null && file !== 'sessions.sqlite') {
      this.done.push(`${file}: from the backup of ${this.#since}`);
      this.lost.push(`${file}: what was added since`);
      this.#replace(file);
      return;
    }
    this.done.push(`${file}: made anew`);
    if (!this.#options.act) return void this.lost.push(`${file}: ${one.lost}`);
    if (!existsSync(this.#path(file))) writeFileSync(this.#path(file), '', { mode: PRIVATE_FILE });
    const { aside, lost } = moveAside(this.#dir, one, 'repaired', clock.now());
    this.aside.push(aside);
    // A start makes its tables.
    if (!existsSync(this.#path(file))) writeFileSync(this.#path(file), '', { mode: PRIVATE_FILE });
    this.lost.push(`${file}: ${lost}`);
  }

  #photos(): void {
    for (const { file } of this.#found.findings.filter(({ file }) => file.startsWith('media/'))) {
      const copy = this.#copy(file);
      if (copy === null) this.lost.push(`${file}: the photo`);
      else this.done.push(`${file}: from the backup`);
      if (!this.#options.act) continue;
      if (existsSync(this.#path(file))) {
        // Beside the folder: everything in it counts as a photo.
        const aside = `${this.#dir}/${file.replace('/', '-')}.damaged`;
        renameSync(this.#path(file), aside);
        this.aside.push(aside);
      }
      mkdirSync(dirname(this.#path(file)), { recursive: true });
      if (copy !== null) copyFileSync(copy, this.#path(file));
    }
  }
}

/** How far the consumers of a state file have come; nowhere where there is none. */
function positionsIn(path: string | null) {
  const db = openToRead(path);
  if (db === null) return { checkpoint: 0, ledger: 0, newest: 0, messages: 0 };
  try {
    const rules = createConsumerStore(db).progress();
    const row = db.prepare('select seq, messages from ledger_cursor').get();
    const intake = Number(db.prepare('select seq from intake').get()?.seq ?? 0);
    const ledger = Number(row?.seq ?? 0);
    const newest = Math.max(intake, rules?.cursor ?? 0, ledger);
    return { checkpoint: rules?.checkpoint ?? 0, ledger, newest, messages: Number(row?.messages ?? 0) };
  } finally {
    db.close();
  }
}

function replayedIn(journal: DatabaseSync | null): number {
  try {
    return Number(journal?.prepare("select value from heads where name = 'replayed'").get()?.value ?? 0);
  } catch {
    return 0;
  }
}

function oldestIn(journal: DatabaseSync | null, path?: string): number | null {
  const db = journal ?? openToRead(path ?? null);
  try {
    const oldest = db?.prepare('select min(seq) as n from blocks').get()?.n ?? null;
    return oldest === null ? null : Number(oldest);
  } catch {
    return null;
  } finally {
    if (journal === null) db?.close();
  }
}

/** Opens a file of SQLite that may be damaged; null where it is not one, or does not exist. */
function openToRead(path: string | null): DatabaseSync | null {
  if (path === null || !existsSync(path)) return null;
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(path, { readOnly: true });
    db.prepare('select count(*) from sqlite_schema').get();
    return db;
  } catch {
    db?.close();
    return null;
  }
}

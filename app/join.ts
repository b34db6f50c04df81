import { existsSync, renameSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import {
  type ClusterSettings,
  commonBlock,
  decideJoin,
  type LogMessage,
  messageAt,
  openSnapshots,
  type Snapshot,
  type Snapshots,
  streamRange,
} from '../cluster/index.ts';
import { type Block, type Clock, LamppostError, monotonicClock } from '../domain/index.ts';
import { JournalReader } from '../journal/index.ts';
import { folderOnDisk, MANIFEST, readManifest, setAside } from '../store/index.ts';

/** The folder in a data folder into which a snapshot is downloaded; with its manifest it is complete. */
const JOINING = 'joining';
/** What is numbered by the log, and goes with it. */
const OF_THE_LOG = ['journal.sqlite', 'state.sqlite', 'history.duckdb', 'sessions.sqlite', 'deliveries.sqlite'];
const MIB = 1024 ** 2;
const LAG_MS = 20_000;
const AGAIN_MS = 500;

interface Options {
  /** The data folder, which belongs to this process. */
  readonly dir: string;
  readonly settings: ClusterSettings;
  readonly connection: NatsConnection;
  /** Whether a message of the stream is this block. */
  readonly isSame: (block: Block, message: LogMessage, before: Block | null) => boolean;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/**
 * Makes a data folder one that can follow the stream, before anything of it is opened: one that is empty or too old
 * takes the newest snapshot, and its own files are moved aside. Throws `conflict` with what to do where the folder is
 * not one of this stream's, or no snapshot leads up to it; `disk`, `log-away`.
 */
export async function joinCluster(options: Options): Promise<void> {
  const { dir, settings, connection, log } = options;
  await finishJoining(options);
  const newest = newestIn(dir);
  const range = await rangeFrom(options, newest);
  const common = commonBlock(newest, range);
  const isSame = common === null ? null : await isSameBlock(options, common);
  const snapshots = await openSnapshots(connection, settings);
  const all = await snapshots.list();
  const snapshot = all[0]?.seq ?? null;
  const joining = decideJoin({ dir, stream: settings.name, newest, range, isSame, snapshot });
  if (joining.by === 'following') return;
  log.info({ dir, snapshot }, `this node takes the newest snapshot: ${joining.why}`);
  await takeNewest(
    options,
    snapshots,
    all.filter(({ seq }) => seq >= (range?.first ?? 1) - 1),
  );
}

/**
 * The numbers of the stream. A server that has just started, or has just begun to lead, may not know of its newest
 * blocks yet: where it ends before the node's log, it is asked again for a while.
 */
async function rangeFrom({ connection, settings, log }: Options, newest: number): ReturnType<typeof streamRange> {
  const until = monotonicClock.now() + LAG_MS;
  for (let asked = 0; ; asked++) {
    const range = await streamRange(connection, settings);
    const last = range?.last ?? 0;
    if (last === 0 || last >= newest || monotonicClock.now() > until) return range;
    if (asked === 0) log.warn({ last, newest }, 'the stream ends before the log of this node: it is asked again');
    await pause(AGAIN_MS);
  }
}

/** The newest block in the log file of a data folder; 0: there is none. */
function newestIn(dir: string): number {
  const path = join(dir, 'journal.sqlite');
  if (!existsSync(path)) return 0;
  const reader = new JournalReader(path).open();
  const { seq } = reader.head();
  reader.close();
  return seq;
}

/** Null where one of the two does not have it any more. */
async function isSameBlock({ dir, settings, connection, isSame }: Options, seq: number): Promise<boolean | null> {
  const reader = new JournalReader(join(dir, 'journal.sqlite')).open();
  const blocks = reader.after(seq - 2, 2);
  reader.close();
  const block = blocks.find((one) => one.seq === seq);
  const message = await messageAt(connection, settings, seq);
  if (block === undefined || message === null) return null;
  return isSame(block, message, blocks.find((one) => one.seq === seq - 1) ?? null);
}

/** Takes the newest snapshot that is not damaged. */
async function takeNewest(options: Options, snapshots: Snapshots, all: readonly Snapshot[]): Promise<void> {
  const { dir, log } = options;
  for (const [n, snapshot] of all.entries()) {
    try {
      await mkdir(join(dir, JOINING), { recursive: true, mode: 0o700 });
      await snapshots.download(snapshot, join(dir, JOINING), progress(snapshot, log));
      return await finishJoining(options);
    } catch (error) {
      const isDamaged = error instanceof LamppostError && error.code === 'damaged';
      if (!isDamaged || n === all.length - 1) throw error;
      log.warn({ err: error, snapshot: snapshot.id }, 'a snapshot is damaged; the one before it is taken');
      await rm(join(dir, JOINING), { recursive: true });
    }
  }
}

/** Says each tenth. */
function progress({ bytes }: Snapshot, log: Pick<Logger, 'info'>): (done: number) => void {
  let said = 0;
  return (done) => {
    const tenth = bytes === 0 ? 10 : Math.floor((10 * done) / bytes);
    if (tenth <= said) return;
    said = tenth;
    log.info(`snapshot: ${Math.ceil(done / MIB)} of ${Math.ceil(bytes / MIB)} MiB are here`);
  };
}

/**
 * Moves a downloaded snapshot to its place, and what was there before aside. It may be interrupted anywhere: what is
 * still in the folder of the download is not at its place yet.
 */
async function finishJoining({ dir, clock, log }: Pick<Options, 'dir' | 'clock' | 'log'>): Promise<void> {
  const from = join(dir, JOINING);
  if (!existsSync(join(from, MANIFEST))) return;
  const { files } = await readManifest(from);
  const names = [...new Set(files.map(({ name }) => name.split('/')[0]!))];
  const aside: string[] = [];
  for (const name of new Set([...OF_THE_LOG, ...names])) {
    const isComing = existsSync(join(from, name));
    if (names.includes(name) && !isComing) continue;
    if (existsSync(join(dir, name))) aside.push(setAside(join(dir, name), clock.now(), 'replaced'));
    if (isComing) renameSync(join(from, name), join(dir, name));
  }
  await folderOnDisk(dir);
  await rm(from, { recursive: true });
  await folderOnDisk(dir);
  if (aside.length > 0) log.info({ aside }, 'the files of before are kept; delete them once you do not need them');
}

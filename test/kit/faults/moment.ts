import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { COUNTED, Replica } from '../../../app/replica.ts';
import { comparison } from '../../../app/verify.ts';
import { isoOf, systemClock } from '../../../domain/index.ts';
import { compareFiles, copyDatabase } from '../../../store/index.ts';
import type { ServerProcess } from '../server.ts';
import { faultsAtMoment, faultsOfCommand } from './acted.ts';
import type { Asked } from './acting.ts';

/** A moment of a running server: its state as it was then. */
export interface Moment {
  /** Folder of the copy. */
  readonly dir: string;
  /** When the newest block that the copy has read was received, epoch ms. */
  readonly atMs: number;
  /** When the copy ended. */
  readonly copiedMs: number;
}

const blockOf = (path: string, sql: string, value: number) => {
  const db = new DatabaseSync(path, { readOnly: true });
  const { n } = db.prepare(sql).get(value)!;
  db.close();
  return Number(n);
};

/** Copies the state of a running server. */
export async function copyMoment(server: ServerProcess): Promise<Moment> {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-moment-'));
  const state = join(dir, 'state.sqlite');
  await copyDatabase(join(server.data, 'state.sqlite'), state);
  const copiedMs = Date.now();
  const cursor = blockOf(state, 'select seq as n from rules_cursor where one = ?', 1);
  const journal = join(server.data, 'journal.sqlite');
  const atMs = blockOf(journal, 'select received_at as n from blocks where seq = ?', cursor);
  return { dir, atMs, copiedMs };
}

/**
 * Restores a backup to a moment, with the log of a server that has gone on since, and returns how the result differs
 * from the state as it was: table by table, and by what clients were answered before.
 */
export async function faultsOfRestore(
  { dir, atMs, copiedMs }: Moment,
  { backup, log, asked }: { readonly backup: string; readonly log: string; readonly asked: readonly Asked[] },
): Promise<string[]> {
  const data = join(dir, 'restored');
  const failed = await faultsOfCommand(['restore', backup, '--data', data, '--to', isoOf(atMs), '--log', log]);
  if (failed.length > 0) return failed;
  const state = join(data, 'state.sqlite');
  const last = blockOf(join(data, 'journal.sqlite'), 'select max(seq) as n from blocks where seq > ?', 0);
  await bringTo(last, dir, join(log, 'journal.sqlite'));
  const differences = compareFiles(join(dir, 'state.sqlite'), state, comparison({ ledger: true }));
  const shown = differences.map((one) => `restored to ${isoOf(atMs)}: ${JSON.stringify(one)}`);
  // A block is a moment older than the copy of what it led to.
  const found = faultsAtMoment(state, asked, { fromMs: atMs, toMs: copiedMs });
  rmSync(dir, { recursive: true });
  return [...shown, ...found];
}

/** The copy reads the blocks that came in the same millisecond, and counts those that only its rules have read. */
async function bringTo(block: number, dir: string, journal: string): Promise<void> {
  mkdirSync(dir, { recursive: true });
  const deps = { clock: systemClock, log: pino({ level: 'silent' }) };
  const replica = new Replica({ dir, journal, upTo: block }, deps);
  await replica.start().follow(COUNTED);
  replica.close();
}

/** How fast a file of readings is imported, beside DuckDB that only reads the same file into a table. */
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { run } from '../../cli/index.ts';
import { importParts } from '../../ingest/index.ts';
import { ADMIN_KEY } from '../kit/server.ts';
import { cpuSeconds, peakMiB } from './process.ts';
import { lamppost } from './subjects.ts';

const DEVICES = 1_000;
const FROM = Date.UTC(2025, 0, 1);
const STEP_MS = 60_000;

/** The result of one run. */
export interface ImportFigures {
  readonly readings: number;
  readonly bytes: number;
  /** From the command's start until all is in the history. */
  readonly readingsPerSecond: number;
  /** The same file once more: nothing changes. */
  readonly againPerSecond: number;
  /** DuckDB alone, one thread: a table from the CSV. */
  readonly duckdbPerSecond: number;
  /** Only reading the file into parts. */
  readonly parsedPerSecond: number;
  /** CPU of the server, seconds for a million readings. */
  readonly cpuSecondsPerMillion: number;
  readonly peakMiB: number;
  readonly journalBytesPerReading: number;
}

/** Imports so many readings of 1,000 devices, in order of time, with three decimals. */
export async function benchImport(readings: number): Promise<ImportFigures> {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-bench-'));
  const file = join(dir, 'readings.csv');
  const first = writeFile(file, readings);
  const bytes = statSync(file).size;
  const subject = await lamppost(DEVICES);
  try {
    const { server, pid } = subject;
    const args = ['import', 'readings', file, '--url', `http://127.0.0.1:${server.httpPort}`, '--key', ADMIN_KEY];
    const before = cpuSeconds(pid);
    const seconds = await timed(() => run(args, {}));
    const cpu = cpuSeconds(pid) - before;
    const journal = /^lamppost_journal_bytes (\S+)$/m.exec(await metrics(server.httpPort))?.[1];
    const again = await timed(() => run(args, {}));
    const how = { format: 'csv', device: null, precision: null, firstLine: 1, rules: false } as const;
    const parsed = await timed(async () => importParts(first.text, how));
    return {
      readings,
      bytes,
      readingsPerSecond: readings / seconds,
      againPerSecond: readings / again,
      duckdbPerSecond: readings / (await timed(() => bare(file))),
      parsedPerSecond: first.rows / parsed,
      cpuSecondsPerMillion: (cpu * 1e6) / readings,
      peakMiB: peakMiB(pid),
      journalBytesPerReading: Number(journal) / readings,
    };
  } finally {
    await subject.stop();
    rmSync(dir, { recursive: true });
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1_000;
}

async function metrics(port: number): Promise<string> {
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  return (await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).text();
}

async function bare(file: string): Promise<void> {
  const instance = await DuckDBInstance.create(`${file}.duckdb`, { threads: '1' });
  const connection = await instance.connect();
  await connection.run(`create table readings as select * from read_csv('${file}')`);
  await connection.run('checkpoint');
  instance.closeSync();
}

/** Writes the file; returns its first rows. */
function writeFile(file: string, readings: number): { text: Buffer; rows: number } {
  const handle = openSync(file, 'w');
  const header = 'device,ts,metric,value\n';
  writeSync(handle, header);
  let [at, first] = [0, { text: Buffer.alloc(0), rows: 0 }];
  while (at < readings) {
    const rows = Math.min(100_000, readings - at);
    let text = '';
    for (let i = 0; i < rows; i++, at++) {
      const ts = new Date(FROM + Math.floor(at / DEVICES) * STEP_MS).toISOString();
      text += `bench-${at % DEVICES},${ts},pm25,${(5 + ((at * 7) % 9_000) / 1_000).toFixed(3)}\n`;
    }
    if (first.rows === 0) first = { text: Buffer.from(header + text), rows };
    writeSync(handle, text);
  }
  closeSync(handle);
  return first;
}

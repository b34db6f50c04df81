import { access, open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { LamppostError } from '../domain/index.ts';
import type { ImportReport } from '../ingest/index.ts';
import { type Client, clientOf } from './client.ts';
import { unreadable } from './files.ts';
import type { IMPORT_READINGS } from './flags.ts';
import { createProgress, type Progress, print } from './output.ts';
import type { Given } from './spec.ts';

/** Bytes of a file that are sent at once, up to the end of a line. */
const PIECE = 8 * 1024 ** 2;
/** How often, and for how long, a piece is sent again to a server that is busy or not there. */
const MOST_TRIES = 60;
const RETRY_MS = 1_000;

const FORMATS: Readonly<Record<string, string>> = { csv: 'csv', parquet: 'parquet', lp: 'lines', txt: 'lines' };

/** A piece of a file: whole lines, the header of CSV before them. */
interface Piece {
  readonly text: Buffer<ArrayBuffer>;
  /** The number of its first line. */
  readonly line: number;
  /** How much of the file is read by then, from 0 to 1; null where that is not known. */
  readonly share: number | null;
}

/**
 * `import readings <file>`: sends a file to a running server, piece by piece, and prints what became of its rows. A
 * command that was ended is run again: what is stored already changes nothing. Returns 1 where rows were refused.
 */
export async function importCommand(
  { args, flags }: Given<typeof IMPORT_READINGS>,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const file = args[0]!;
  const format = flags.format ?? FORMATS[file.split('.').at(-1)!.toLowerCase()];
  if (format === undefined)
    throw new LamppostError('config', `${file}: say what it is: --format csv, lines or parquet`);
  const query = new URLSearchParams({ format: format === 'parquet' ? 'csv' : format, file: basename(file) });
  for (const name of ['device', 'precision'] as const) if (flags[name] !== undefined) query.set(name, flags[name]);
  for (const name of ['rules', 'train'] as const) if (flags[name]) query.set(name, 'true');
  await access(file).catch((cause: unknown) => {
    throw unreadable(file, cause);
  });
  const progress = createProgress(flags.progress);
  const report = await sendAll(clientOf(flags, environment), piecesOf(file, format), query, progress);
  progress.clear();
  print(flags.json, report, linesOf);
  return report.refused > 0 ? 1 : 0;
}

async function sendAll(
  client: Client,
  pieces: AsyncIterable<Piece>,
  query: URLSearchParams,
  progress: Progress,
): Promise<ImportReport> {
  const sum = { rows: 0, stored: 0, refused: 0, repeated: 0, more: 0, faults: [] as ImportReport['faults'][number][] };
  const from = performance.now();
  for await (const [{ faults, ...counts }, share] of reportsOf(client, pieces, query)) {
    for (const key of ['rows', 'stored', 'refused', 'repeated', 'more'] as const) sum[key] += counts[key];
    addFaults(sum.faults, faults);
    const seconds = (performance.now() - from) / 1_000;
    const done = share === null ? '' : `${(share * 100).toFixed(1)} %, `;
    progress.show(`${done}${sum.rows} rows, ${Math.round(sum.rows / seconds)} rows/s`);
  }
  return sum;
}

/** While the server stores a piece, it reads the next one: two are on their way. */
async function* reportsOf(
  client: Client,
  pieces: AsyncIterable<Piece>,
  query: URLSearchParams,
): AsyncGenerator<readonly [ImportReport, share: number | null]> {
  let before: Promise<readonly [ImportReport, number | null]> | null = null;
  for await (const { text, line, share } of pieces) {
    query.set('line', String(line));
    const sent = sendPiece(client, `/api/v1/import?${query}`, text).then((report) => [report, share] as const);
    // It is awaited after the one before.
    sent.catch(() => {});
    if (before !== null) yield await before;
    before = sent;
  }
  if (before !== null) yield await before;
}

function addFaults(all: ImportReport['faults'][number][], more: ImportReport['faults']): void {
  for (const fault of more) {
    const at = all.findIndex(({ reason, detail }) => reason === fault.reason && detail === fault.detail);
    if (at === -1) all.push(fault);
    else all[at] = { ...all[at]!, count: all[at]!.count + fault.count };
  }
}

/** A server that restarts, or that has others to serve, gets the piece again: it is stored once. */
async function sendPiece(client: Client, path: string, text: Buffer<ArrayBuffer>): Promise<ImportReport> {
  for (let tries = 1; ; tries++) {
    try {
      const response = await client.send('POST', path, { bytes: text });
      const said = await response.text();
      if (response.ok) return JSON.parse(said) as ImportReport;
      if (response.status !== 503 && response.status !== 429) throw client.problem(said, response.status);
      if (tries === MOST_TRIES) throw client.problem(said, response.status);
    } catch (error) {
      const isAway = error instanceof LamppostError ? error.code === 'busy' : error instanceof TypeError;
      if (!isAway || tries === MOST_TRIES) throw error;
    }
    await pause(RETRY_MS);
  }
}

function linesOf({ rows, stored, refused, repeated, faults, more }: ImportReport): string[] {
  return [
    `${rows} rows: ${stored} stored, ${refused} refused, ${repeated} imported before`,
    ...faults.map(({ reason, detail, count, lines }) => `  ${count} × ${reason}: ${detail} (line ${lines.join(', ')})`),
    ...(more > 0 ? [`  ${more} more`] : []),
  ];
}

function piecesOf(file: string, format: string): AsyncGenerator<Piece> {
  if (format === 'parquet') return piecesOfParquet(file);
  return piecesOfText(file, format === 'csv');
}

async function* piecesOfText(file: string, hasHeader: boolean): AsyncGenerator<Piece> {
  const { size } = await stat(file);
  const handle = await open(file);
  try {
    let [header, rest, read, line] = [Buffer.alloc(0), Buffer.alloc(0), 0, 1];
    while (read < size) {
      const buffer = Buffer.allocUnsafe(PIECE);
      const { bytesRead } = await handle.read(buffer, 0, PIECE, read);
      if (bytesRead === 0) break;
      read += bytesRead;
      const all = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
      const end = read < size ? all.lastIndexOf('\n') + 1 : all.length;
      if (end === 0) throw new LamppostError('invalid', `${file}: line ${line} has more than ${all.length} bytes`);
      const text = all.subarray(0, end);
      rest = Buffer.from(all.subarray(end));
      yield { text: Buffer.concat([header, text]), line: header.length > 0 ? line - 1 : line, share: read / size };
      if (hasHeader && header.length === 0) header = Buffer.from(text.subarray(0, text.indexOf('\n') + 1));
      line += linesIn(text);
    }
  } finally {
    await handle.close();
  }
}

async function* piecesOfParquet(file: string): AsyncGenerator<Piece> {
  const { csvOfParquet } = await import('../history/index.ts');
  let [header, text, line, next] = ['', '', 1, 2];
  for await (const part of csvOfParquet(file)) {
    if (header === '') {
      header = part;
      continue;
    }
    text += part;
    if (text.length < PIECE) continue;
    yield { text: Buffer.from(header + text), line, share: null };
    next += linesIn(Buffer.from(text));
    [text, line] = ['', next - 1];
  }
  if (text !== '' || line === 1) yield { text: Buffer.from(header + text), line, share: null };
}

function linesIn(text: Buffer): number {
  let lines = 0;
  for (let at = text.indexOf(10); at !== -1; at = text.indexOf(10, at + 1)) lines++;
  return lines;
}

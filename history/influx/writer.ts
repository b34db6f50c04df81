import type { RefusedRow } from '../../domain/index.ts';
import type { InfluxLimits } from './connection.ts';
import type { LineBuilder, Lines, Rows } from './lines.ts';
import type { Refusal, Verdict } from './responses.ts';

/** Brings rows into the database, around those that it refuses. */
export interface LineWriter {
  /**
   * Writes the rows from number `from` on. When it resolves, all are stored but those it refused. `reached` is told, in
   * order and also before it throws, up to which row all are done, and which of these were refused since the last time.
   */
  write(rows: Rows, from: number, reached: (row: number, refused: readonly RefusedRow[]) => void): Promise<void>;
}

/** How many rows are tried alone before an answer that names no point is held against the points. */
const PROBES = 8;

/** A writer that sends by `send`; what is refused is split until the bad rows are alone. */
export function createLineWriter(
  send: (lines: string) => Promise<Verdict>,
  builder: LineBuilder,
  limits: Pick<InfluxLimits, 'lines' | 'inFlight'>,
): LineWriter {
  let mostLines = limits.lines;

  /** One request, and all that becomes of it. */
  function requestOf(rows: Rows, refused: RefusedRow[]) {
    /** Whether a refusal is known to be about points, also where the server does not say so. */
    let ofPoints = false;

    const refuse = (picked: Int32Array, detail: string) => {
      for (const i of picked) refused.push({ of: rows.of, batch: rows.batch(i), row: rows.row(i), detail });
    };

    async function sendLines(lines: Lines): Promise<void> {
      const verdict = await send(lines.text.join('\n'));
      if (verdict.kind === 'wait') throw verdict.error;
      if (verdict.kind === 'too-large') await halve(lines);
      if (verdict.kind === 'refused') {
        ofPoints ||= verdict.refusal.ofPoints || (await anyStored(lines.rows));
        if (!ofPoints) throw verdict.error;
        await isolate(lines, verdict.refusal);
      }
    }

    async function sendRows(picked: Int32Array): Promise<void> {
      if (picked.length > 0) await sendLines(builder.build(rows, picked));
    }

    /** The good rows are stored again without harm; the bad ones end alone. */
    async function isolate(lines: Lines, refusal: Refusal): Promise<void> {
      if (lines.rows.length === 1 || wholly(lines, refusal)) refuse(lines.rows, refusal.said);
      else for (const part of partsOf(lines, refusal)) await sendRows(part);
    }

    /** Whether the database takes one of a few rows, spread over all: then it is the others that it refuses. */
    async function anyStored(picked: Int32Array): Promise<boolean> {
      const step = Math.max(1, Math.floor(picked.length / PROBES));
      for (let n = 0; n < picked.length; n += step) {
        const verdict = await send(builder.build(rows, picked.subarray(n, n + 1)).text[0]!);
        if (verdict.kind === 'stored') return true;
        if (verdict.kind === 'wait') throw verdict.error;
      }
      return false;
    }

    /** Suspects and others, where the answer tells them apart; halves where it does not. */
    function partsOf(lines: Lines, refusal: Refusal): Int32Array[] {
      const suspected = suspicion(lines, refusal);
      const suspects = lines.rows.filter((_, n) => suspected(n));
      if (suspects.length > 0 && suspects.length < lines.rows.length) {
        return [suspects, lines.rows.filter((_, n) => !suspected(n))];
      }
      return halves(lines.rows);
    }

    function suspicion(lines: Lines, { field, lines: listed }: Refusal): (n: number) => boolean {
      if (field !== null) {
        return (n) => {
          const i = lines.rows[n]!;
          return builder.field(rows.metric(i)) === field.name && rows.device(i).profile === field.measurement;
        };
      }
      const spans = (listed ?? []).map((line) => [lines.first[line] ?? 0, lines.first[line + 1] ?? 0] as const);
      const marked = new Set(spans.flatMap(([a, b]) => Array.from({ length: Math.max(0, b - a) }, (_, k) => a + k)));
      return (n) => marked.has(n);
    }

    async function halve(lines: Lines): Promise<void> {
      mostLines = Math.max(1, Math.min(mostLines, Math.floor(lines.text.length / 2)));
      if (lines.rows.length === 1) {
        refuse(lines.rows, 'even alone, its line is too large for the database or a proxy in front');
        return;
      }
      for (const half of halves(lines.rows)) await sendRows(half);
    }

    return sendLines;
  }

  return {
    async write(rows, from, reached) {
      const picked = Int32Array.from({ length: rows.length - from }, (_, n) => from + n);
      const requests = cut(builder.build(rows, picked), mostLines);
      const refused = requests.map((): RefusedRow[] => []);
      const run = (n: number) => requestOf(rows, refused[n]!)(requests[n]!);
      await inLanes(requests.length, limits.inFlight, run, (n) => {
        const done = requests[n]!.rows;
        reached(done[done.length - 1]! + 1, refused[n]!);
      });
    },
  };
}

/** Whether the answer says that every row was dropped, for whole lines or since each line is one row. */
function wholly({ text, rows }: Lines, { dropped, ofLines }: Refusal): boolean {
  return dropped === text.length && (ofLines || text.length === rows.length);
}

function halves(picked: Int32Array): Int32Array[] {
  const middle = picked.length >>> 1;
  return [picked.subarray(0, middle), picked.subarray(middle)];
}

/** Requests of so many lines. */
function cut(lines: Lines, most: number): Lines[] {
  const parts: Lines[] = [];
  for (let a = 0; a < lines.text.length; a += most) {
    const b = Math.min(a + most, lines.text.length);
    const start = lines.first[a]!;
    parts.push({
      text: lines.text.slice(a, b),
      first: lines.first.slice(a, b + 1).map((n) => n - start),
      rows: lines.rows.subarray(start, lines.first[b]!),
    });
  }
  return parts;
}

/**
 * Runs the jobs 0, 1, … `count` - 1, so many at a time, begun in order; after a failure none is begun, and the first
 * failure is thrown when those under way have ended. `done` is told of each job when it and all before it are done.
 */
async function inLanes(
  count: number,
  lanes: number,
  run: (job: number) => Promise<void>,
  done: (job: number) => void,
): Promise<void> {
  const ended = new Set<number>();
  const failures: unknown[] = [];
  let next = 0;
  let whole = 0;
  const lane = async () => {
    while (failures.length === 0 && next < count) {
      const job = next++;
      try {
        await run(job);
      } catch (error) {
        failures.push(error);
        return;
      }
      ended.add(job);
      while (ended.delete(whole)) done(whole++);
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, count) }, lane));
  if (failures.length > 0) throw failures[0];
}

import type { RefusedRow } from '../../domain/index.ts';
import type { InfluxLimits } from './connection.ts';
import type { LineBuilder, Lines, Rows } from './lines.ts';
import type { Refusal, Verdict } from './responses.ts';

/** Writes rows to the database and finds those that it refuses. */
export interface LineWriter {
  /**
   * Writes the rows from number `from` on. When it resolves, all rows are stored except those the database refused. It
   * calls `reached` in order, also before it throws, with the row up to which all are done and the rows refused since
   * the last call.
   */
  write(rows: Rows, from: number, reached: (row: number, refused: readonly RefusedRow[]) => void): Promise<void>;
}

/** How many rows are sent alone before a response that names no point is attributed to the setup. */
const PROBES = 8;

/** Creates a writer that sends with `send`; a refused request is split until the bad rows are alone. */
export function createLineWriter(
  send: (lines: string) => Promise<Verdict>,
  builder: LineBuilder,
  limits: Pick<InfluxLimits, 'lines' | 'inFlight'>,
): LineWriter {
  let mostLines = limits.lines;

  /** Sends one request and the smaller ones that follow from it. */
  function requestOf(rows: Rows, refused: RefusedRow[]) {
    /** Whether refusals are known to be about points, also where the server does not say so. */
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

    /** Splits a refused request. Good rows are written again, which changes nothing; bad rows end up alone. */
    async function isolate(lines: Lines, refusal: Refusal): Promise<void> {
      if (lines.rows.length === 1 || wholly(lines, refusal)) refuse(lines.rows, refusal.said);
      else for (const part of partsOf(lines, refusal)) await sendRows(part);
    }

    /**
     * Whether the database stores one of a few rows, spread over all: then it refuses the others because of their
     * content.
     */
    async function anyStored(picked: Int32Array): Promise<boolean> {
      const step = Math.max(1, Math.floor(picked.length / PROBES));
      for (let n = 0; n < picked.length; n += step) {
        const verdict = await send(builder.build(rows, picked.subarray(n, n + 1)).text[0]!);
        if (verdict.kind === 'stored') return true;
        if (verdict.kind === 'wait') throw verdict.error;
      }
      return false;
    }

    /** Returns suspected rows and the others where the response names some; otherwise two halves. */
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

/** Whether the response says that every row was dropped: the reason is about whole lines, or each line is one row. */
function wholly({ text, rows }: Lines, { dropped, ofLines }: Refusal): boolean {
  return dropped === text.length && (ofLines || text.length === rows.length);
}

function halves(picked: Int32Array): Int32Array[] {
  const middle = picked.length >>> 1;
  return [picked.subarray(0, middle), picked.subarray(middle)];
}

/** Divides lines into requests of at most `most` lines. */
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
 * Runs the jobs 0, 1, … `count` - 1 in order, at most `lanes` at a time. After a failure it starts no more jobs, and
 * throws the first failure when the running jobs have ended. It calls `done` for each job when it and all before it are
 * done.
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

import { type City, DAY_MS, HOUR_MS, type Rule } from '../../domain/index.ts';
import type { Explanation } from '../engine/index.ts';
import { type Explained, explained } from '../explained.ts';
import { Case, type Fault, timedCase } from './case.ts';
import { type Incident, Play, type Standing } from './play.ts';
import type { TimedCase, WrittenCase } from './schema.ts';

/** An expectation that did not hold. */
export interface Failure {
  readonly path: readonly PropertyKey[];
  /** `at 10:25, a`. */
  readonly where: string;
  readonly expected: string;
  readonly was: string;
  /** Why the alert was in its state, with times as the author writes them; null where there is no explanation. */
  readonly explanation: Explained | null;
}

/** The result of a case. A case with faults was not played. */
export interface Verdict {
  readonly checks: number;
  readonly faults: readonly Fault[];
  readonly failures: readonly Failure[];
  /** Devices that the rule does not apply to. */
  readonly leftOut: readonly string[];
}

/** Plays a case and compares it with what its author expects. Pure. */
export function judgeCase(given: WrittenCase, rule: Rule, city: City): Verdict {
  const faults: Fault[] = [];
  const written = timedCase(given, city, faults);
  const played = new Case(written, rule, city, faults);
  const expected = written.expect.map((one, i) => ({ ...one, i, group: played.groupOf(one, ['expect', i]) }));
  const tickets = written.tickets?.map((one, i) => ({ ...one, i, group: played.groupOf(one, ['tickets', i]) }));
  const checks = expected.length + (tickets === undefined ? 0 : 1);
  if (checks === 0) faults.push([[], 'expects nothing: write expect or tickets']);
  if (faults.length > 0) return { checks, faults, failures: [], leftOut: [] };

  const play = new Play(played, rule, city);
  const failures: Failure[] = [];
  for (const one of expected.toSorted((a, b) => a.at - b.at)) {
    play.until(played.startMs + one.at);
    const standing = play.standing(one.group!);
    if (meets(one, standing)) continue;
    failures.push({
      path: ['expect', one.i],
      where: `at ${clockOf(one.at)}, ${one.group}`,
      expected: shown(one),
      was: shown({ ...standing, ...(standing.state === 'inactive' ? { severity: undefined } : {}) }),
      explanation: standing.explanation && explainedInCase(standing.explanation, played.startMs),
    });
  }
  if (tickets !== undefined) {
    play.until(played.startMs + endOf(written));
    const was = rule.ticket === undefined ? [] : play.incidents.map((one) => ticketLine(one, played.startMs));
    failures.push(
      ...ticketFailures(
        tickets.map((one) => lineOf(one)),
        was,
      ),
    );
  }
  return { checks, faults, failures, leftOut: played.leftOut() };
}

/** Returns an explanation with times as the author writes them. */
function explainedInCase(explanation: Explanation, startMs: number): Explained {
  const words = explained(explanation);
  const clock = (iso: string | null) => iso && clockOf(Date.parse(iso) - startMs);
  const clauses = words.clauses.map((clause) => ({ ...clause, newest: clock(clause.newest) }));
  return { ...words, since: clock(words.since), due: clock(words.due), clauses };
}

interface Wanted {
  readonly state: Standing['state'];
  readonly severity?: string | null | undefined;
  readonly value?: number | null | undefined;
}

function meets({ state, severity, value }: Wanted, standing: Standing): boolean {
  if (state !== standing.state) return false;
  if (severity !== undefined && severity !== standing.severity) return false;
  return value === undefined || sameValue(value, standing.value);
}

/** Compares to as many decimals as are written: 82.4999 equals 82.5. */
function sameValue(expected: number | null, was: number | null): boolean {
  if (expected === null || was === null) return expected === was;
  const decimals = /\.(\d+)$/.exec(String(expected))?.[1]?.length ?? 0;
  return Math.abs(was - expected) <= 0.5 * 10 ** -decimals * (1 + 1e-9);
}

function shown({ state, severity, value }: Wanted): string {
  const parts: string[] = [state];
  if (severity !== undefined && severity !== null) parts.push(`severity ${severity}`);
  if (value !== undefined) parts.push(`value ${value === null ? 'none' : Number(value.toPrecision(6))}`);
  return parts.join(', ');
}

interface TicketLine {
  readonly key: string;
  readonly severity: string | null;
}

function lineOf({ group, opened, resolved, severity }: WrittenTicket): TicketLine {
  return { key: ticketText(group!, opened, resolved ?? null), severity: severity ?? null };
}

type WrittenTicket = Omit<NonNullable<TimedCase['tickets']>[number], 'group'> & { readonly group: string | null };

/** Times to the second, as authors write them. */
function ticketLine({ group, openedMs, resolvedMs, severity }: Incident, startMs: number): TicketLine {
  const resolved = resolvedMs === null ? null : resolvedMs - startMs;
  return { key: ticketText(group, openedMs - startMs, resolved), severity };
}

function ticketText(group: string, opened: number, resolved: number | null): string {
  return `${group} ${clockOf(opened)} to ${resolved === null ? '(open)' : clockOf(resolved)}`;
}

function ticketFailures(expected: readonly TicketLine[], was: readonly TicketLine[]): Failure[] {
  const left = [...was];
  const missing = expected.filter(({ key, severity }) => {
    const at = left.findIndex((one) => one.key === key && (severity === null || one.severity === severity));
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  if (missing.length === 0 && left.length === 0) return [];
  const list = (lines: readonly TicketLine[]) => lines.map(({ key }) => key).join('; ') || 'none';
  return [{ path: ['tickets'], where: 'tickets', expected: list(expected), was: list(was), explanation: null }];
}

/** Returns the last moment that a case names, ms after its start. */
function endOf({ readings, expect, tickets = [] }: TimedCase): number {
  const ends = [
    ...readings.map((one) => one.at + (one.for ?? 0)),
    ...expect.map(({ at }) => at),
    ...tickets.map(({ opened, resolved }) => Math.max(opened, resolved ?? 0)),
  ];
  return ends.reduce((a, b) => Math.max(a, b), 0);
}

/** `10:25`, `10:25:30`, `+1d 10:25`. */
function clockOf(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  const pad = (n: number) => String(n).padStart(2, '0');
  const days = Math.floor(ms / DAY_MS);
  const clock = `${pad(Math.floor(ms / HOUR_MS) % 24)}:${pad(Math.floor(seconds / 60) % 60)}`;
  const rest = seconds % 60 === 0 ? '' : `:${pad(seconds % 60)}`;
  return `${days === 0 ? '' : `+${days}d `}${clock}${rest}`;
}

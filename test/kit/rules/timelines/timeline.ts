import { expect, test } from 'vitest';
import { formatProblems, parseCity } from '../../../../city-model/index.ts';
import type { KnownDevice, Rule, Transition } from '../../../../domain/index.ts';
import { parseRule } from '../../../../rules/language/index.ts';
import { sample } from '../../city-model/kit.ts';
import { intakeBench, native } from '../../ingest/intake.ts';
import type { Entry, Op, Sample } from '../reference/journal.ts';
import { Process } from '../reference/process.ts';
import { Reference } from '../reference/reference.ts';
import { START, wordsOf } from './moments.ts';
import { deviceOf, type Line, lineOf, textsOf } from './script.ts';

const city = parseCity(sample).city!;

/** The rules and devices of a timeline. */
export interface Play {
  /**
   * YAML as an author writes it; id `r` and severity `low` where it names none. A second set, by `rules 2` in the
   * timeline.
   */
  readonly rule: string;
  readonly second?: string;
  /** `d1 air-quality harbour`, one a line; by default that one. */
  readonly devices?: string;
  /** Whether distances of more than a minute are downtime of the server. Default: no, since timelines are sparse. */
  readonly gaps?: boolean;
  /** Whether readings pass through the real intake, whose refusals are lines too. */
  readonly intake?: boolean;
}

/** Parses rules that are separated by `---`. */
function rulesOf(text: string): Rule[] {
  return text.split('---').map((one) => {
    const more = [
      ['id', 'r'],
      ['title', 'T'],
      ['severity', 'low'],
    ].filter(([key]) => !new RegExp(`^ *${key}:`, 'm').test(one));
    const plain = one.replace(/^\n+/, '').replace(/ +$/, '');
    const indent = /^ */.exec(plain)![0].length;
    const whole = [
      ...more.map(([key, value]) => `${key}: ${value}`),
      ...plain.split('\n').map((line) => line.slice(indent)),
    ];
    const { rule, problems } = parseRule(whole.join('\n'), city, { path: 'rule', origin: 'api:test' });
    expect(formatProblems(problems)).toBe('');
    return rule!;
  });
}

/** `→ 10:00 d1 firing 80`, with the rule where it is not `r` and the severity where it is not the rule's own. */
function lineFor({ rule, group, to, atMs, value, severity }: Transition, rules: readonly Rule[]): string {
  const least = rules.find(({ id }) => id === rule)?.severity;
  const words = [wordsOf(atMs), rule === 'r' ? group : `${rule} ${group}`, to];
  if (value !== null) words.push(String(Number(value.toPrecision(6))));
  if (severity !== least) words.push(severity);
  return `→ ${words.join(' ')}`;
}

type Evaluator = (entry: Entry) => Transition[];

/** A block after the intake, and its refusals: `→ 10:00 d1 refused too-old`, `… duplicate`, `… replaced`. */
interface Passed {
  readonly entry: Entry;
  readonly lines: readonly string[];
}

/** The real intake of the sample city with its own state file; each reading passes as one message. */
function createGate(devices: readonly KnownDevice[], atMs: number): (entry: Entry) => Passed {
  const bench = intakeBench();
  bench.city(sample, atMs);
  bench.devices(devices, [], atMs);
  return (entry) => {
    const { op } = entry;
    if (op.kind !== 'readings') return { entry, lines: [] };
    const messages = op.samples.map(({ id, metric, ts, value }) =>
      native(id, { ts, metrics: { [metric]: value } }, entry.atMs),
    );
    const outcome = bench.send(messages);
    const samples = bench.rows(outcome).map(([id, metric, ts, value]): Sample => ({ id, metric, ts, value }));
    const line = (device: string, words: string) => `→ ${wordsOf(entry.atMs)} ${device} ${words}`;
    const lines = [
      ...outcome.refusals.map(({ device, reason }) => line(device, `refused ${reason}`)),
      ...outcome.tallies.filter(({ duplicate }) => duplicate > 0).map(({ device }) => line(device, 'duplicate')),
      ...outcome.tallies.filter(({ replaced }) => replaced > 0).map(({ device }) => line(device, 'replaced')),
    ];
    return { entry: { ...entry, op: { ...op, samples } }, lines };
  };
}

/** All evaluators by name: each must give the same transitions. */
function evaluators(gaps: boolean, reference: Reference): Record<string, Evaluator> {
  const engine = new Process({ gaps });
  let restarted = new Process({ gaps });
  return {
    'the engine': (entry) => engine.play(entry),
    'the reference': (entry) => reference.play(entry),
    'an engine that is restarted after each block': (entry) => {
      const transitions = restarted.play(entry);
      restarted = restarted.restarted(entry);
      return transitions;
    },
  };
}

/** Returns the script with the transitions written into it. */
function play({ opening, lines, known, intake }: Scenario, evaluator: Evaluator): string[] {
  let seq = 0;
  const registered = opening.flatMap((op) => (op.kind === 'device' ? [op.device] : []));
  const gate = intake ? createGate(registered, START) : (entry: Entry): Passed => ({ entry, lines: [] });
  for (const op of opening) expect(evaluator({ seq: ++seq, atMs: START, op })).toEqual([]);
  const happen = (atMs: number, op: Op) => {
    const { entry, lines: refusals } = gate({ seq: ++seq, atMs, op });
    return [...refusals, ...evaluator(entry).map((one) => lineFor(one, known))];
  };
  return lines.flatMap(({ text, ops }) => [text, ...ops.flatMap(({ atMs, op }) => happen(atMs, op))]);
}

interface Scenario {
  readonly opening: readonly Op[];
  readonly lines: readonly Line[];
  readonly known: readonly Rule[];
  readonly intake: boolean;
}

/**
 * A test of a rule over time. Each line is an input; the lines with an arrow after it are all its transitions, oldest
 * first. The engine must give exactly these, also with a restart after each block, and so must the reference evaluator.
 */
export function timeline(name: string, setting: Play, script: string): void {
  const { rule, second, devices = 'd1 air-quality harbour', gaps = false, intake = false } = setting;
  test(name, () => {
    const rules = { 1: rulesOf(rule), ...(second !== undefined && { 2: rulesOf(second) }) };
    const calendars = [...city.calendars.values()];
    const texts = textsOf(script);
    const opening: Op[] = [
      { kind: 'rules', rules: rules[1], calendars },
      ...textsOf(devices).map((text) => ({ kind: 'device', device: deviceOf(text) }) as const),
    ];
    const lines = texts.filter((text) => !text.startsWith('→')).map((text) => lineOf(text, { rules, calendars }));
    const scenario = { opening, lines, known: Object.values(rules).flat(), intake };
    const reference = new Reference({ gaps });
    for (const [who, evaluator] of Object.entries(evaluators(gaps, reference)))
      expect(play(scenario, evaluator), who).toEqual(texts);
    expect(reference.inexact).toBe(false);
  });
}

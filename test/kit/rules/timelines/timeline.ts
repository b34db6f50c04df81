import { expect, test } from 'vitest';
import { formatProblems, parseCity } from '../../../../city-model/index.ts';
import type { Rule, Transition } from '../../../../domain/index.ts';
import { parseRule } from '../../../../rules/language/index.ts';
import { sample } from '../../city-model/kit.ts';
import type { Entry, Op } from '../reference/journal.ts';
import { Process } from '../reference/process.ts';
import { Reference } from '../reference/reference.ts';
import { createGate, type Passed } from './intake.ts';
import { START, wordsOf } from './moments.ts';
import { deviceOf, type Line, lineOf, textsOf } from './script.ts';

const city = parseCity(sample).city!;

/** What a timeline plays with, besides its lines. */
export interface Play {
  /** YAML as an author writes it; id `r` and severity `low` where it names none. A second set, by `rules 2` in the timeline. */
  readonly rule: string;
  readonly second?: string;
  /** `d1 air-quality harbour`, one a line; by default that one. */
  readonly devices?: string;
  /** Whether distances of more than a minute mean that nobody listened. By default not: timelines are sparse. */
  readonly gaps?: boolean;
  /** Whether readings come as messages through the real intake, which says what it thinks of them. */
  readonly intake?: boolean;
}

/** The rules of texts that stand one after another, divided by `---`. */
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

/** `→ 10:00 d1 firing 80`: the rule where it is not `r`, the severity where it is not the rule's own. */
function told({ rule, group, to, atMs, value, severity }: Transition, rules: readonly Rule[]): string {
  const least = rules.find(({ id }) => id === rule)?.severity;
  const words = [wordsOf(atMs), rule === 'r' ? group : `${rule} ${group}`, to];
  if (value !== null) words.push(String(Number(value.toPrecision(6))));
  if (severity !== least) words.push(severity);
  return `→ ${words.join(' ')}`;
}

type Evaluator = (entry: Entry) => Transition[];

/** All that decide, by name: each must decide the same. */
function evaluators(gaps: boolean, reference: Reference): Record<string, Evaluator> {
  const engine = new Process({ gaps });
  let mortal = new Process({ gaps });
  return {
    'the engine': (entry) => engine.play(entry),
    'the reference': (entry) => reference.play(entry),
    'an engine that is restarted after each block': (entry) => {
      const transitions = mortal.play(entry);
      mortal = mortal.restarted(entry);
      return transitions;
    },
  };
}

/** The script with what is told written into it. */
function play({ opening, lines, known, intake }: Scene, evaluator: Evaluator): string[] {
  let seq = 0;
  const registered = opening.flatMap((op) => (op.kind === 'device' ? [op.device] : []));
  const gate = intake ? createGate(registered, START) : (entry: Entry): Passed => ({ entry, said: [] });
  for (const op of opening) expect(evaluator({ seq: ++seq, atMs: START, op })).toEqual([]);
  const happen = (atMs: number, op: Op) => {
    const { entry, said } = gate({ seq: ++seq, atMs, op });
    return [...said, ...evaluator(entry).map((one) => told(one, known))];
  };
  return lines.flatMap(({ text, ops }) => [text, ...ops.flatMap(({ atMs, op }) => happen(atMs, op))]);
}

interface Scene {
  readonly opening: readonly Op[];
  readonly lines: readonly Line[];
  readonly known: readonly Rule[];
  readonly intake: boolean;
}

/**
 * A test of a rule over time: each line says what comes, those with an arrow after it all that is then told, oldest first. The
 * engine must tell just that, also when it is restarted after each block, and the reference evaluator too.
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
    const scene = { opening, lines, known: Object.values(rules).flat(), intake };
    const reference = new Reference({ gaps });
    for (const [who, evaluator] of Object.entries(evaluators(gaps, reference)))
      expect(play(scene, evaluator), who).toEqual(texts);
    expect(reference.inexact).toBe(false);
  });
}

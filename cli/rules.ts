import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { type LoadedCity, loadCity } from '../app/index.ts';
import { formatProblems, readRuleTests } from '../city-model/index.ts';
import { type CityFile, LamppostError } from '../domain/index.ts';
import { type CaseResult, rulesJsonSchema, testRules } from '../rules/index.ts';
import type { RULES_FOLDER } from './flags.ts';
import { print } from './output.ts';
import type { Given } from './spec.ts';

type Asking = Given<typeof RULES_FOLDER>;

/** `rules schema`: prints the JSON Schema of rule files, for editors. */
export async function rulesSchema(): Promise<number> {
  console.log(JSON.stringify(rulesJsonSchema(), null, 2));
  return 0;
}

/** `rules check`: looks for mistakes. Returns the exit code. */
export async function rulesCheck({ args, flags }: Asking, environment: NodeJS.ProcessEnv): Promise<number> {
  const { loaded, tests, under } = await read(args, environment);
  return check(loaded, tests, under, flags.json);
}

/** `rules test`: runs the tests beside the rules. Returns the exit code: 1 where one fails. */
export async function rulesTest({ args, flags }: Asking, environment: NodeJS.ProcessEnv): Promise<number> {
  const { loaded, tests, under } = await read(args, environment);
  return test(loaded, tests, under, flags.json);
}

async function read([path]: readonly string[], environment: NodeJS.ProcessEnv) {
  const { folder, under } = placeOf(path ?? environment.LAMPPOST_CITY ?? './city');
  return { under, loaded: await loadCity(folder), tests: await readRuleTests(folder) };
}

interface Place {
  /** The city folder. */
  readonly folder: string;
  /** The chosen file or folder, relative to `folder`; empty: all. */
  readonly under: string;
}

/** Finds the city folder of a path: the path itself or a folder above it. */
function placeOf(path: string): Place {
  const whole = resolve(path);
  if (!existsSync(whole)) throw new LamppostError('config', `there is no ${path}`);
  for (let folder = statSync(whole).isDirectory() ? whole : dirname(whole); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'city.yaml'))) {
      return { folder, under: relative(folder, whole).replaceAll('\\', '/') };
    }
    if (folder === dirname(folder)) {
      throw new LamppostError('config', `${path} is not in a city folder: there is no city.yaml beside or above it`);
    }
  }
}

const isUnder = (under: string) => (file: string) => under === '' || file === under || file.startsWith(`${under}/`);

function check({ rules, warnings }: LoadedCity, files: readonly CityFile[], under: string, json: boolean): number {
  const chosen = rules.filter(({ origin }) => isUnder(under)(origin.replace(/^file:/, '')));
  const tests = files.filter(({ path }) => isUnder(under)(path));
  const doubts = warnings.filter(({ file }) => isUnder(under)(file));
  if (doubts.length > 0 && !json) console.log(formatProblems(doubts));
  const warned = doubts.length === 0 ? '' : `, ${doubts.length} ${plural('warning', doubts.length)}`;
  print(json, { rules: chosen.map(({ id }) => id), warnings: doubts, tests: tests.length }, () => [
    `${chosen.length} ${plural('rule', chosen.length)}, no mistakes${warned}; ${tests.length} with tests`,
  ]);
  return 0;
}

function test({ city, rules }: LoadedCity, files: readonly CityFile[], under: string, json: boolean): number {
  // The path of a rule file means the tests beside it.
  const testPath = /(?<!\.test)\.ya?ml$/.test(under) ? under.replace(/\.ya?ml$/, '.test.yaml') : under;
  const wanted = files.filter(({ path }) => isUnder(testPath)(path));
  const { cases, problems } = testRules(wanted, { city, rules });
  const failed = cases.filter(({ failures }) => failures.length > 0).length;
  print(json, { passed: cases.length - failed, failed, problems, cases }, () => [
    ...cases.map(lineOf),
    ...(problems.length > 0 ? [formatProblems(problems)] : []),
    sumOf(cases, failed, { problems: problems.length, rules: rules.length }),
    ...(cases.length + problems.length === 0
      ? [`no ${basename(testPath) || 'rules'} with tests: write *.test.yaml`]
      : []),
  ]);
  return failed + problems.length > 0 ? 1 : 0;
}

function sumOf(cases: readonly CaseResult[], failed: number, all: { problems: number; rules: number }): string {
  const checks = cases.reduce((sum, one) => sum + one.checks, 0);
  const wrong = all.problems === 0 ? '' : `, ${all.problems} ${plural('mistake', all.problems)} in test files`;
  const tested = new Set(cases.map(({ rule }) => rule)).size;
  return `${cases.length - failed} passed, ${failed} failed${wrong} (${checks} ${plural('check', checks)}, ${tested} of ${all.rules} rules)`;
}

function lineOf({ file, name, failures, leftOut, checks }: CaseResult): string {
  const head = failures.length === 0 ? '  ok  ' : 'FAIL  ';
  const lines = [`${head}${file}: ${name} (${checks} ${plural('check', checks)})`];
  for (const failure of failures) {
    lines.push(`      line ${failure.line}, ${failure.where}`);
    lines.push(`        expected  ${failure.expected}`);
    lines.push(`        was       ${failure.was}`);
    lines.push(...whyLines(failure.explanation));
  }
  if (failures.length > 0 && leftOut.length > 0) lines.push(`      the rule does not apply to ${leftOut.join(', ')}`);
  return lines.join('\n');
}

/** Returns why the alert is in its state. */
function whyLines(explanation: CaseResult['failures'][number]['explanation']): string[] {
  if (explanation === null) return [];
  const times = [
    explanation.since === null ? '' : `; matches since ${explanation.since}`,
    explanation.due === null ? '' : `; due ${explanation.due}`,
  ];
  const clauses = explanation.clauses.map(
    ({ path, kind, metric, verdict, value, op, threshold, clear, count, newest }) => {
      const shown = value === null ? 'no value' : Number(value.toPrecision(6));
      const limit = threshold === null ? '' : `, ${op} ${threshold}`;
      const ends = clear === null || String(clear) === String(threshold) ? '' : ` (clear ${clear})`;
      return `        ${path}: ${verdict}: ${kind} of ${metric} is ${shown}${limit}${ends}; ${count} ${plural('reading', count)}, the newest ${newest ?? 'none'}`;
    },
  );
  return [`        why       ${explanation.text.en}${times.join('')}`, ...clauses];
}

const plural = (word: string, count: number) => (count === 1 ? word : `${word}s`);

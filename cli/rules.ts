import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { type LoadedCity, loadCity } from '../app/index.ts';
import { formatProblems, readRuleTests } from '../city-model/index.ts';
import { type CityFile, LamppostError } from '../domain/index.ts';
import { type CaseResult, rulesJsonSchema, testRules } from '../rules/index.ts';

const USAGE = 'rules: write test, check or schema; see lamppost help';

/** `rules test|check|schema`: for authors of rules. Returns the exit code. */
export async function rulesCommand(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const [verb, path = environment.LAMPPOST_CITY ?? './city', ...more] = argv;
  if (more.length > 0) throw new LamppostError('config', `rules ${verb}: write one folder; found ${argv.length - 1}`);
  if (verb === 'schema' && argv.length === 1) {
    console.log(JSON.stringify(rulesJsonSchema(), null, 2));
    return 0;
  }
  if (verb !== 'test' && verb !== 'check') throw new LamppostError('config', USAGE);
  const { folder, under } = placeOf(path);
  const city = await loadCity(folder);
  const tests = await readRuleTests(folder);
  return verb === 'test' ? test(city, tests, under) : check(city, tests, under);
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

function check({ rules }: LoadedCity, files: readonly CityFile[], under: string): number {
  const chosen = rules.filter(({ origin }) => isUnder(under)(origin.replace(/^file:/, '')));
  const tests = files.filter(({ path }) => isUnder(under)(path));
  console.log(`${chosen.length} ${plural('rule', chosen.length)}, no mistakes; ${tests.length} with tests`);
  return 0;
}

function test({ city, rules }: LoadedCity, files: readonly CityFile[], under: string): number {
  // The path of a rule file means the tests beside it.
  const testPath = /(?<!\.test)\.ya?ml$/.test(under) ? under.replace(/\.ya?ml$/, '.test.yaml') : under;
  const wanted = files.filter(({ path }) => isUnder(testPath)(path));
  const { cases, problems } = testRules(wanted, { city, rules });
  for (const one of cases) console.log(lineOf(one));
  if (problems.length > 0) console.log(formatProblems(problems));
  const failed = cases.filter(({ failures }) => failures.length > 0).length;
  const checks = cases.reduce((sum, one) => sum + one.checks, 0);
  const wrong = problems.length === 0 ? '' : `, ${problems.length} ${plural('mistake', problems.length)} in test files`;
  const tested = new Set(cases.map(({ rule }) => rule)).size;
  console.log(
    `${cases.length - failed} passed, ${failed} failed${wrong} (${checks} ${plural('check', checks)}, ${tested} of ${rules.length} rules)`,
  );
  if (cases.length + problems.length === 0)
    console.log(`no ${basename(testPath) || 'rules'} with tests: write *.test.yaml`);
  return failed + problems.length > 0 ? 1 : 0;
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

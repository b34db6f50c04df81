import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { type LoadedCity, loadCity } from '../app/index.ts';
import { formatProblems, readRuleTests } from '../city-model/index.ts';
import { type CityFile, LamppostError } from '../domain/index.ts';
import { type CaseResult, rulesJsonSchema, testRules } from '../rules/index.ts';

const USAGE = 'rules: say test, check or schema; see lamppost help';

/** `rules test|check|schema`: for those who write rules. Answers the exit code. */
export async function rulesCommand(argv: readonly string[]): Promise<number> {
  const [verb, path = process.env.LAMPPOST_CITY ?? './city', ...more] = argv;
  if (more.length > 0) throw new LamppostError('config', `rules ${verb}: one folder, please; found ${argv.length - 1}`);
  if (verb === 'schema' && argv.length === 1) {
    console.log(JSON.stringify(rulesJsonSchema(), null, 2));
    return 0;
  }
  if (verb !== 'test' && verb !== 'check') throw new LamppostError('config', USAGE);
  const { folder, under } = placeOf(path);
  const city = await loadCity(folder);
  const tests = await readRuleTests(folder);
  return verb === 'test' ? test(city, tests, under) : checked(city, tests, under);
}

interface Place {
  /** The city folder. */
  readonly folder: string;
  /** What in it is meant, relative to it; empty for all. */
  readonly under: string;
}

/** The city folder that a path is or lies in. */
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

function checked({ rules }: LoadedCity, files: readonly CityFile[], under: string): number {
  const meant = rules.filter(({ origin }) => isUnder(under)(origin.replace(/^file:/, '')));
  const tests = files.filter(({ path }) => isUnder(under)(path));
  console.log(`${meant.length} ${plural('rule', meant.length)}, no mistakes; ${tests.length} with tests`);
  return 0;
}

function test({ city, rules }: LoadedCity, files: readonly CityFile[], under: string): number {
  // A rule file stands for the tests beside it.
  const meant = /(?<!\.test)\.ya?ml$/.test(under) ? under.replace(/\.ya?ml$/, '.test.yaml') : under;
  const wanted = files.filter(({ path }) => isUnder(meant)(path));
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
    console.log(`no ${basename(meant) || 'rules'} with tests: write *.test.yaml`);
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
  if (failures.length > 0 && leftOut.length > 0) lines.push(`      the rule does not take ${leftOut.join(', ')}`);
  return lines.join('\n');
}

/** Why the alert stands as it does. */
function whyLines(explanation: CaseResult['failures'][number]['explanation']): string[] {
  if (explanation === null) return [];
  const times = [
    explanation.since === null ? '' : `; matches since ${explanation.since}`,
    explanation.due === null ? '' : `; due ${explanation.due}`,
  ];
  const clauses = explanation.clauses.map(
    ({ path, kind, metric, verdict, value, op, threshold, clear, count, newest }) => {
      const figure = value === null ? 'no figure' : Number(value.toPrecision(6));
      const limit = threshold === null ? '' : `, ${op} ${threshold}`;
      const ends = clear === null || String(clear) === String(threshold) ? '' : ` (clear ${clear})`;
      return `        ${path}: ${verdict}: ${kind} of ${metric} is ${figure}${limit}${ends}; ${count} ${plural('reading', count)}, the newest ${newest ?? 'none'}`;
    },
  );
  return [`        why       ${explanation.text.en}${times.join('')}`, ...clauses];
}

const plural = (word: string, count: number) => (count === 1 ? word : `${word}s`);

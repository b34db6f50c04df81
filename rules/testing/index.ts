import { check, openSource, type Source } from '../../city-model/index.ts';
import { type City, type CityFile, type CityProblem, type Rule, suggest } from '../../domain/index.ts';
import { type Failure, judgeCase } from './judge.ts';
import { CaseFile, CasesFile, type WrittenCase } from './schema.ts';

/** The result of one case of a test file. */
export interface CaseResult {
  readonly file: string;
  readonly name: string;
  readonly rule: string;
  readonly checks: number;
  readonly failures: readonly (Omit<Failure, 'path'> & { readonly line: number })[];
  readonly leftOut: readonly string[];
}

/** The results of test files. Problems are mistakes in the test files themselves. */
export interface TestReport {
  readonly cases: readonly CaseResult[];
  readonly problems: readonly CityProblem[];
}

/** Plays the cases of test files (`rules/*.test.yaml`) and returns their results. Pure. */
export function testRules(
  files: readonly CityFile[],
  { city, rules }: { readonly city: City; readonly rules: readonly Rule[] },
): TestReport {
  const problems: CityProblem[] = [];
  const byId = new Map(rules.map((rule) => [rule.id, rule]));
  const cases = files.flatMap((file) => casesOf(openSource(file), { byId, city, problems }));
  return { cases, problems };
}

interface Scope {
  readonly byId: ReadonlyMap<string, Rule>;
  readonly city: City;
  readonly problems: CityProblem[];
}

function casesOf(source: Source, { byId, city, problems }: Scope): CaseResult[] {
  const written = open(source, problems);
  if (written === null) return [];
  const rule = byId.get(written.rule);
  if (rule === undefined) {
    problems.push(source.problem(['rule'], `there is no rule "${written.rule}"${suggest(written.rule, byId.keys())}`));
    return [];
  }
  return written.cases.flatMap(({ path, ...one }, i) => {
    const { faults, failures, ...verdict } = judgeCase(one, rule, city);
    problems.push(...faults.map(([at, message]) => source.problem([...path, ...at], message)));
    if (faults.length > 0) return [];
    const numbered = written.cases.length === 1 ? '' : ` ${i + 1}`;
    return {
      file: source.file,
      name: one.name ?? `${rule.id}${numbered}`,
      rule: rule.id,
      ...verdict,
      failures: failures.map(({ path: at, ...rest }) => ({
        ...rest,
        line: source.problem([...path, ...at], '').line,
      })),
    };
  });
}

type Located = WrittenCase & { readonly path: readonly PropertyKey[] };

function open(source: Source, problems: CityProblem[]): { rule: string; cases: Located[] } | null {
  const before = problems.length;
  const several = typeof source.value === 'object' && source.value !== null && 'cases' in source.value;
  if (several) {
    const file = check(source, CasesFile, problems);
    return file && { rule: file.rule, cases: file.cases.map((one, i) => ({ ...one, path: ['cases', i] })) };
  }
  const file = check(source, CaseFile, problems);
  if (file === null || problems.length > before) return null;
  const { rule, ...one } = file;
  return { rule, cases: [{ ...one, path: [] }] };
}

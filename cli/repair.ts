import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Repaired, repair } from '../app/index.ts';
import { LamppostError } from '../domain/index.ts';
import type { REPAIR } from './flags.ts';
import { createProgress, print } from './output.ts';
import type { Given } from './spec.ts';

/**
 * `repair`: makes what is damaged in a data folder anew from a backup and the log. Without --yes it only says what it
 * would do. Returns 0 where nothing is wrong at its end, 1 otherwise.
 */
export async function repairCommand({ flags }: Given<typeof REPAIR>, environment: NodeJS.ProcessEnv): Promise<number> {
  const progress = createProgress(flags.progress);
  const dir = resolve(flags.data ?? environment.LAMPPOST_DATA ?? './data');
  if (!existsSync(dir)) throw new LamppostError('config', `--data: there is no folder ${dir}`);
  const repaired = await repair(dir, {
    backup: flags.backup === undefined ? null : resolve(flags.backup),
    passOver: flags['pass-over'],
    secretsKey: environment.LAMPPOST_SECRETS_KEY ?? null,
    act: flags.yes,
    progress: progress.show,
  });
  progress.clear();
  print(flags.json, repaired, () => report(repaired, flags.yes));
  return repaired.findings.length === 0 ? 0 : 1;
}

function report({ done, lost, aside, findings }: Repaired, acted: boolean): string[] {
  if (done.length + lost.length + findings.length === 0) return ['nothing is wrong'];
  const left = findings.map(({ file, problem }) => `  ${file}: ${problem}`);
  return [
    ...(acted ? ['Found and repaired:'] : ['Found:', ...left, 'A repair would do this:']),
    ...done.map((line) => `  ${line}`),
    'What cannot be recovered:',
    ...(lost.length === 0 ? ['  nothing'] : lost.map((line) => `  ${line}`)),
    ...(aside.length === 0 ? [] : ['The damaged files are kept; delete them once you do not need them:']),
    ...aside.map((path) => `  ${path}`),
    ...(acted
      ? [left.length === 0 ? 'Nothing is wrong any more.' : 'Still wrong:', ...left]
      : ['Run it with --yes to do it.']),
  ];
}

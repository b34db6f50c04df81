import { systemClock as clock, DAY_MS, isoOf, LamppostError } from '../domain/index.ts';
import type { Suggestions } from '../rules/index.ts';
import { clientOf } from './client.ts';
import { readBytes } from './files.ts';
import type { RULES_SUGGEST } from './flags.ts';
import { print } from './output.ts';
import { pastOf } from './past.ts';
import type { Given } from './spec.ts';

/** `rules suggest`: asks a running server and prints its settings, from quiet to noisy. Returns the exit code. */
export async function suggestCommand(
  { flags }: Given<typeof RULES_SUGGEST>,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const { metric, profile, from = '30d', to } = flags;
  const nowMs = clock.now();
  const body = {
    ...{ metric, profile, tickets: !flags['no-tickets'], from: isoOf(pastOf('--from', from, nowMs)) },
    ...(to === undefined ? {} : { to: isoOf(pastOf('--to', to, nowMs)) }),
    ...(flags.incidents === undefined ? {} : { incidents: incidentsOf(flags.incidents) }),
  };
  const found = await clientOf(flags, environment).json<Suggestions>('POST', '/api/v1/rules/suggest', body);
  print(flags.json, found, textOf);
  return 0;
}

function incidentsOf(file: string): unknown {
  const text = readBytes(file, '--incidents').toString();
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LamppostError('config', `--incidents: ${file}: ${(cause as Error).message}`, { cause });
  }
}

type Shown = Suggestions['settings'][number]['score'];

function textOf({ settings, heldOut, ...found }: Suggestions): string[] {
  const days = Math.round((Date.parse(found.to) - Date.parse(found.from)) / DAY_MS);
  const head = `${found.metric} of ${found.devices} devices over ${days} days: ${found.readings} readings${found.cut ? ' (the newest of more)' : ''}, ${found.incidents} incidents`;
  const lines = settings.map(({ perWeek, when, score }) => `${String(perWeek).padStart(8)}  ${worth(score)}  ${when}`);
  const held = heldOut.map(({ kind, score }) => `${kind.padEnd(10)}${worth(score)}`);
  return [
    head,
    '',
    'per week   right alerts   incidents found     NAB  condition',
    ...lines,
    ...(held.length === 0
      ? ['', 'Mark two incidents or more, and it says what the best setting is worth on those it was not chosen by.']
      : ['', 'The best setting of each kind, on incidents that it was not chosen by:', ...held]),
  ];
}

function worth({ alerts, right, incidents, found, nab }: Shown): string {
  const score = nab === null ? '–' : nab.toFixed(0);
  return `${`${right} of ${alerts}`.padStart(13)}  ${`${found} of ${incidents}`.padStart(16)}  ${score.padStart(6)}`;
}

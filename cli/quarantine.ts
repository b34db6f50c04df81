import { setTimeout as pause } from 'node:timers/promises';
import { isoOf, LamppostError, type Quarantined, REASONS } from '../domain/index.ts';
import type { ReplayJob } from '../ingest/index.ts';
import { type Client, clientOf } from './client.ts';
import { PROGRESS, SERVER } from './flags.ts';
import { createProgress, print, table } from './output.ts';
import { pastOf } from './past.ts';
import { command, count, type Given, type Group, oneOf, text, type Values } from './spec.ts';

const FILTER = {
  device: text('ID', 'only of this device'),
  reason: oneOf(Object.keys(REASONS), 'only with this reason'),
  format: text('F', 'only of this format'),
  from: text('T', 'received from then on: 2026-03-01, 2026-03-01T06:00:00Z, or how long ago (2d)'),
  to: text('T', 'received before: the same'),
};
const LIST = { ...SERVER, ...FILTER, limit: count('how many, the newest: 100', 1, 1_000) };
const REPLAY = { ...SERVER, ...FILTER, ...PROGRESS };
const POLL_MS = 250;

/** `quarantine …`: what was refused, and why; it can be replayed once the cause is fixed. */
export const QUARANTINE: Group = {
  about: 'What was refused, and why.',
  commands: {
    list: command({ about: 'lists what was refused, newest first', flags: LIST, run: listRefused }),
    replay: command({
      ...{ about: 'replays what was refused: these ids, or all that the flags leave', args: '[id]…', flags: REPLAY },
      run: replay,
    }),
  },
};

const given = ({ device, reason, format, ...span }: Values<typeof FILTER>) => {
  const momentOf = (flag: 'from' | 'to') => span[flag] && isoOf(pastOf(`--${flag}`, span[flag], Date.now()));
  return Object.fromEntries(
    Object.entries({ device, reason, format, from: momentOf('from'), to: momentOf('to') }).filter(
      (one): one is [string, string] => one[1] !== undefined,
    ),
  );
};

async function listRefused({ flags }: Given<typeof LIST>, environment: NodeJS.ProcessEnv): Promise<number> {
  const query = new URLSearchParams({ ...given(flags), limit: String(flags.limit ?? 100) });
  const client = clientOf(flags, environment);
  const { items } = await client.json<{ items: Quarantined[] }>('GET', `/api/v1/quarantine?${query}`);
  const row = ({ id, device, receivedAt, reason, detail }: Quarantined) => [
    ...[id, device, receivedAt, reason, detail],
  ];
  print(flags.json, items, (all) => table([['id', 'device', 'received', 'reason', 'detail'], ...all.map(row)]));
  return 0;
}

async function replay({ args, flags }: Given<typeof REPLAY>, environment: NodeJS.ProcessEnv): Promise<number> {
  const filter = given(flags);
  if (args.length > 0 && Object.keys(filter).length > 0)
    throw new LamppostError('config', 'quarantine replay: write ids, or flags that choose, not both');
  const client = clientOf(flags, environment);
  const body = args.length > 0 ? { ids: args } : filter;
  const job = await finished(
    client,
    await client.json<ReplayJob>('POST', '/api/v1/quarantine/replay', body),
    flags.progress,
  );
  print(flags.json, job, ({ entries, settled, refusedAgain }) => [
    `${entries} entries: ${settled} replayed, of these ${refusedAgain} refused again`,
  ]);
  const unknown = Math.max(0, new Set(args).size - job.entries);
  if (unknown > 0) console.error(`${unknown} of these ids ${unknown === 1 ? 'is' : 'are'} not in the quarantine`);
  return job.refusedAgain > 0 || unknown > 0 ? 1 : 0;
}

/** Waits for the end of a replay. Throws `invalid` where it failed. */
async function finished(client: Client, job: ReplayJob, asked: boolean): Promise<ReplayJob> {
  const progress = createProgress(asked);
  let seen = job;
  while (seen.state === 'running') {
    progress.show(`${seen.settled} of ${seen.entries} settled`);
    await pause(POLL_MS);
    seen = await client.json<ReplayJob>('GET', `/api/v1/quarantine/replays/${job.id}`);
  }
  progress.clear();
  if (seen.state === 'failed') throw new LamppostError('invalid', `the replay failed: ${seen.error}`);
  return seen;
}

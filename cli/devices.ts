import { isoOf } from '../domain/index.ts';
import type { Recomputed } from '../ingest/index.ts';
import type { RegisteredDevice } from '../registry/index.ts';
import { allOf, type Client, changesOf, clientOf, requestAndPrint } from './client.ts';
import { SERVER } from './flags.ts';
import { exportDevices, importDevices } from './import-devices.ts';
import { createProgress, print, table } from './output.ts';
import { pastOf } from './past.ts';
import { command, count, flag, type Given, type Group, needed, oneOf, text, type Values } from './spec.ts';

const ABOUT = {
  profile: text('P', 'its profile'),
  district: text('D', 'its district'),
  name: text('N', 'its name for people'),
  gateway: text('G', 'the gateway that publishes for it'),
};
const WITH = { ...SERVER, ...ABOUT };
const ADD = { ...WITH, profile: needed(ABOUT.profile), district: needed(ABOUT.district) };
const REPLACE = { ...WITH, 'dev-eui': text('EUI', 'the DevEUI of the new LoRaWAN hardware') };
const OVERLAP = { ...SERVER, overlap: text('TIME', 'how long the old secret stays valid, such as 24h') };
const LIST = { ...SERVER, profile: text('P', 'only of this profile'), district: text('D', 'only of this district') };
const IMPORT = {
  ...SERVER,
  skip: flag('pass over ids that are registered already'),
  progress: flag('print progress also where the output is no terminal'),
};
const RECOMPUTE = {
  ...SERVER,
  metric: needed(text('M', 'the metric')),
  from: needed(text('T', '2026-03-01, 2026-03-01T06:00:00Z, or how long ago (30d)')),
  to: text('T', 'the same; absent: now'),
  json: flag('print the sums as JSON'),
  progress: IMPORT.progress,
};
const EXPORT = { ...SERVER, format: oneOf(['json', 'csv'], 'the format: json') };

type Asking = Given<typeof SERVER>;
const aboutOf = ({ profile, district, name, gateway }: Values<typeof ABOUT>) => ({
  ...{ profile, district, name, gateway },
});
const at = (id: string, action = '') => `/api/v1/devices/${encodeURIComponent(id)}${action}`;

/** A command that posts to an action of one device and prints the response. */
const posting = (action: string, about: string) =>
  command({
    ...{ about, args: '<id>', flags: SERVER },
    run: (given: Asking, environment) =>
      requestAndPrint(given, environment, ['POST', at(given.args[0]!, `/${action}`)]),
  });

const changing = command({
  about: 'changes a device; what is absent stays',
  args: '<id>',
  flags: WITH,
  run: (given, environment) =>
    requestAndPrint(given, environment, [
      'PATCH',
      at(given.args[0]!),
      changesOf('device update', aboutOf(given.flags)),
    ]),
});

/** `device …`: the devices of a running server. A new secret is printed this one time. */
export const DEVICE: Group = {
  about: 'Devices of a running server.',
  commands: {
    list: command({ about: 'lists devices', flags: LIST, run: listDevices }),
    show: command({
      ...{ about: 'shows a device, its connection and its clock', args: '<id>', flags: SERVER },
      run: (given, environment) => requestAndPrint(given, environment, ['GET', at(given.args[0]!)]),
    }),
    add: command({
      ...{ about: 'registers a device; prints its secret once', args: '<id>', flags: ADD },
      run: (given, environment) => {
        const body = { id: given.args[0]!, ...aboutOf(given.flags) };
        return requestAndPrint(given, environment, ['POST', '/api/v1/devices', body]);
      },
    }),
    update: changing,
    change: { ...changing, about: 'the same as update' },
    import: command({
      ...{ about: 'registers the devices of a file', args: '<file.json|file.csv>', flags: IMPORT },
      run: importFile,
    }),
    export: command({
      ...{ about: 'writes all devices, without secrets', flags: EXPORT },
      async run({ flags }, environment) {
        await exportDevices(clientOf(flags, environment), flags.format ?? 'json', write);
        return 0;
      },
    }),
    rotate: command({
      ...{ about: 'replaces the secret; prints the new one once', args: '<id>', flags: OVERLAP },
      run: (given, environment) =>
        requestAndPrint(given, environment, ['POST', at(given.args[0]!, '/rotate'), overlapOf(given.flags)]),
    }),
    confirm: posting('confirm', 'ends the old secret of a rotation'),
    suspend: posting('suspend', 'refuses a device until it is resumed'),
    resume: posting('resume', 'lets a suspended device connect again'),
    replace: command({
      ...{ about: 'puts other hardware in its place; prints the new secret once', args: '<id>', flags: REPLACE },
      run: (given, environment) => {
        const { 'dev-eui': devEui } = given.flags;
        const body = { ...aboutOf(given.flags), devEui };
        return requestAndPrint(given, environment, ['POST', at(given.args[0]!, '/replace'), body]);
      },
    }),
    'claim-code': command({
      about: 'makes a code of one use that an installer trades for the secret',
      args: '<id>',
      flags: { ...SERVER, hours: count('how many hours it is valid', 1, 2_160) },
      run: (given, environment) => {
        const { hours } = given.flags;
        const body = hours === undefined ? undefined : { hours };
        return requestAndPrint(given, environment, ['POST', at(given.args[0]!, '/claim-code'), body]);
      },
    }),
    recompute: command({
      ...{ about: 'corrects stored readings by its calibrations', args: '<id>', flags: RECOMPUTE },
      run: recompute,
    }),
    revoke: command({
      ...{ about: 'ends a device', args: '<id>', flags: SERVER },
      run: (given, environment) => requestAndPrint(given, environment, ['DELETE', at(given.args[0]!)]),
    }),
  },
};

/** The body of a rotation. */
export const overlapOf = ({ overlap }: { readonly overlap: string | undefined }) =>
  overlap === undefined ? undefined : { overlap };

const write = (part: string) => void process.stdout.write(part);

async function listDevices({ flags }: Given<typeof LIST>, environment: NodeJS.ProcessEnv): Promise<number> {
  const { profile, district } = flags;
  const query = new URLSearchParams({ ...(profile && { profile }), ...(district && { district }) });
  const devices = await allOf<RegisteredDevice>(clientOf(flags, environment), `/api/v1/devices?${query}`);
  print(flags.json, devices, linesOf);
  return 0;
}

function linesOf(devices: readonly RegisteredDevice[]): string[] {
  const rows = devices.map(({ id, profile, district, name, suspended }) => [
    ...[id, profile, district, name ?? '', suspended ? 'suspended' : ''],
  ]);
  return table([['id', 'profile', 'district', 'name', ''], ...rows]);
}

async function importFile({ args, flags }: Given<typeof IMPORT>, environment: NodeJS.ProcessEnv): Promise<number> {
  const progress = createProgress(flags.progress);
  const client: Client = clientOf(flags, environment);
  await importDevices(client, args[0]!, { skip: flags.skip, out: write, progress: progress.show, note: console.error });
  progress.clear();
  return 0;
}

/** Some 100,000 readings at a time. A command that was ended is run again. */
async function recompute({ args, flags }: Given<typeof RECOMPUTE>, environment: NodeJS.ProcessEnv): Promise<number> {
  const { metric } = flags;
  const nowMs = Date.now();
  const from = isoOf(pastOf('--from', flags.from, nowMs));
  const to = isoOf(pastOf('--to', flags.to ?? '0s', nowMs));
  const client = clientOf(flags, environment);
  const progress = createProgress(flags.progress);
  const sum = { rows: 0, stored: 0, refused: 0, faults: [] as Recomputed['faults'][number][] };
  for (let next: string | null = from; next !== null; ) {
    const body = { metric, from: next, to };
    const asked = client.json<Recomputed>('POST', at(args[0]!, '/recompute'), body);
    const report: Recomputed = await asked.catch((error: unknown) => {
      progress.clear();
      if (body.from !== from) console.error(`computed anew up to there; go on with --from ${body.from} --to ${to}`);
      throw error;
    });
    for (const key of ['rows', 'stored', 'refused'] as const) sum[key] += report[key];
    sum.faults.push(...report.faults);
    next = report.next;
    progress.show(`${sum.rows} readings, up to ${next ?? to}`);
  }
  progress.clear();
  print(flags.json, sum, ({ rows, stored, refused, faults }) => [
    ...faults.map(({ reason, detail, count: times }) => `${times} × ${reason}: ${detail}`),
    `${rows} readings: ${stored} computed anew, ${refused} refused and left as they are`,
  ]);
  return sum.refused > 0 ? 1 : 0;
}

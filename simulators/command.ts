import { parseArgs } from 'node:util';
import { DEVICE_ID } from '../domain/index.ts';
import { count, duration, numberIn, UsageError } from './flags.ts';

/** The text of `simulate --help`. */
export const HELP = `lamppost simulate: sends the readings of a simulated city over real MQTT.

  --key KEY         admin key, to register the devices (LAMPPOST_ADMIN_KEY)
  --url URL         where devices publish: mqtt://127.0.0.1:1883
  --api URL         where devices are registered: http://127.0.0.1:8080
  --city FOLDER     the city folder: ./city (LAMPPOST_CITY)
  --devices N       number of devices: 120
  --seed TEXT       the same seed gives the same city: 1
  --speed N         devices report N times as often, and the city's day passes N times as fast: 1
  --faults 0..1     share of readings at which a fault of the device starts: 0.005
  --duration TIME   30s, 10m, 2h; without it until Ctrl-C
  --progress        print a line every 2 seconds

Recorded readings instead (timestamp,value CSV):
  --replay FILE     send these readings as one device
  --device ID       its id
  --metric NAME     its metric
  --profile ID      its profile: traffic
  --district ID     its district: the city's first
  --unit UNIT       unit of the recording, if it is not the city's: mph (to km/h), degF (to Cel)
  --zone ZONE       time zone of timestamps without one: UTC
  --speed N         send them N times as fast as recorded, the first one now, each with its time of sending;
                    without it all are sent at once, moved in time so that the last one is now
  --keep-time       keep the recorded timestamps (the server refuses what is older than its city accepts)

Devices that are already registered get a new secret, so the command can run again.`;

const FLAGS = {
  url: { type: 'string' },
  api: { type: 'string' },
  key: { type: 'string' },
  city: { type: 'string' },
  devices: { type: 'string', default: '120' },
  seed: { type: 'string', default: '1' },
  speed: { type: 'string' },
  faults: { type: 'string', default: '0.005' },
  duration: { type: 'string' },
  progress: { type: 'boolean', default: false },
  replay: { type: 'string' },
  device: { type: 'string' },
  metric: { type: 'string' },
  profile: { type: 'string', default: 'traffic' },
  district: { type: 'string' },
  unit: { type: 'string' },
  zone: { type: 'string', default: 'UTC' },
  'keep-time': { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** The flags of a replay only. */
export interface ReplayCommand {
  readonly file: string;
  readonly device: string;
  readonly metric: string;
  readonly profile: string;
  readonly district?: string;
  readonly unit?: string;
  readonly zone: string;
  readonly keepTime: boolean;
}

/** The command line of `simulate`, checked and with its defaults filled in. */
export interface Command {
  readonly help: boolean;
  readonly url: string;
  readonly api: string;
  readonly key: string;
  readonly city: string;
  readonly devices: number;
  readonly seed: string;
  readonly speed?: number;
  readonly faults: number;
  readonly durationMs?: number;
  readonly progress: boolean;
  readonly replay?: ReplayCommand;
}

type Values = ReturnType<typeof parse>;

/** Reads the command line, with defaults from the environment. Throws a UsageError that names the flag. */
export function readCommand(argv: readonly string[], env: NodeJS.ProcessEnv): Command {
  const values = parse(argv);
  const key = values.key ?? env.LAMPPOST_ADMIN_KEY ?? '';
  if (key === '' && !values.help)
    throw new UsageError('--key KEY (or LAMPPOST_ADMIN_KEY) is needed to register devices');
  return {
    help: values.help,
    url: address('url', values.url ?? `mqtt://127.0.0.1:${env.MQTT_PORT ?? 1883}`, ['mqtt:', 'mqtts:', 'ws:', 'wss:']),
    api: address('api', values.api ?? `http://127.0.0.1:${env.HTTP_PORT ?? 8080}`, ['http:', 'https:']),
    key,
    city: values.city ?? env.LAMPPOST_CITY ?? './city',
    devices: count('devices', values.devices),
    seed: values.seed,
    faults: numberIn('faults', values.faults, 0, 1),
    progress: values.progress,
    ...(values.speed !== undefined && { speed: numberIn('speed', values.speed, 0.001, 1_000_000) }),
    ...(values.duration !== undefined && { durationMs: duration('duration', values.duration) }),
    ...(values.replay !== undefined && { replay: readReplay(values.replay, values) }),
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: FLAGS, strict: true }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function address(flag: string, text: string, protocols: readonly string[]): string {
  if (URL.canParse(text) && protocols.includes(new URL(text).protocol)) return text;
  throw new UsageError(
    `--${flag} ${text}: expected a URL that begins with ${protocols.map((one) => `${one}//`).join(' or ')}`,
  );
}

function readReplay(file: string, values: Values): ReplayCommand {
  const { device, metric, profile, district, unit, zone } = values;
  if (device === undefined || metric === undefined)
    throw new UsageError('--replay needs --device ID and --metric NAME');
  if (!DEVICE_ID.test(device))
    throw new UsageError(`--device ${device}: expected letters, digits and . _ : - (at most 64)`);
  return {
    file,
    device,
    metric,
    profile,
    zone: knownZone(zone),
    keepTime: values['keep-time'],
    ...(district !== undefined && { district }),
    ...(unit !== undefined && { unit }),
  };
}

function knownZone(zone: string): string {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: zone });
    return zone;
  } catch {
    throw new UsageError(`--zone ${zone}: expected an IANA zone such as America/Chicago`);
  }
}

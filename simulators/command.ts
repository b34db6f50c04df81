import { DEVICE_ID, zoneFault } from '../domain/index.ts';
import { SIMULATED_FORMATS } from './city/formats.ts';
import { duration, UsageError } from './flags.ts';

/** What was written on the command line; its numbers are checked. */
export interface SimulateFlags {
  readonly url?: string | undefined;
  readonly api?: string | undefined;
  readonly key?: string | undefined;
  readonly city?: string | undefined;
  readonly devices?: number | undefined;
  readonly seed?: string | undefined;
  readonly speed?: number | undefined;
  readonly faults?: number | undefined;
  readonly format?: string | undefined;
  readonly duration?: string | undefined;
  readonly progress?: boolean;
  readonly replay?: string | undefined;
  readonly device?: string | undefined;
  readonly metric?: string | undefined;
  readonly profile?: string | undefined;
  readonly district?: string | undefined;
  readonly unit?: string | undefined;
  readonly zone?: string | undefined;
  readonly 'keep-time'?: boolean;
}

const REPLAY_ONLY = ['device', 'metric', 'profile', 'district', 'unit', 'zone', 'keep-time'] as const;
const CITY_ONLY = ['devices', 'seed', 'faults', 'format', 'duration'] as const;

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
  readonly url: string;
  readonly api: string;
  readonly key: string;
  readonly city: string;
  readonly devices: number;
  readonly seed: string;
  readonly speed?: number;
  readonly faults: number;
  readonly format: string;
  readonly durationMs?: number;
  readonly progress: boolean;
  readonly replay?: ReplayCommand;
}

/** Reads the flags, with defaults from the environment. Throws a UsageError that names the flag. */
export function readCommand(flags: SimulateFlags, env: NodeJS.ProcessEnv): Command {
  const { speed, duration: time, replay } = flags;
  const without = replay === undefined ? REPLAY_ONLY : CITY_ONLY;
  const vain = without.find((name) => flags[name] !== undefined && flags[name] !== false);
  if (vain !== undefined)
    throw new UsageError(
      `--${vain} is for ${replay === undefined ? 'a replay: write --replay FILE, too' : 'a city, not for --replay'}`,
    );
  const key = flags.key ?? env.LAMPPOST_ADMIN_KEY ?? '';
  if (key === '') throw new UsageError('--key KEY (or LAMPPOST_ADMIN_KEY) is needed to register devices');
  return {
    url: address('url', flags.url ?? `mqtt://127.0.0.1:${env.MQTT_PORT ?? 1883}`, ['mqtt:', 'mqtts:', 'ws:', 'wss:']),
    api: address('api', flags.api ?? `http://127.0.0.1:${env.HTTP_PORT ?? 8080}`, ['http:', 'https:']),
    key,
    city: flags.city ?? env.LAMPPOST_CITY ?? './city',
    devices: flags.devices ?? 120,
    seed: flags.seed ?? '1',
    faults: flags.faults ?? 0.005,
    format: knownFormat(flags.format ?? 'native'),
    progress: flags.progress ?? false,
    ...(speed !== undefined && { speed }),
    ...(time !== undefined && { durationMs: duration('duration', time) }),
    ...(replay !== undefined && { replay: readReplay(replay, flags) }),
  };
}

function address(flag: string, text: string, protocols: readonly string[]): string {
  if (URL.canParse(text) && protocols.includes(new URL(text).protocol)) return text;
  throw new UsageError(
    `--${flag} ${text}: expected a URL that begins with ${protocols.map((one) => `${one}//`).join(' or ')}`,
  );
}

function readReplay(file: string, flags: SimulateFlags): ReplayCommand {
  const { device, metric, profile = 'traffic', district, unit, zone = 'UTC' } = flags;
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
    keepTime: flags['keep-time'] ?? false,
    ...(district !== undefined && { district }),
    ...(unit !== undefined && { unit }),
  };
}

function knownFormat(format: string): string {
  if (SIMULATED_FORMATS.includes(format)) return format;
  throw new UsageError(`--format ${format}: expected one of ${SIMULATED_FORMATS.join(', ')}`);
}

function knownZone(zone: string): string {
  const fault = zoneFault(zone);
  if (fault !== null) throw new UsageError(`--zone: ${fault}`);
  return zone;
}

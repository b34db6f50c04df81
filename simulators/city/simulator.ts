import type { Clock, Device } from '../../domain/index.ts';
import { type Connections, createConnection, type DeviceConnection, type Traffic } from './connection.ts';
import { createFaults, FAULT_KINDS, type FaultKind } from './faults.ts';
import { formatFor } from './formats.ts';
import { modelOf } from './models.ts';
import { type PlannedDistrict, planCity } from './plan.ts';
import { between, createRandom } from './random.ts';
import { type Credentials, registerDevices } from './register.ts';

const WINDOW = 20;
const SPREAD_MS_A_DEVICE = 25;
const LONGEST_SPREAD_MS = 30_000;

/** The city to simulate, and the server that its devices publish to. */
export interface SimulatorOptions {
  /** Where devices publish, such as `mqtt://127.0.0.1:1883`. */
  readonly url: string;
  /** More such addresses, of nodes of the same cluster: the devices begin spread over all of them. */
  readonly others?: readonly string[];
  /** Where they are registered, such as `http://127.0.0.1:8080`. */
  readonly api: string;
  /** An admin key. */
  readonly key: string;
  readonly seed: string;
  /** How many devices. */
  readonly devices: number;
  readonly districts: readonly PlannedDistrict[];
  /** How often a device of each profile reports, ms. */
  readonly intervalsMs: ReadonlyMap<string, number>;
  /** In which format the devices publish: one of `SIMULATED_FORMATS`. */
  readonly format: string;
  /** The formats that the city declares; what it does not is native. */
  readonly formats: ReadonlySet<string>;
  /** IANA zone that daily rhythms follow. */
  readonly zone: string;
  /** How many times faster the city's day passes and its devices report; timestamps stay real. */
  readonly speed: number;
  /** Probability that a reading begins a fault, 0..1. */
  readonly faults: number;
  /** Time over which the devices connect, ms; 25 ms a device (at most 30 s) where absent. */
  readonly spreadMs?: number;
}

/** Counters of a simulated city. */
export interface SimulatorStats extends Readonly<Traffic>, Connections {
  readonly devices: number;
  /** Readings changed by a fault, by its kind. */
  readonly faults: Readonly<Record<FaultKind, number>>;
}

/** A simulated city of devices, each with an MQTT client of its own. */
export interface Simulator {
  /** Registers the devices and starts their connections, spread over time. Resolves when all are registered. */
  start(): Promise<void>;
  /** Stops all devices, waits at most 2 s for their acknowledgements and disconnects them. Idempotent. */
  stop(): Promise<void>;
  stats(): SimulatorStats;
}

interface State {
  readonly traffic: Traffic;
  readonly faults: Record<FaultKind, number>;
  readonly connections: DeviceConnection[];
  readonly timers: Map<string, NodeJS.Timeout>;
  errors: number;
  lastError: string | null;
  startedMs: number;
  stopped: boolean;
}

/**
 * Makes a simulated city. `start` throws what `registerDevices` throws, and a RangeError for a profile without an
 * interval.
 */
export function createSimulator(deps: { readonly clock: Clock }, options: SimulatorOptions): Simulator {
  const state: State = {
    traffic: { sent: 0, acknowledged: 0, failed: 0, skipped: 0 },
    faults: Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>,
    connections: [],
    timers: new Map(),
    errors: 0,
    lastError: null,
    startedMs: 0,
    stopped: false,
  };
  return {
    start: async () => {
      const devices = planCity(options);
      const credentials = await registerDevices(options, devices);
      state.startedMs = deps.clock.now();
      const spreadMs = options.spreadMs ?? Math.min(LONGEST_SPREAD_MS, devices.length * SPREAD_MS_A_DEVICE);
      devices.forEach((device, index) => {
        const run = createRun(deps.clock, options, state, {
          ...{ device, credentials: credentials[index]!, urls: urlsOf(options, index) },
        });
        if (!state.stopped) state.timers.set(device.id, setTimeout(run, (spreadMs * index) / devices.length));
      });
    },
    stop: async () => {
      state.stopped = true;
      for (const timer of state.timers.values()) clearTimeout(timer);
      await Promise.all(state.connections.map((connection) => connection.stop()));
    },
    stats: () => ({
      ...state.traffic,
      devices: options.devices,
      connected: state.connections.filter((connection) => connection.connected).length,
      faults: { ...state.faults },
      errors: state.errors,
      lastError: state.lastError,
    }),
  };
}

interface Planned {
  readonly device: Device;
  readonly credentials: Credentials;
  readonly urls: readonly string[];
}

/** All addresses, those of each device from another one on. */
function urlsOf({ url, others = [] }: SimulatorOptions, index: number): string[] {
  const all = [url, ...others];
  return all.map((_, n) => all[(index + n) % all.length]!);
}

/**
 * Returns the function that starts one device: it connects, reports after a random part of its interval, so that a
 * fleet spreads out, and then at each interval.
 */
function createRun(
  clock: Clock,
  options: SimulatorOptions,
  state: State,
  { device, credentials, urls }: Planned,
): () => void {
  const { seed, zone, speed } = options;
  const intervalMs = options.intervalsMs.get(device.profile);
  if (intervalMs === undefined) throw new RangeError(`there is no interval for the profile ${device.profile}`);
  const random = createRandom(`${seed}:run:${device.id}`);
  const model = modelOf(device, { seed, zone });
  const faults = createFaults(createRandom(`${seed}:faults:${device.id}`), options.faults);
  const onError = (message: string): void => {
    state.errors += 1;
    state.lastError = message;
  };
  const connection = createConnection(
    { traffic: state.traffic, onError },
    { urls, device: credentials, window: WINDOW, format: formatFor(options.format, device.profile, options.formats) },
  );
  const report = (delayMs: number): void => {
    state.timers.set(
      device.id,
      setTimeout(() => report(intervalMs / speed), delayMs),
    );
    const tsMs = clock.now();
    const metrics = model.next(state.startedMs + (tsMs - state.startedMs) * speed);
    const { fault, deliveries } = faults({ tsMs, metrics });
    if (fault) state.faults[fault] += 1;
    for (const { payload, dup } of deliveries) void connection.publish(payload, dup);
  };
  return () => {
    state.connections.push(connection);
    connection.start();
    report((intervalMs / speed) * between(random, 0.1, 1));
  };
}

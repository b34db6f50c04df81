import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, LamppostError, systemClock } from '../domain/index.ts';
import type { Connections, Traffic } from './city/connection.ts';
import { readCityFolder } from './city/folder.ts';
import { registerDevices } from './city/register.ts';
import { CONVERSIONS, createReplay, parseRecording, type Recorded, type Replay } from './city/replay.ts';
import { createSimulator, type SimulatorStats } from './city/simulator.ts';
import { type Command, type ReplayCommand, readCommand, type SimulateFlags } from './command.ts';
import { UsageError } from './flags.ts';

const PROGRESS_MS = 2_000;
const LOOK_MS = 1_000;
/** Failed connections after which a broker that nobody has reached is given up. */
const TRIES = 3;

/** Clock, output and signal of the command; tests pass their own. */
export interface SimulateDeps {
  readonly clock: Clock;
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
  /** Ends the simulation; absent: Ctrl-C and SIGTERM do. */
  readonly signal?: AbortSignal;
}

const terminal: SimulateDeps = {
  clock: systemClock,
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
};

/**
 * The command `simulate`: sends the readings of a simulated city, or recorded ones (`--replay`), over real MQTT.
 * Returns the exit code: 0; 1 where something failed (the server refused, messages were lost); 2 for a mistake on the
 * command line.
 */
export async function simulate(
  flags: SimulateFlags,
  env: NodeJS.ProcessEnv,
  deps: SimulateDeps = terminal,
): Promise<number> {
  const { signal, release } = deps.signal ? { signal: deps.signal, release: () => {} } : untilInterrupted();
  try {
    const command = readCommand(flags, env);
    if (command.replay) return await replay(command, command.replay, deps, signal);
    return await runCity(command, deps, signal);
  } catch (error) {
    deps.err(`simulate: ${error instanceof Error ? error.message : String(error)}`);
    return error instanceof UsageError ? 2 : 1;
  } finally {
    release();
  }
}

function untilInterrupted(): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  process.once('SIGINT', abort);
  process.once('SIGTERM', abort);
  const release = (): void => {
    process.off('SIGINT', abort);
    process.off('SIGTERM', abort);
  };
  return { signal: controller.signal, release };
}

async function runCity(command: Command, deps: SimulateDeps, signal: AbortSignal): Promise<number> {
  const { url, api, key, seed, devices, faults, format, speed = 1 } = command;
  const city = readCityFolder(command.city);
  const simulator = createSimulator(deps, { url, api, key, seed, devices, faults, format, speed, ...city });
  const progress = setInterval(() => command.progress && deps.err(lineOf(simulator.stats())), PROGRESS_MS);
  const watch = watchConnections(url, simulator.stats, deps.err);
  try {
    await simulator.start();
    deps.out(
      `${devices} devices in ${city.districts.length} districts are connecting to ${url}, ${speed}x, seed ${seed}`,
    );
    const ends = AbortSignal.any([signal, watch.givenUp]);
    await sleep(command.durationMs ?? 2 ** 31 - 1, undefined, { signal: ends }).catch(() => {});
  } finally {
    watch.stop();
    clearInterval(progress);
    await simulator.stop();
  }
  watch.givenUp.throwIfAborted();
  deps.out(lineOf(simulator.stats()));
  return simulator.stats().acknowledged > 0 ? 0 : 1;
}

/**
 * Prints one line when no device is connected any more, and one when the first is again. `givenUp` aborts with an error
 * that names the reason where the broker cannot be reached from the beginning.
 */
function watchConnections(url: string, look: () => Connections & Traffic, err: (line: string) => void) {
  const giving = new AbortController();
  let state: 'new' | 'connected' | 'lost' = 'new';
  const timer = setInterval(() => {
    const { connected, acknowledged, errors, lastError } = look();
    if (connected > 0) {
      if (state === 'lost') err(`simulate: ${connected} devices are connected again`);
      state = 'connected';
    } else if (state === 'connected' || (state === 'new' && acknowledged > 0)) {
      err(`simulate: no device is connected to ${url} any more; they go on trying`);
      state = 'lost';
    } else if (state === 'new' && errors >= TRIES)
      giving.abort(
        new LamppostError('busy', `no device can connect to ${url} (${lastError}); --url is where devices publish`),
      );
  }, LOOK_MS);
  return { givenUp: giving.signal, stop: () => clearInterval(timer) };
}

function lineOf(stats: SimulatorStats): string {
  const faults = Object.entries(stats.faults).filter(([, times]) => times > 0);
  const parts = [
    `${stats.connected}/${stats.devices} connected`,
    `${stats.sent} sent`,
    `${stats.acknowledged} acknowledged`,
    `${stats.failed} failed`,
    `${stats.skipped} skipped`,
  ];
  if (faults.length > 0) parts.push(`faults: ${faults.map(([kind, times]) => `${kind} ${times}`).join(', ')}`);
  if (stats.lastError !== null) parts.push(`${stats.errors} connection errors, last: ${stats.lastError}`);
  return parts.join(' · ');
}

async function replay(
  command: Command,
  wanted: ReplayCommand,
  deps: SimulateDeps,
  signal: AbortSignal,
): Promise<number> {
  const recorded = readRecording(wanted);
  const district = wanted.district ?? readCityFolder(command.city).districts[0]?.id ?? '';
  const device = { id: wanted.device, profile: wanted.profile, district, name: `Recording ${wanted.device}` };
  const [credentials] = await registerDevices(command, [device]);
  const { url, speed } = command;
  const { metric, keepTime } = wanted;
  const watch = watchConnections(url, () => job.stats(), deps.err);
  const job: Replay = createReplay(deps, {
    url,
    metric,
    recorded,
    keepTime,
    signal: AbortSignal.any([signal, watch.givenUp]),
    device: credentials!,
    ...(speed !== undefined && { speed }),
  });
  const line = (): string => {
    const { sent, acknowledged, total, lastError } = job.stats();
    return `${sent} of ${total} sent · ${acknowledged} acknowledged${lastError ? ` · last error: ${lastError}` : ''}`;
  };
  const progress = setInterval(() => command.progress && deps.err(line()), PROGRESS_MS);
  try {
    await job.run();
  } finally {
    watch.stop();
    clearInterval(progress);
  }
  watch.givenUp.throwIfAborted();
  deps.out(line());
  return job.stats().acknowledged === recorded.length || signal.aborted ? 0 : 1;
}

function readRecording({ file, zone, unit, metric }: ReplayCommand): Recorded[] {
  let recorded: Recorded[];
  try {
    recorded = parseRecording(readFileSync(file, 'utf8'), zone);
  } catch (error) {
    throw new UsageError(`--replay ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const conversion = unit === undefined ? undefined : CONVERSIONS[unit];
  if (unit !== undefined && !conversion) {
    throw new UsageError(
      `--unit ${unit}: expected ${Object.keys(CONVERSIONS).join(' or ')}; leave it out where ${metric} needs no conversion`,
    );
  }
  return conversion ? recorded.map(({ tsMs, value }) => ({ tsMs, value: conversion.convert(value) })) : recorded;
}

import type { DatabaseSync } from 'node:sqlite';
import {
  type City,
  COMMAND_REFUSALS,
  type CommandRefusal,
  type CommandSpec,
  type CommandState,
  DAY_MS,
  type DesiredState,
  type DeviceCommand,
  type DeviceSaid,
  type DeviceState,
  type Downlink,
  excessOf,
  isOpenCommand,
  isoOf,
  LamppostError,
  mergedState,
  type NetworkPath,
  type Parameters,
  parameterFault,
  type ServiceCommand,
  STATE_BOUNDS,
  suggest,
  type Ticket,
} from '../domain/index.ts';
import { downlinkOf } from './downlink.ts';
import { createCommandReader, nothingDesired } from './reader.ts';

/** What is asked of a device. */
export interface CommandRequest {
  readonly command: string;
  readonly parameters: Parameters;
  /** Epoch ms; null: as long as the profile says. */
  readonly validUntilMs: number | null;
  readonly qos: 0 | 1;
  /** The ticket that it is for; null: none. */
  readonly ticket: string | null;
}

/** A whole desired state, or a merge patch of it. `version`: the one that was seen; undefined: any. */
export interface DesiredChange {
  readonly set: DeviceState;
  readonly patch: boolean;
  readonly version?: number | undefined;
}

/** Who asks, and where in the log. */
export interface AskedAt {
  readonly by: string;
  readonly atMs: number;
  /** What ids are made of, such as `812-0`. */
  readonly name: string;
}

interface Parts {
  /** A file that has `COMMAND_SCHEMA`. */
  readonly db: DatabaseSync;
  /** Returns the profile of a registered device, as it is at this place in the log; null where there is none. */
  readonly profileOf: (device: string) => string | null;
  /** Returns the DevEUI of its hardware; undefined where that is its id. */
  readonly devEuiOf: (device: string) => string | undefined;
  readonly city: () => Pick<City, 'profiles' | 'services'>;
  /** Called with every new version of a command, in order. */
  readonly onCommand: (command: DeviceCommand) => void;
  /** Called with a command that is sent once more. */
  readonly onResent: (command: DeviceCommand) => void;
  /** Called with every new desired state; `place` names the record that changed it. */
  readonly onDesired: (state: DesiredState, place: string) => void;
}

const idOf = ({ name }: Pick<AskedAt, 'name'>) => `c-${name}`;

/** Commands that have ended and are kept for each device. */
const MOST_KEPT = 100;
/** Commands that expire with one block; the next one has the rest. */
const MOST_DUE = 1_000;
const LONGEST_MS = 366 * DAY_MS;

/**
 * Decides commands and desired states in the log's order. The caller holds the transaction and undoes it where one of
 * these throws: `not-found`, or a reason of `COMMAND_REFUSALS`. A device has one open command of each name at most: a
 * newer one supersedes it, so that what waits for a device that sleeps is bounded by its profile.
 */
export class CommandWriter {
  readonly #parts: Parts;
  readonly #read: ReturnType<typeof createCommandReader>;
  readonly #sql: ReturnType<typeof statementsOf>;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#read = createCommandReader(parts.db);
    this.#sql = statementsOf(parts.db);
  }

  /** Returns the departments that a device belongs to. Throws `not-found`. */
  departmentsOf(device: string): readonly string[] {
    return this.#profile(device)?.departments ?? [];
  }

  /** Queues a command. */
  send(device: string, { command, parameters, validUntilMs, qos, ticket }: CommandRequest, at: AskedAt) {
    const departments = this.departmentsOf(device);
    const spec = this.#specOf(device, command);
    const fault = parameterFault(spec, parameters);
    if (fault !== null) throw refusal('wrong-parameters', `${command}: ${fault}`);
    const untilMs = validUntilMs ?? at.atMs + Math.min(spec.validForMs, LONGEST_MS);
    if (untilMs <= at.atMs || untilMs > at.atMs + LONGEST_MS) {
      throw refusal('not-valid', `validUntil ${isoOf(untilMs)} must be within a year after ${isoOf(at.atMs)}`);
    }
    const id = idOf(at);
    const downlink = this.#downlinkOf(device, { id, command, parameters }, spec);
    for (const open of this.#read.open(device)) {
      if (open.command === command) this.#move(open, 'superseded', `by ${id}`, at.atMs);
    }
    const now = isoOf(at.atMs);
    const times = { createdAt: now, validUntil: isoOf(untilMs), updatedAt: now };
    const who = { departments, by: at.by, ticket };
    const queued: DeviceCommand = {
      id,
      device,
      command,
      parameters,
      qos,
      state: 'queued',
      ...who,
      ...times,
      message: null,
      ...(downlink === null ? {} : { downlink }),
    };
    this.#sql.add.run(id, device, command, untilMs, JSON.stringify(queued), downlink?.topic ?? null);
    this.#sql.trim.run(device, device, MOST_KEPT);
    this.#parts.onCommand(queued);
    return queued;
  }

  /** Returns the command that a service names; null where it names none. */
  ofService(service: string): ServiceCommand | null {
    return this.#parts.city().services.get(service)?.command ?? null;
  }

  /**
   * Sends what a service names without a person who confirms it, where the profile of the device says `automatic`; once
   * of each name. Returns why it cannot be sent: nobody asked, so nothing is thrown; null: it was, or nothing is to be.
   */
  sendAutomatically(device: string, ticket: Pick<Ticket, 'id' | 'service'>, at: AskedAt): string | null {
    const wanted = this.ofService(ticket.service);
    const profile = this.#parts.city().profiles.get(this.#parts.profileOf(device) ?? '');
    const spec = wanted === null ? undefined : profile?.commands.get(wanted.name);
    if (spec?.automatic !== true || this.#read.get(device, idOf(at)) !== null) return null;
    const { name: command, parameters } = wanted!;
    try {
      this.send(device, { command, parameters, validUntilMs: null, qos: 1, ticket: ticket.id }, at);
      return null;
    } catch (error) {
      // It is thrown before anything is written.
      if (error instanceof LamppostError) return `the command ${command} was not sent: ${error.message}`;
      throw error;
    }
  }

  /** Ends a command that the device has not responded to. It may have it already. */
  cancel(device: string, id: string, at: AskedAt): DeviceCommand {
    const command = this.#read.get(device, id);
    if (command === null) throw new LamppostError('not-found', `device "${device}" has no command "${id}"`);
    if (!isOpenCommand(command.state)) throw refusal('command-ended', `${id} is ${command.state}`);
    return this.#move(command, 'cancelled', `by ${at.by}`, at.atMs);
  }

  /** Sets what a device is wanted to be. */
  desire(device: string, { set, patch, version }: DesiredChange, at: AskedAt): DesiredState {
    const departments = this.departmentsOf(device);
    const before = this.#read.twin(device, departments);
    if (version !== undefined && version !== before.version)
      throw refusal('desired-changed', `it is at version ${before.version}, not ${version}`);
    const desired = patch ? mergedState(before.desired ?? {}, set) : set;
    requireBounds(desired);
    const after: DesiredState = {
      ...{ device, version: before.version + 1, desired, departments },
      ...{ by: at.by, updatedAt: isoOf(at.atMs) },
    };
    this.#sql.desire.run(device, JSON.stringify(after));
    this.#parts.onDesired(after, at.name);
    return after;
  }

  /** Other LoRaWAN hardware has the place of a device: the downlinks to the one before end. */
  replaced(device: string, atMs: number): void {
    for (const open of this.#read.open(device))
      if (open.downlink !== undefined) this.#move(open, 'cancelled', 'other hardware has its place', atMs);
  }

  /** The device is revoked: nothing waits for it, and another one of its name begins anew. */
  revoked(device: string, at: AskedAt): void {
    for (const open of this.#read.open(device)) this.#move(open, 'cancelled', 'the device was revoked', at.atMs);
    const profile = this.#parts.city().profiles.get(this.#parts.profileOf(device) ?? '');
    const before = this.#read.twin(device, profile?.departments ?? []);
    this.#sql.forget.run(device);
    if (before.desired === null) return;
    const gone = { ...nothingDesired(device, before.departments), by: at.by, updatedAt: isoOf(at.atMs) };
    this.#parts.onDesired({ ...gone, version: before.version + 1 }, at.name);
  }

  /** Takes what a device said. A reply to a command that has ended, or was never sent to it, changes nothing. */
  said(said: DeviceSaid, atMs: number): void {
    if (this.#parts.profileOf(said.device) === null) return;
    if ('reported' in said) {
      const { device, reported, replayedMs = null } = said;
      // What was refused then is not newer than what came meanwhile.
      if (replayedMs !== null && replayedMs < Number(this.#sql.reportedMs.get(device)?.reported_ms ?? 0)) return;
      this.#sql.report.run(device, JSON.stringify(reported), replayedMs ?? atMs);
      return;
    }
    if ('enrol' in said) return;
    if ('network' in said) {
      this.#sql.network.run(said.device, JSON.stringify(said.network));
      return;
    }
    const { id, status, message = null } = said.result;
    const isMeant = ({ downlink }: DeviceCommand) => downlink?.reference === id;
    const command = this.#read.get(said.device, id) ?? this.#read.open(said.device).find(isMeant) ?? null;
    if (command === null || !isOpenCommand(command.state)) return;
    this.#move(command, status === 'done' ? 'acknowledged' : 'failed', message, atMs);
  }

  /**
   * Messages in the queue of a device were dropped: what it does not have yet is sent once more, each command once,
   * since its queue may be too small for all of them.
   */
  dropped(device: string): void {
    for (const one of this.#read.open(device)) {
      if (one.state !== 'queued' || one.qos === 0 || one.downlink !== undefined) continue;
      if (this.#sql.resend.run(one.id).changes > 0) this.#parts.onResent(one);
    }
  }

  /** The devices have these commands. */
  delivered(ids: readonly string[], atMs: number): void {
    for (const id of ids) {
      const row = this.#sql.queued.get(id);
      if (row !== undefined) this.#move(JSON.parse(String(row.body)) as DeviceCommand, 'sent', null, atMs);
    }
  }

  isDue(nowMs: number): boolean {
    return this.#sql.due.get(nowMs, 1) !== undefined;
  }

  /** Ends commands whose time is over. It was said to the device as a time of the clock, and does not move with it. */
  doDue(nowMs: number): void {
    for (const { body } of this.#sql.due.all(nowMs, MOST_DUE)) {
      const command = JSON.parse(String(body)) as DeviceCommand;
      const why = command.state === 'sent' ? 'the device did not respond' : 'the device did not take it';
      this.#move(command, 'expired', why, nowMs);
    }
  }

  #profile(device: string) {
    const profile = this.#parts.profileOf(device);
    if (profile === null) throw new LamppostError('not-found', `there is no device "${device}"`);
    return this.#parts.city().profiles.get(profile);
  }

  #specOf(device: string, command: string): CommandSpec {
    const profile = this.#profile(device);
    const spec = profile?.commands.get(command);
    if (spec !== undefined) return spec;
    const known = [...(profile?.commands.keys() ?? [])];
    const right = known.length === 0 ? '; its profile declares none' : suggest(command, known);
    throw refusal('unknown-command', `"${command}" of device "${device}"${right}`);
  }

  /** Null where the device takes its commands itself. Throws where it cannot be sent. */
  #downlinkOf(
    device: string,
    asked: Pick<DeviceCommand, 'id' | 'command' | 'parameters'>,
    { downlink }: CommandSpec,
  ): Downlink | null {
    if (downlink === null) return null;
    const said = this.#sql.networkOf.get(device)?.network;
    const network = typeof said === 'string' ? (JSON.parse(said) as NetworkPath) : null;
    // Where the hardware before was reached says nothing of this one.
    if (network === null || network.devEui !== this.#parts.devEuiOf(device))
      throw refusal('no-network-server', `device "${device}"`);
    try {
      return downlinkOf(asked, downlink, network);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw refusal('wrong-parameters', `${asked.command}: ${error.message}`);
    }
  }

  #move(before: DeviceCommand, state: CommandState, message: string | null, atMs: number): DeviceCommand {
    const after = { ...before, state, message, updatedAt: isoOf(atMs) };
    this.#sql.move.run(state, JSON.stringify(after), after.id);
    this.#parts.onCommand(after);
    return after;
  }
}

function statementsOf(db: DatabaseSync) {
  return {
    add: db.prepare(`
      insert into device_commands (id, device, command, state, until_ms, body, downlink)
      values (?, ?, ?, 'queued', ?, ?, ?)`),
    move: db.prepare('update device_commands set state = ?, body = ? where id = ?'),
    queued: db.prepare("select body from device_commands where id = ? and state = 'queued'"),
    due: db.prepare(`
      select body from device_commands where state in ('queued', 'sent') and until_ms <= ? order by until_ms, n limit ?`),
    trim: db.prepare(`
      delete from device_commands where device = ? and state not in ('queued', 'sent')
        and n <= (select n from device_commands where device = ? order by n desc limit 1 offset ?)`),
    desire: db.prepare(`
      insert into device_states (device, desired) values (?, ?)
      on conflict (device) do update set desired = excluded.desired`),
    report: db.prepare(`
      insert into device_states (device, reported, reported_ms) values (?, ?, ?)
      on conflict (device) do update set reported = excluded.reported, reported_ms = excluded.reported_ms`),
    resend: db.prepare('update device_commands set resent = 1 where id = ? and resent = 0'),
    network: db.prepare(`
      insert into device_states (device, network) values (?, ?)
      on conflict (device) do update set network = excluded.network`),
    networkOf: db.prepare('select network from device_states where device = ?'),
    reportedMs: db.prepare('select reported_ms from device_states where device = ?'),
    forget: db.prepare('delete from device_states where device = ?'),
  };
}

const INVALID: ReadonlySet<CommandRefusal> = new Set(['unknown-command', 'wrong-parameters', 'not-valid', 'too-much']);

function refusal(reason: CommandRefusal, detail: string): LamppostError {
  const code = INVALID.has(reason) ? 'invalid' : reason === 'desired-changed' ? 'precondition' : 'conflict';
  return new LamppostError(code, `${COMMAND_REFUSALS[reason]}: ${detail}`, { reason });
}

function requireBounds(state: DeviceState): void {
  const { levels, values, bytes } = STATE_BOUNDS;
  const isTooMuch = excessOf(state, levels, values) !== null || Buffer.byteLength(JSON.stringify(state)) > bytes;
  if (isTooMuch) throw refusal('too-much', `at most ${levels} levels, ${values} values and ${bytes} bytes of JSON`);
}

import { parse } from 'yaml';
import type { CommandRequest, CommandWriter, DesiredChange } from '../commands/index.ts';
import {
  type DesiredState,
  type DeviceCommand,
  grantsOf,
  LamppostError,
  lackOf,
  mayAny,
  type Requester,
  reaches,
  reachOf,
  requesterId,
  type ServiceCommand,
  type Ticket,
} from '../domain/index.ts';
import type { ImportReport, StoredSpan } from '../ingest/index.ts';
import {
  carryOutRegistry,
  isRegistryCommand,
  type PeopleStore,
  type RegistryCommand,
  type RegistryRecords,
  type RegistryResults,
  registryRightOf,
  registryTargetOf,
} from '../registry/index.ts';
import {
  type ActionRequest,
  type Request,
  requireReach,
  type Silence,
  type Split,
  type TicketService,
} from '../tickets/index.ts';
import {
  type Administered,
  type Administration,
  type AdministrationResults,
  administer,
  administered,
  rightOf,
} from './administration.ts';
import { type CitizenCommand, carryOutForCitizen } from './citizen-commands.ts';
import {
  carryOutForPeople,
  isOfPeople,
  type PersonCommand,
  type PersonResults,
  personActionOf,
  personTargetOf,
} from './people.ts';

/** What a person asks for. The names are in the log: they are only added, never changed. */
export type Command =
  | PersonCommand
  | ({ readonly do: 'ticket.act' } & Omit<ActionRequest, 'actor'>)
  | ({ readonly do: 'ticket.open' } & Omit<Request, 'place' | 'origin' | 'by' | 'same' | 'actor' | 'extras'>)
  | ({ readonly do: 'ticket.split' } & Omit<Split, 'actor'>)
  | ({ readonly do: 'silence.add' } & Omit<Silence, 'id' | 'author' | 'createdAt'>)
  | { readonly do: 'silence.end'; readonly silence: string }
  | CitizenCommand
  | RegistryCommand
  | Administration
  | DeviceOrder
  /** One part of an import, which its block has; who asks was checked when it came. */
  | { readonly do: 'readings.import'; readonly part: string; readonly rows: number; readonly file: string }
  /** The same of readings that are stored and corrected anew. */
  | ({ readonly do: 'readings.recompute'; readonly rows: number } & StoredSpan)
  /** Only for the audit trail: what is done elsewhere, such as a new key, or a look at somebody's name. */
  | { readonly do: 'note'; readonly action: string; readonly target: string };

/** What is asked of a device. */
type DeviceOrder =
  | ({ readonly do: 'command.send'; readonly device: string } & CommandRequest)
  /** The command that the service of a ticket names, or another one, to the device of its alert. */
  | ({ readonly do: 'command.run'; readonly ticket: string; readonly version?: number | undefined } & Pick<
      CommandRequest,
      'validUntilMs'
    > & { readonly asked: ServiceCommand | null })
  | { readonly do: 'command.cancel'; readonly device: string; readonly id: string }
  | ({ readonly do: 'desired.set'; readonly device: string } & DesiredChange);

/** What the API responds with to each command. */
export interface Results extends RegistryResults, PersonResults, AdministrationResults {
  readonly 'ticket.act': Ticket;
  readonly 'ticket.open': Ticket;
  readonly 'ticket.split': Ticket;
  readonly 'silence.add': Silence;
  readonly 'command.send': DeviceCommand;
  readonly 'command.run': DeviceCommand;
  readonly 'command.cancel': DeviceCommand;
  readonly 'desired.set': DesiredState;
  readonly 'citizen.request': Ticket;
  readonly 'citizen.rate': Ticket;
  readonly 'citizen.comment': Ticket;
  readonly 'citizen.not-fixed': Ticket;
  /** False where it had ended. */
  readonly 'silence.end': boolean;
  readonly note: null;
  readonly 'readings.import': ImportReport;
  readonly 'readings.recompute': ImportReport;
}

/** The place of a command in the log: its time, and what ids are made of. */
export interface Place {
  readonly atMs: number;
  /** The earlier of civil and steady time: what ends after some days ends by it, also where the clock is far ahead. */
  readonly agedMs: number;
  /** The block. */
  readonly seq: number;
  /** Number within the block. */
  readonly item: number;
  /** Both, such as `812-0`. */
  readonly name: string;
}

/** What commands change. */
export interface ActedOn extends Administered {
  /** What became of the rows of the import that the block at this place is. */
  readonly imported: () => ImportReport;
  readonly tickets: TicketService;
  readonly registry: RegistryRecords;
  readonly people: PeopleStore;
  readonly commands: CommandWriter;
}

/** What a command led to. */
export interface Done {
  readonly value: Results[keyof Results];
  /** Every new version of a ticket, in order. */
  readonly changes: readonly Ticket[];
  /** What it was done to, such as `ticket t-1-0`. */
  readonly target: string;
}

/**
 * Does what somebody asks for. The caller holds the transaction, and undoes it where this throws. Throws `not-found`,
 * and refusals with a reason of `TICKET_REFUSALS` or `PERSON_REFUSALS`.
 */
export function carryOut(command: Command, actor: Requester, place: Place, on: ActedOn): Done {
  if (isOfPeople(command)) return carryOutForPeople(command, actor, place, on.people);
  if (actor.kind === 'sign-in') throw new Error(`${command.do} is not for the sign-in`);
  if (isRegistryCommand(command)) {
    const right = registryRightOf(command);
    if (right !== null) requireReach(actor, right, null);
    const at = { seq: place.seq, n: place.item, atMs: place.atMs };
    const by = requesterId(actor);
    if (command.do === 'device.revoke') on.commands.revoked(command.device, { by, ...place });
    const value = carryOutRegistry(command, on.registry, by, at);
    if (command.do === 'device.replace' && command.change.devEui !== undefined)
      on.commands.replaced(command.device, place.atMs);
    return { value, changes: [], target: registryTargetOf(command, value) };
  }
  const { tickets } = on;
  switch (command.do) {
    case 'ticket.act':
      return ofTicket(tickets.act({ ...command, actor }));
    case 'ticket.open': {
      const { do: _, ...wanted } = command;
      const by = `${actor.kind}:${actor.id}`;
      return ofTicket(tickets.open({ ...wanted, place: place.name, origin: 'operator', by, same: null, actor }));
    }
    case 'ticket.split':
      return ofTicket(tickets.split({ ...command, actor }));
    case 'silence.add': {
      const { do: _, ...wanted } = command;
      const silence = tickets.silence(wanted, actor, { atMs: place.atMs, place: place.name });
      return { value: silence, changes: [], target: `silence ${silence.id}` };
    }
    case 'silence.end': {
      const { silence } = command;
      return { value: tickets.endSilence(silence, actor), changes: [], target: `silence ${silence}` };
    }
    case 'command.run':
      return runForTicket(command, actor, place, on);
    case 'command.send':
    case 'command.cancel':
    case 'desired.set':
      return { value: order(command, actor, place, on.commands), changes: [], target: targetOf(command) };
    case 'citizen.request':
    case 'citizen.rate':
    case 'citizen.comment':
    case 'citizen.not-fixed':
      if ('token' in command && command.token === null) requireReach(actor, 'requests.submit', null);
      return carryOutForCitizen(command, place, tickets);
    case 'readings.import':
    case 'readings.recompute':
      return { value: on.imported(), changes: [], target: targetOf(command) };
    case 'note':
      return { value: null, changes: [], target: command.target };
    default: {
      const right = rightOf(command);
      if (!mayAny(grantsOf(actor), right)) throw new LamppostError('forbidden', lackOf(grantsOf(actor), right));
      return { ...administer(command, requesterId(actor), place, on), changes: [] };
    }
  }
}

/** A device may belong to several departments: each of them may send it commands. */
function order(
  command: Exclude<DeviceOrder, { do: 'command.run' }>,
  actor: Exclude<Requester, { kind: 'sign-in' }>,
  place: Place,
  on: CommandWriter,
) {
  const { device } = command;
  const departments = on.departmentsOf(device);
  const own = departments.filter((one) => reaches(reachOf(grantsOf(actor), 'commands.write'), one));
  requireReach(actor, 'commands.write', own.length > 0 ? own : departments.length > 0 ? departments : null);
  const at = { by: requesterId(actor), atMs: place.atMs, name: place.name };
  if (command.do === 'command.send') return on.send(device, command, at);
  return command.do === 'command.cancel' ? on.cancel(device, command.id, at) : on.desire(device, command, at);
}

/** Who confirms a command of a ticket acts on the ticket, and needs the right to send it. */
function runForTicket(
  { ticket, version, asked, validUntilMs }: Extract<DeviceOrder, { do: 'command.run' }>,
  actor: Exclude<Requester, { kind: 'sign-in' }>,
  place: Place,
  { tickets, commands }: ActedOn,
): Done {
  const note = `sent the command c-${place.name} to the device`;
  const changes = tickets.act({ ticket, version, action: 'comment', note, actor });
  const { group, service, evidence } = changes.at(-1)!;
  const wanted = asked ?? commands.ofService(service);
  if (wanted === null) throw new LamppostError('invalid', `service "${service}" names no command; name one`);
  // The group of a rule for districts is a district, whatever device has the same name.
  if (group === null || !isForDevices(evidence!.rule))
    throw new LamppostError('conflict', `ticket "${ticket}" is about no device: send the command to one`);
  const request = { command: wanted.name, parameters: wanted.parameters, validUntilMs, qos: 1, ticket } as const;
  const value = order({ do: 'command.send', device: group, ...request }, actor, place, commands);
  return { value, changes, target: `ticket ${ticket}` };
}

/** Whether the groups of a rule, as its author wrote it, are devices. */
function isForDevices(rule: string): boolean {
  const written = parse(rule) as { readonly for_each?: string; readonly when?: { readonly quorum?: { of?: string } } };
  return (written.for_each ?? written.when?.quorum?.of ?? 'device') === 'device';
}

function ofTicket(changes: readonly Ticket[]): Done {
  const value = changes.at(-1)!;
  return { value, changes, target: `ticket ${value.id}` };
}

/** Returns what a command is about, for one that was refused. */
export function targetOf(command: Command): string {
  if (isOfPeople(command)) return personTargetOf(command);
  if (isRegistryCommand(command)) return registryTargetOf(command);
  if (command.do === 'command.run') return `ticket ${command.ticket}`;
  if (command.do === 'ticket.act' || command.do === 'ticket.split' || isSaid(command))
    return `ticket ${command.ticket}`;
  if (command.do === 'command.send' || command.do === 'desired.set') return `device ${command.device}`;
  if (command.do === 'command.cancel') return `command ${command.id} of device ${command.device}`;
  if (command.do === 'silence.end') return `silence ${command.silence}`;
  if (command.do === 'note') return command.target;
  if (command.do === 'readings.import') return `${command.rows} readings of ${command.file}`;
  if (command.do === 'readings.recompute') return `${command.rows} readings of ${command.metric} of ${command.device}`;
  if (command.do === 'ticket.open' || command.do === 'citizen.request') return `service ${command.service}`;
  return command.do === 'silence.add' ? 'silence' : administered(command);
}

const isSaid = (command: Command): command is Exclude<CitizenCommand, { readonly do: 'citizen.request' }> =>
  command.do === 'citizen.rate' || command.do === 'citizen.comment' || command.do === 'citizen.not-fixed';

/** Returns the name of a command in the audit trail: `ticket.acknowledge` rather than `ticket.act`. */
export function actionOf(command: Command): string {
  if (isOfPeople(command)) return personActionOf(command);
  if (command.do === 'ticket.act') return `ticket.${command.action}`;
  return command.do === 'note' ? command.action : command.do;
}

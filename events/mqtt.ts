import type { DatabaseSync } from 'node:sqlite';
import { type DeviceCommands, isDownlinkFilter, type MqttOutbox } from '../broker/index.ts';
import { createCommandReader } from '../commands/index.ts';
import type { Clock, DesiredState, DeviceCommand, Publication, Ticket } from '../domain/index.ts';
import { createTicketReader, isOpen, OPEN_STATUSES, type TicketReader } from '../tickets/index.ts';
import {
  isAlertEvent,
  isClockEvent,
  isCommandEvent,
  isDesiredEvent,
  isLoginEvent,
  isSessionEvent,
  isTicketEvent,
  type LamppostEvent,
  withLastChange,
} from './cloudevent.ts';
import { ticketAudienceOf } from './filter.ts';
import { createOutboxReader } from './outbox.ts';

/** Creates the outbox as the broker reads it, over any connection to a database that also has the tickets. */
export function createMqttOutbox(db: DatabaseSync): MqttOutbox {
  const { head, oldest, store } = createOutboxReader(db);
  const tickets = createTicketReader(db);
  const { allDesired } = createCommandReader(db);
  const between = db.prepare('select n, body from outbox where n > ? and n <= ? order by n');
  const byId = db.prepare('select n from outbox where id = ?');
  const byTicket = db.prepare('select min(n) as n from outbox where ticket = ?');
  const copiedTo = db.prepare("select n from outbox_cursors where channel = 'mqtt'");
  const numberIn = (row: { n?: unknown } | undefined) => (typeof row?.n === 'number' ? row.n : null);

  return {
    store,
    now() {
      db.exec('begin');
      try {
        return { head: head(), retained: [...retainedTickets(tickets), ...allDesired().map(desiredOf)] };
      } finally {
        db.exec('commit');
      }
    },
    oldest,
    between: (after, to) =>
      between.all(after, to).map(({ n, body }) => ({
        n: Number(n),
        messages: publicationsOf(JSON.parse(String(body)) as LamppostEvent),
      })),
    numberOf: (eventId) => numberIn(byId.get(eventId)),
    firstOf: (ticket) => numberIn(byTicket.get(ticket)),
    copiedTo: () => numberIn(copiedTo.get()) ?? 0,
  };
}

/**
 * Returns what the broker publishes for an event: the CloudEvent in structured JSON, QoS 1, and for a ticket its
 * retained state, which an empty payload clears when the ticket is resolved or closed (MQTT 3.1.1 §3.3.1.3). A session
 * in flight knows a message by its place among these: their order stays.
 */
export function publicationsOf(event: LamppostEvent): Publication[] {
  const payload = JSON.stringify(event);
  const once = { payload, qos: 1, retain: false } as const;
  // QoS 0, never queued: in a full queue this event would displace the next message, and cause the next such event.
  if (isSessionEvent(event)) return [{ topic: `events/sessions/${event.data.key}`, payload, qos: 0, retain: false }];
  if (isLoginEvent(event)) return [{ topic: `events/logins/${levelOf(event.data.source)}`, ...once }];
  if (isClockEvent(event)) return [{ topic: 'events/clock', ...once }];
  if (isAlertEvent(event)) return [{ topic: `events/alerts/${event.data.rule}/${event.data.group}`, ...once }];
  if (isCommandEvent(event)) return ofCommand(event.data, once);
  if (isDesiredEvent(event)) return [desiredOf(event.data), { topic: `events/desired/${event.data.device}`, ...once }];
  if (!isTicketEvent(event)) return [{ topic: `events/silences/${event.data.id}`, ...once }];
  const ticket = event.data;
  const topics = ticketAudienceOf(ticket).map((party) => `events/tickets/${party}/${ticket.id}`);
  return [...topics.map((topic) => ({ topic, ...once })), ...retainedOf(ticket)];
}

/** Only a command that is queued goes to its device. */
function ofCommand(command: DeviceCommand, once: Omit<Publication, 'topic'>): Publication[] {
  const { id, device, state } = command;
  const event = { topic: `events/commands/${device}/${id}`, ...once };
  return state === 'queued' ? [commandOf(command), event] : [event];
}

/** To the device itself, or to the network server that reaches it. */
function commandOf({ id, device, command, parameters, validUntil, qos, downlink }: DeviceCommand): Publication {
  if (downlink !== undefined) return { topic: downlink.topic, payload: downlink.payload, qos: 1, retain: false };
  const payload = JSON.stringify({ id, command, parameters, validUntil });
  return { topic: `devices/${device}/commands`, payload, qos, retain: false };
}

/** Retained; of a device that was revoked nothing is. */
function desiredOf({ device, version, desired }: DesiredState): Publication {
  const payload = desired === null ? '' : JSON.stringify({ version, desired });
  return { topic: `devices/${device}/desired`, payload, qos: 1, retain: true };
}

/** Returns what the broker asks of commands, over any connection to a database that has them. `clock`: civil time. */
export function createCommandQueue(
  db: DatabaseSync,
  clock: Clock,
  delivered: DeviceCommands['delivered'],
): DeviceCommands {
  const commands = createCommandReader(db);
  return {
    delivered,
    downlinks: () => commands.downlinks(null, MOST_DOWNLINKS).map(commandOf),
    downlink(topic, payload) {
      if (!isDownlinkFilter(topic)) return null;
      const found = commands.downlinksOn(topic).find((one) => one.downlink!.payload === payload);
      return found === undefined ? null : { id: found.id, key: found.downlink!.key };
    },
    secondsLeft(topic, payload) {
      const until = isDownlinkFilter(topic)
        ? commands.downlinksOn(topic).find((one) => one.downlink!.payload === payload)?.validUntil
        : COMMANDS.exec(topic) && (JSON.parse(payload) as { readonly validUntil: string }).validUntil;
      return until ? Math.ceil((Date.parse(until) - clock.now()) / 1_000) : null;
    },
    isOver(topic, payload) {
      if (COMMANDS.exec(topic) === null) return false;
      return commands.isOver((JSON.parse(payload) as { readonly id: string }).id);
    },
    waiting(topic) {
      const device = COMMANDS.exec(topic)?.[1];
      // Of QoS 0 only who is connected at that moment gets it.
      return device === undefined
        ? []
        : commands
            .open(device)
            .filter(({ qos, downlink }) => qos === 1 && downlink === undefined)
            .map(commandOf);
    },
  };
}

/** Of what waits for network servers, for one subscription. */
const MOST_DOWNLINKS = 10_000;
const COMMANDS = /^devices\/([^/]+)\/commands$/;

/** Returns a source as one level of a topic: `2001:db8:0:1::-64`. */
const levelOf = (source: string) => source.replace('/', '-');

/** Yields the retained state of every open ticket, newest first. */
export function* retainedTickets(reader: Pick<TicketReader, 'list'>): Generator<Publication> {
  let after: string | null = null;
  do {
    const page = reader.list({ status: OPEN_STATUSES, limit: 200, after });
    yield* page.items.flatMap(retainedOf);
    after = page.next;
  } while (after !== null);
}

/** Returns the state under the department that is responsible, and clears it under former departments. */
function retainedOf(ticket: Ticket): Publication[] {
  const { id, department, formerDepartments, status } = ticket;
  const state = isOpen(status) ? JSON.stringify(withLastChange(ticket)) : '';
  const at = (where: string, payload: string): Publication => ({
    topic: `tickets/${where}/${id}`,
    payload,
    qos: 1,
    retain: true,
  });
  const left = formerDepartments.filter((one) => one !== department);
  return [...left.map((one) => at(one, '')), at(department, state)];
}

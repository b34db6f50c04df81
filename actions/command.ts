import { isoOf, type KeyActor, type Ticket } from '../domain/index.ts';
import type { ActionRequest, Request, Silence, Split, TicketService } from '../tickets/index.ts';

/** What a person asks for. The names are in the log: they are only added, never changed. */
export type Command =
  | ({ readonly do: 'ticket.act' } & Omit<ActionRequest, 'actor'>)
  | ({ readonly do: 'ticket.open' } & Omit<Request, 'id' | 'origin' | 'by' | 'same' | 'extras'>)
  | ({ readonly do: 'ticket.split' } & Omit<Split, 'actor'>)
  | ({ readonly do: 'silence.add' } & Omit<Silence, 'id' | 'author' | 'createdAt'>)
  | { readonly do: 'silence.end'; readonly silence: string }
  /** Only for the audit trail: what is done elsewhere, such as a new key, or a look at somebody's name. */
  | { readonly do: 'note'; readonly action: string; readonly target: string };

/** What the API responds with to each command. */
export interface Results {
  readonly 'ticket.act': Ticket;
  readonly 'ticket.open': Ticket;
  readonly 'ticket.split': Ticket;
  readonly 'silence.add': Silence;
  /** False where it had ended. */
  readonly 'silence.end': boolean;
  readonly note: null;
}

/** The place of a command in the log: its time, and what ids are made of. */
export interface Place {
  readonly atMs: number;
  /** Block and number within it, such as `812-0`. */
  readonly name: string;
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
 * Does what a person asks for. The caller holds the transaction, and undoes it where this throws. Throws `not-found`,
 * and refusals with a reason of `TICKET_REFUSALS`.
 */
export function carryOut(command: Command, actor: KeyActor, place: Place, tickets: TicketService): Done {
  switch (command.do) {
    case 'ticket.act':
      return ofTicket(tickets.act({ ...command, actor }));
    case 'ticket.open': {
      const { do: _, ...wanted } = command;
      const by = `key:${actor.id}`;
      return ofTicket(tickets.open({ ...wanted, id: `o-${place.name}`, origin: 'operator', by, same: null }));
    }
    case 'ticket.split':
      return ofTicket(tickets.split({ ...command, actor }));
    case 'silence.add': {
      const { do: _, ...wanted } = command;
      const silence = { ...wanted, id: `s-${place.name}`, author: actor.id, createdAt: isoOf(place.atMs) };
      tickets.silences.add(silence);
      return { value: silence, changes: [], target: `silence ${silence.id}` };
    }
    case 'silence.end': {
      const { silence } = command;
      return { value: tickets.silences.end(silence, place.atMs), changes: [], target: `silence ${silence}` };
    }
    case 'note':
      return { value: null, changes: [], target: command.target };
  }
}

function ofTicket(changes: readonly Ticket[]): Done {
  const value = changes.at(-1)!;
  return { value, changes, target: `ticket ${value.id}` };
}

/** Returns what a command is about, for one that was refused. */
export function targetOf(command: Command): string {
  if (command.do === 'ticket.act' || command.do === 'ticket.split') return `ticket ${command.ticket}`;
  if (command.do === 'silence.end') return `silence ${command.silence}`;
  if (command.do === 'note') return command.target;
  return command.do === 'ticket.open' ? `service ${command.service}` : 'silence';
}

/** Returns the name of a command in the audit trail: `ticket.acknowledge` rather than `ticket.act`. */
export function actionOf(command: Command): string {
  if (command.do === 'ticket.act') return `ticket.${command.action}`;
  return command.do === 'note' ? command.action : command.do;
}

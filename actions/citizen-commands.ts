import type { Ticket } from '../domain/index.ts';
import type { Request, TicketService } from '../tickets/index.ts';
import type { Done, Place } from './command.ts';

/**
 * What citizens ask for. What they wrote is not in the log: it stands apart and can be deleted; `statement` names it.
 * `token`: SHA-256 of the reporter's token, hex.
 */
export type CitizenCommand =
  | ({
      readonly do: 'citizen.request';
      readonly statement: string;
      readonly token: string;
      /** An open ticket of the service within this distance is the same one; 0: never. */
      readonly sameWithinM: number;
      readonly asset?: string | null;
      /** What its citizen named it by, as a short hash; absent: by nothing. */
      readonly thing?: string;
      /** It says something that no sensor measures: an alert that ends does not end it. Absent: no. */
      readonly unmeasured?: boolean;
    } & Pick<Request, 'service' | 'title' | 'titleZh' | 'district' | 'location'>)
  | {
      readonly do: 'citizen.rate';
      readonly ticket: string;
      readonly token: string;
      readonly stars: number;
      /** Names the comment; null: none. */
      readonly statement: string | null;
    }
  | CitizenSays;

/** What citizens say about their requests later on. */
interface CitizenSays {
  readonly do: 'citizen.comment' | 'citizen.not-fixed';
  readonly ticket: string;
  /** Null: an app that may submit requests says it for its users. */
  readonly token: string | null;
  readonly statement: string | null;
}

/** Does what a citizen asks for, as `carryOut` does. What was asked for with the same statement is not done again. */
export function carryOutForCitizen(command: CitizenCommand, place: Place, tickets: TicketService): Done {
  if (command.do === 'citizen.rate') {
    const { ticket, stars, statement, token } = command;
    return asked(tickets.reporters.rate({ ticket, hash: Buffer.from(token, 'hex'), stars, statement }));
  }
  if (command.do !== 'citizen.request') return said(command, tickets);
  const { do: _, token, sameWithinM, unmeasured = false, thing = null, ...wanted } = command;
  const before = tickets.reporters.reportedAs(command.statement);
  if (before !== null) return { ...asked([before]), changes: [] };
  const changes = tickets.open({
    ...wanted,
    place: place.name,
    origin: 'citizen',
    by: 'reporter',
    severity: 'medium',
    description: null,
    address: null,
    same: sameWithinM === 0 ? null : { withinM: sameWithinM },
    extras: { reporterHash: Buffer.from(token, 'hex'), unmeasured, thing },
  });
  return asked(changes);
}

/** What was said in the same words is not said again. */
function said({ do: what, ticket, token, statement }: CitizenSays, { reporters }: TicketService): Done {
  const before = reporters.saidIn(ticket, statement);
  if (before !== null) return { ...asked([before]), changes: [] };
  const saying = { ticket, hash: token === null ? null : Buffer.from(token, 'hex'), statement };
  return asked(what === 'citizen.comment' ? reporters.write(saying) : reporters.notFixed(saying));
}

function asked(changes: readonly Ticket[]): Done {
  const value = changes.at(-1)!;
  return { value, changes, target: `ticket ${value.id}` };
}

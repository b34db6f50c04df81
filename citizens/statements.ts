import type { Ticket, TicketChange } from '../domain/index.ts';

/** What a citizen wrote in a request. */
export interface Statement {
  readonly description: string | null;
  /** The place in words. */
  readonly address: string | null;
  /** Id of the address in the city's own list (Open311 `address_id`). */
  readonly addressId: string | null;
  /** A photo: a path of this server, or an address elsewhere, which Lamppost never fetches. */
  readonly mediaUrl: string | null;
  /** The photos after the first; absent: none. */
  readonly moreMedia?: readonly string[];
  /** Responses to the service's questions, by code. */
  readonly attributes: Readonly<Record<string, string | readonly string[]>>;
}

/** What stands in place of a text whose author wanted it removed. */
export const REMOVED = { en: "Removed at the citizen's wish.", zh: '已应市民要求删除。' } as const;

const EMPTY: Statement = { description: null, address: null, addressId: null, mediaUrl: null, attributes: {} };

/** What is known of a statement: its words, that it was removed, or nothing. */
export type Known<T> = { readonly said: T } | 'removed' | null;

interface Words {
  statement(id: string): Known<Statement>;
  comment(id: string): Known<string>;
  media(id: string): string[];
}

/** A change of a ticket with what the citizen wrote then, and the photos that came with it. */
export type ShownChange = TicketChange & { readonly mediaUrls?: readonly string[] };

/** A ticket with what its citizen wrote; `removed`: the citizen wanted that to be forgotten. */
export interface ShownRequest extends Statement {
  readonly ticket: Ticket;
  readonly removed: boolean;
}

/**
 * Puts what citizens wrote into tickets that are shown. Events, and so MQTT, streams and webhooks, do not have it: what
 * was sent cannot be taken back. The mail of the responsible department has it (`Words`).
 */
export interface Shown {
  /** A ticket in full; `REMOVED` in both languages where the citizen wanted a text to be forgotten. */
  ticket(ticket: Ticket): Omit<Ticket, 'history'> & { readonly history: readonly ShownChange[] };
  /** A change of a ticket; where a citizen wrote, their words stand in the place of its note. */
  change(change: TicketChange): ShownChange;
  /** A ticket as a request for service (Open311). */
  request(ticket: Ticket): ShownRequest;
}

/** Returns it over the store of the words. */
export function createShown(words: Words): Shown {
  const statementOf = ({ statement }: Ticket) => (statement === null ? null : words.statement(statement));
  const both = `${REMOVED.en} ${REMOVED.zh}`;

  function ratingOf({ rating }: Ticket): Ticket['rating'] {
    if (rating === null || rating.statement === null) return rating;
    const known = words.comment(rating.statement);
    if (known === null) return rating;
    return { ...rating, comment: known === 'removed' ? both : known.said };
  }

  function changeOf(change: TicketChange): ShownChange {
    const { statement } = change;
    const known = statement === undefined ? null : words.comment(statement);
    if (known === null) return change;
    if (known === 'removed') return { ...change, note: both };
    const mediaUrls = words.media(statement!);
    return { ...change, note: known.said, ...(mediaUrls.length === 0 ? {} : { mediaUrls }) };
  }

  return {
    change: changeOf,
    ticket(ticket) {
      const of = { ...ticket, rating: ratingOf(ticket), history: ticket.history.map(changeOf) };
      const known = statementOf(ticket);
      if (known === null) return of;
      if (known === 'removed') return { ...of, description: both };
      const { description, address } = known.said;
      return { ...of, description, address };
    },
    request(ticket) {
      const known = statementOf(ticket);
      const { description, address } = ticket;
      if (known === null || known === 'removed')
        return { ...EMPTY, description, address, ticket, removed: known === 'removed' };
      return { ...known.said, ticket, removed: false };
    },
  };
}

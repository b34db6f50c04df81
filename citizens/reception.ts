import { randomBytes } from 'node:crypto';
import { type Clock, DAY_MS, HOUR_MS, isoOf, type Ticket } from '../domain/index.ts';
import type { Request } from '../tickets/index.ts';
import type { Media } from './media.ts';
import type { Photo } from './photo.ts';
import type { Reporter, Reporters } from './reporters.ts';

/** A citizen's request, checked. */
export interface Report
  extends Pick<Request, 'service' | 'title' | 'titleZh' | 'description' | 'district' | 'location'> {
  /** The place in words. */
  readonly address: string | null;
  readonly addressId: string | null;
  /** Answers to the service's questions, by code. */
  readonly attributes: Readonly<Record<string, string | readonly string[]>>;
  /** The URL of a photo elsewhere; Lamppost never fetches it. */
  readonly mediaUrl: string | null;
  /** A photo that was sent with the request. */
  readonly photo: Photo | null;
  /** Null where the citizen gave no name and no contact. */
  readonly reporter: Reporter | null;
}

/** The response to the reporter: the ticket, and a token that only the reporter has. */
export interface Received {
  readonly ticket: Ticket;
  readonly token: string;
}

interface Parts {
  readonly clock: Clock;
  readonly reporters: Reporters;
  readonly media: Media;
  readonly tickets: {
    get(id: string): Pick<Ticket, 'closedAt'> | null;
    servicesWith(mediaUrl: string): readonly string[];
  };
  /** Resolves when the ticket is on disk. */
  readonly openTicket: (request: Request & { readonly id: string }) => Promise<Ticket>;
  /** Returns the id of a new ticket; by default random. */
  readonly newId?: () => string;
  /** Returns a random token. */
  readonly newToken: () => string;
  /** SHA-256. */
  readonly hash: (token: string) => Uint8Array;
}

/** Takes citizens' requests, and deletes what is known of their authors after a time. */
export interface Reception {
  /** Resolves when photo, reporter and ticket are on disk. Throws what opening a ticket throws, and `disk`. */
  report(report: Report): Promise<Received>;
  /** Deletes reporters whose ticket closed long enough ago, and photos of no ticket; resolves to their numbers. */
  expire(): Promise<{ readonly reporters: number; readonly photos: number }>;
}

/** A photo or reporter that has no ticket after this time never gets one: the request failed. */
const ORPHANED_MS = HOUR_MS;
const PAGE = 1_000;

/** Returns the path under which a photo is served, as its ticket stores it. */
export const mediaPath = (name: string) => `/open311/media/${name}`;

/** Returns the reception. A request within `sameWithinM` of an open ticket of its service is another report of that one. */
export function createReception(
  { clock, reporters, media, tickets, openTicket, newId = randomId, newToken, hash }: Parts,
  { sameWithinM, reporterDays }: { readonly sameWithinM: number; readonly reporterDays: number },
): Reception {
  function isOver(ticket: string, reportedAt: string): boolean {
    const known = tickets.get(ticket);
    const nowMs = clock.now();
    if (known === null) return Date.parse(reportedAt) < nowMs - ORPHANED_MS;
    return known.closedAt !== null && Date.parse(known.closedAt) <= nowMs - reporterDays * DAY_MS;
  }

  function expireReporters(): number {
    let forgotten = 0;
    for (let last = ''; ; ) {
      const some = reporters.after(last, PAGE);
      const over = some.filter(({ ticket, reportedAt }) => isOver(ticket, reportedAt));
      if (over.length > 0) forgotten += reporters.forget(over.map(({ ticket }) => ticket));
      if (some.length < PAGE) return forgotten;
      last = some.at(-1)!.ticket;
    }
  }

  return {
    async report({ reporter, photo, addressId, attributes, mediaUrl, ...of }) {
      const [id, token] = [newId(), newToken()];
      const kept = photo === null ? mediaUrl : mediaPath(await media.put(photo));
      // Before the ticket, so that no ticket lacks its reporter after a crash.
      if (reporter !== null) reporters.put(id, { ...reporter, reportedAt: isoOf(clock.now()) });
      try {
        const ticket = await openTicket({
          ...of,
          id,
          origin: 'citizen',
          by: 'reporter',
          severity: 'medium',
          same: sameWithinM === 0 ? null : { withinM: sameWithinM },
          extras: { reporterHash: hash(token), mediaUrl: kept, addressId, attributes },
        });
        return { ticket, token };
      } catch (error) {
        reporters.forget([id]);
        throw error;
      }
    },
    async expire() {
      const photos = await media.sweep(
        (name) => tickets.servicesWith(mediaPath(name)).length > 0,
        clock.now() - ORPHANED_MS,
      );
      return { reporters: expireReporters(), photos };
    },
  };
}

function randomId(): string {
  return `r-${randomBytes(8).toString('hex')}`;
}

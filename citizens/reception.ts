import { randomBytes } from 'node:crypto';
import type { CitizenCommand } from '../actions/index.ts';
import {
  DAY_MS,
  HOUR_MS,
  isoOf,
  type KeyActor,
  LamppostError,
  type LogClock,
  type PersonActor,
  type Service,
  type Ticket,
} from '../domain/index.ts';
import { checkNotFixed, checkRating, checkWriting, type Request } from '../tickets/index.ts';
import type { Media } from './media.ts';
import type { Photo } from './photo.ts';
import type { Reporter } from './reporters.ts';
import type { Statement } from './statements.ts';
import type { CitizenStore } from './store.ts';
import { type CitizenWrites, createLocalWrites } from './writes.ts';

/** A citizen's request, checked. */
export interface Report extends Statement, Pick<Request, 'service' | 'title' | 'titleZh' | 'district' | 'location'> {
  /** Photos that were sent with the request. */
  readonly photos: readonly Photo[];
  /** The asset that it names; null: the nearest, where its service knows kinds of assets. */
  readonly asset: string | null;
  /** What its citizen named it by, as a short hash; absent: by nothing. */
  readonly thing?: string;
  /** Whether it says something that no sensor of its service measures. */
  readonly unmeasured: boolean;
  /** Null where the citizen gave no name and no contact. */
  readonly reporter: Reporter | null;
}

/** The app that sends requests of citizens. */
export interface Sender {
  readonly actor: KeyActor | PersonActor;
  /** The app's own name of a request (`Idempotency-Key`); null: none. */
  readonly key: string | null;
}

/** The response to the reporter: the ticket, and a token that only the reporter has. */
export interface Received {
  readonly ticket: Ticket;
  readonly token: string;
}

/** What a citizen says about a request later on. */
export interface Said {
  readonly ticket: string;
  /** Null: an app says it for its users. */
  readonly token: string | null;
  /** Empty: none, where it is not fixed. */
  readonly comment: string;
  readonly notFixed: boolean;
  readonly photos?: readonly Photo[];
  /** Addresses of photos elsewhere. */
  readonly mediaUrls?: readonly string[];
  /** The sender's own name of it: the same name is the same comment. Absent: it has none. */
  readonly name?: string | undefined;
}

/** What a citizen says about the work. */
export interface GivenRating {
  readonly ticket: string;
  readonly token: string;
  readonly stars: number;
  /** Empty: none. */
  readonly comment: string;
}

interface Parts {
  readonly clock: LogClock;
  readonly store: CitizenStore;
  /** What changes the store; absent: the store alone. */
  readonly writes?: CitizenWrites;
  readonly media: Media;
  readonly services: () => ReadonlyMap<string, Service>;
  readonly tickets: {
    get(id: string): Ticket | null;
    /** Returns the ticket of a token, by its SHA-256. */
    idOf(hash: Uint8Array): string | null;
    /** Returns the tickets of statements and comments, those that have one. */
    namedBy(statements: readonly string[]): readonly { readonly statement: string; readonly closedAt: string | null }[];
  };
  /** Appends to the log, and resolves to what the engine decided. */
  readonly submit: (command: CitizenCommand, sender: Sender) => Promise<Ticket>;
  /** Resolves to a steady time: all that came before it has been decided. */
  readonly decidedToMs: () => Promise<number>;
  /** Returns a random token. */
  readonly newToken: () => string;
  /** SHA-256. */
  readonly hash: (text: string) => Uint8Array;
}

/** Takes citizens' requests and ratings, and deletes what is known of their authors after a time. */
export interface Reception {
  /**
   * Resolves when photo, words, reporter and ticket are on disk. Throws what opening a ticket throws, `disk`, and
   * `mistakes` where the sender's name is that of another request.
   */
  report(report: Report, sender: Sender): Promise<Received>;
  /** Resolves to the rated ticket. Throws `not-found`, and the refusals of a rating. */
  rate(rating: GivenRating): Promise<Ticket>;
  /**
   * Resolves to the ticket with a comment of its citizen, reopened where it is not fixed, and to the comment's id.
   * Throws `not-found`, `disk`, and the refusals of these.
   */
  say(said: Said, sender?: Sender): Promise<{ readonly ticket: Ticket; readonly statement: string | null }>;
  /**
   * Deletes what a citizen wrote about a ticket, and name, contacts and photo; resolves to false where there is
   * nothing.
   */
  remove(ticket: Ticket): Promise<boolean>;
  /**
   * Deletes reporters whose ticket closed long enough ago, and words and photos of no ticket; resolves to the numbers.
   */
  expire(): Promise<{ readonly reporters: number; readonly orphans: number; readonly photos: number }>;
  /**
   * What of it every node of a cluster does for itself: what it has becomes what the others have, and photos that
   * nothing has go; resolves to their number.
   */
  tidy(): Promise<{ readonly photos: number }>;
}

/** What has no ticket so long after the log was decided up to it never gets one: its request failed. */
const ORPHANED_MS = HOUR_MS;
const REPEATED_MS = DAY_MS;
const PAGE = 1_000;

/** Who rates: the token is the proof, there is no key. */
const REPORTER: Sender = {
  actor: { kind: 'key', id: 'reporter', role: 'citizen-app', department: null },
  key: null,
};

const MEDIA_PATH = '/open311/media/';

/** Returns the path under which a photo is served, as it is stored with what its citizen wrote. */
export const mediaPath = (name: string) => `${MEDIA_PATH}${name}`;

/** Returns the name of the photo of a path; null: the address is one elsewhere. */
export const photoIn = (url: string) => (url.startsWith(MEDIA_PATH) ? url.slice(MEDIA_PATH.length) : null);

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/**
 * Returns the reception. A request within `sameWithinM` of an open ticket of its service is another report of that
 * one; 0: never.
 */
export function createReception(
  { clock, store, writes = createLocalWrites(store), media, services, tickets, submit, ...more }: Parts,
  { sameWithinM, reporterDays }: { readonly sameWithinM: number; readonly reporterDays: number },
): Reception {
  const { decidedToMs, newToken, hash } = more;

  /** Stores a request before it is in the log, or finds it where its sender repeats it. */
  async function stored(
    statement: Statement,
    report: Report,
    { actor, key }: Sender,
  ): Promise<{ id: string; token: string }> {
    const { photos: _, reporter, ...asked } = { ...report, ...statement };
    const nowMs = clock.steady.now();
    const named =
      key === null ? null : { name: hash(`${actor.id} ${key}`), asked: hash(JSON.stringify([asked, reporter])) };
    const [id, token] = [randomId(), newToken()];
    const entry = {
      ...{ id, storedMs: nowMs, statement },
      reporter: reporter === null ? null : { ...reporter, reportedAt: isoOf(clock.now()) },
      repeat: named === null ? null : { ...named, token },
    };
    const first = await writes.put(entry, nowMs - REPEATED_MS);
    if (first === null) return { id, token };
    if (hexOf(first.asked) === hexOf(named!.asked)) return first;
    const why = `the Idempotency-Key "${key}" was used for another request; use a new one for each request`;
    throw new LamppostError('mistakes', why);
  }

  /** The earlier of civil and steady time: a clock that is far ahead must not delete anything early. */
  const agedMs = () => Math.min(clock.now(), clock.steady.now());

  /** Stores photos; resolves to their paths. */
  async function putAll(photos: readonly Photo[]): Promise<string[]> {
    const paths: string[] = [];
    for (const photo of photos) paths.push(mediaPath(await media.put(photo)));
    return paths;
  }

  /** Forgets who followed requests that closed long enough ago, and who never confirmed. */
  async function expireFollowers(): Promise<void> {
    const { followers } = store;
    await writes.unfollow(followers.unconfirmed(agedMs() - DAY_MS));
    const endedBefore = isoOf(agedMs() - reporterDays * DAY_MS);
    const isOver = (id: string) => (tickets.get(id)?.closedAt ?? '9') <= endedBefore;
    for (let last = ''; ; ) {
      const some = followers.followed(PAGE, last);
      await writes.unfollow(followers.ofTickets(some.filter(isOver)));
      if (some.length < PAGE) return;
      last = some.at(-1)!;
    }
  }

  /** Deletes the reporters of some statements, and what never got a ticket; returns how many. */
  async function expireSome(
    some: ReturnType<CitizenStore['after']>,
    orphanedMs: number,
  ): Promise<[reporters: number, orphans: number]> {
    const named = new Map(tickets.namedBy(some.map(({ id }) => id)).map((one) => [one.statement, one.closedAt]));
    const endedBefore = isoOf(agedMs() - reporterDays * DAY_MS);
    const isOver = (id: string) => {
      const closedAt = named.get(id) ?? null;
      return closedAt !== null && closedAt <= endedBefore;
    };
    const over = some.filter(({ id, hasReporter }) => hasReporter && isOver(id)).map(({ id }) => id);
    const orphans = some.filter(({ id, storedMs }) => !named.has(id) && storedMs < orphanedMs).map(({ id }) => id);
    if (orphans.length > 0) await writes.drop(orphans);
    return [over.length === 0 ? 0 : await writes.forgetReporters(over), orphans.length];
  }

  async function tidy(): Promise<{ readonly photos: number }> {
    await writes.tidy();
    const isUsed = (name: string) => store.withMedia(mediaPath(name)).length > 0;
    return { photos: await media.sweep(isUsed, agedMs() - ORPHANED_MS) };
  }

  return {
    async report(report, sender) {
      const {
        photos,
        reporter: _,
        description,
        address,
        addressId,
        attributes,
        mediaUrl: elsewhere,
        moreMedia: moreElsewhere = [],
        ...wanted
      } = report;
      const [mediaUrl = null, ...moreMedia] = [
        ...(await putAll(photos)),
        ...(elsewhere === null ? [] : [elsewhere, ...moreElsewhere]),
      ];
      const photographed = { mediaUrl, ...(moreMedia.length === 0 ? {} : { moreMedia }) };
      const { id, token } = await stored(
        { description, address, addressId, attributes, ...photographed },
        report,
        sender,
      );
      const command = {
        do: 'citizen.request',
        ...wanted,
        statement: id,
        token: hexOf(hash(token)),
        sameWithinM,
      } as const;
      // The name that the sender gave may be that of a person; the same name has led to the same id.
      const key = sender.key === null ? null : id;
      return { ticket: await submit(command, { ...sender, key }), token };
    },
    async rate({ ticket, token, stars, comment }) {
      const before = tickets.get(ticket);
      if (before === null) throw new LamppostError('not-found', `there is no ticket "${ticket}"`);
      // Checked before anything is written, and once more when it is decided.
      checkRating(before, tickets.idOf(hash(token)) === ticket);
      const statement = comment === '' ? null : randomId();
      if (statement !== null) await writes.putComment(statement, comment, clock.steady.now(), []);
      return submit({ do: 'citizen.rate', ticket, token: hexOf(hash(token)), stars, statement }, REPORTER);
    },
    async say({ ticket, token, comment, notFixed, photos = [], mediaUrls = [], name }, sender = REPORTER) {
      const before = tickets.get(ticket);
      if (before === null) throw new LamppostError('not-found', `there is no ticket "${ticket}"`);
      const isReporter = token === null || tickets.idOf(hash(token)) === ticket;
      const says = comment !== '' || photos.length > 0 || mediaUrls.length > 0;
      const [atMs, named] = [clock.now(), name === undefined ? randomId() : namedId(sender.actor.id, name, hash)];
      const isKnown = before.history.some(({ statement }) => statement === named);
      // Checked before anything is written, and once more when it is decided.
      if (!isKnown && says) checkWriting(before, isReporter, atMs);
      if (!isKnown && notFixed) checkNotFixed(before, { isReporter, service: services().get(before.service), atMs });
      const statement = says ? named : null;
      if (!isKnown && statement !== null)
        await writes.putComment(statement, comment, clock.steady.now(), [...(await putAll(photos)), ...mediaUrls]);
      const what = { ticket, token: token === null ? null : hexOf(hash(token)), statement };
      const command = { do: notFixed ? 'citizen.not-fixed' : 'citizen.comment', ...what } as const;
      return { ticket: await submit(command, { ...sender, key: null }), statement };
    },
    async remove(ticket) {
      const { statement, rating, history } = ticket;
      const later = history.flatMap(({ by, statement: said }) =>
        by === 'reporter' && said !== undefined ? [said] : [],
      );
      const ids = [statement, rating?.statement ?? null, ...later].filter((id) => id !== null);
      await writes.caughtUp();
      await writes.unfollow(store.followers.ofTickets([ticket.id]));
      const photos = await writes.remove(ids);
      for (const name of (photos ?? []).map(photoIn)) if (name !== null) await media.remove(name);
      return photos !== null;
    },
    async expire() {
      const orphanedMs = (await decidedToMs()) - ORPHANED_MS;
      await writes.caughtUp();
      await writes.forgetRepeats(clock.steady.now() - REPEATED_MS);
      await expireFollowers();
      let [reporters, orphans] = [0, 0];
      for (let last = ''; ; ) {
        const some = store.after(last, PAGE);
        const [over, lost] = await expireSome(some, orphanedMs);
        reporters += over;
        orphans += lost;
        if (some.length < PAGE) break;
        last = some.at(-1)!.id;
      }
      return { reporters, orphans, ...(await tidy()) };
    },
    tidy,
  };
}

/** Returns the same id for what one sender names the same. */
function namedId(sender: string, name: string, hash: Parts['hash']): string {
  return `u-${hexOf(hash(`${sender} ${name}`)).slice(0, 24)}`;
}

function randomId(): string {
  return `c-${randomBytes(12).toString('hex')}`;
}

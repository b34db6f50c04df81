import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import type { ActionLog } from '../actions/index.ts';
import type { ApiDeps } from '../api/index.ts';
import {
  CITIZENS_FILE,
  type CitizenStore,
  type CitizenWrites,
  copyOf,
  createCitizenStore,
  createCleaning,
  createLocalWrites,
  createMedia,
  createReception,
  createSharedMedia,
  createSharedWrites,
  createShown,
  MEDIA_FOLDER,
  type Media,
  mediaPath,
  type Outgoing,
  ProgressSender,
  photoIn,
  sharePhotos,
} from '../citizens/index.ts';
import type { openSharedKeys, SharedObjects } from '../cluster/index.ts';
import { type City, type Duties, LamppostError, type LogClock, systemTimers as timers } from '../domain/index.ts';
import { createOutboxReader } from '../events/index.ts';
import { type AttemptResult, type Sealer, signatureHeaders } from '../notify/index.ts';
import { hashSecret, newSecret } from '../registry/index.ts';
import { freeBytes } from '../store/index.ts';
import { createRequestReader, createTicketReader } from '../tickets/index.ts';
import type { Config } from './config.ts';
import { startPhotoThread } from './threads/photos.ts';
import type { Threads } from './threads/start.ts';

/** What photos of strangers leave of the disk, bytes: readings and tickets come first. */
const LEFT_FREE = 1024 ** 3;

/** What the nodes of a cluster share of citizens. */
export interface SharedCitizens {
  readonly keys: Awaited<ReturnType<typeof openSharedKeys>>;
  readonly objects: SharedObjects;
  readonly sealer: Sealer;
  readonly duties: Duties;
}

interface Parts {
  /** Null, or absent: this node is alone. */
  readonly shared?: SharedCitizens | null;
  /** The data folder. */
  readonly dir: string;
  /** The state file, read-only. */
  readonly state: DatabaseSync;
  readonly actions: Pick<ActionLog, 'submit'>;
  /** Resolves to a steady time: all that came into the log before it has been decided. */
  readonly decidedToMs: () => Promise<number>;
  readonly clock: LogClock;
  /** The city in force. */
  readonly city: () => City;
  /** The thread of notifications, which has the mail server. */
  readonly notify: Pick<Threads['notify'], 'mail' | 'post'>;
  readonly log: Logger;
  /** Where people reach this Lamppost, without a slash at the end. */
  readonly publicUrl: string;
  readonly smtp: Config['smtp'];
  readonly sms: Config['sms'];
}

/** Opens the files of citizens and returns their services. Throws `disk`, `too-new`. */
export function openCitizens(
  { dir, state, actions, decidedToMs, clock, city, shared = null, ...sending }: Parts,
  options: Pick<Config['citizens'], 'sameWithinM' | 'reporterDays'>,
) {
  const store = createCitizenStore({ path: join(dir, CITIZENS_FILE) }).open();
  const folder = createMedia(join(dir, MEDIA_FOLDER));
  const { log, publicUrl, smtp, sms } = sending;
  const { writes, media, ...sharing } =
    shared === null
      ? { writes: createLocalWrites(store), media: folder, start() {}, async stop() {} }
      : shareCitizens(shared, { store, folder, clock, log, onFollower: () => progress.wake() });
  const cleaning = createCleaning({ start: startPhotoThread, timers });
  const requests = createRequestReader(state);
  const tickets = createTicketReader(state);
  const reception = createReception(
    {
      ...{ clock, store, writes, media, decidedToMs, newToken: newSecret, hash: hashSecret },
      services: () => city().services,
      tickets: { get: tickets.get, idOf: requests.idOf, namedBy: requests.namedBy },
      // Where a citizen's request came from is theirs too.
      submit: (command, { actor, key }) => actions.submit(command, { actor, address: null, key }),
    },
    options,
  );
  const progress = new ProgressSender(
    {
      ...{ followers: store.followers, writes, tickets, clock, timers, log, city, random: Math.random },
      holds: shared === null ? null : () => shared.duties.holds('notify') !== null,
      outbox: createOutboxReader(state),
      send: (outgoing) => sendOut(outgoing, { ...sending, clock }),
    },
    { publicUrl, channels: [...(smtp === null ? [] : ['email' as const]), ...(sms === null ? [] : ['sms' as const])] },
  );
  const deps: ApiDeps['citizens'] = {
    progress,
    report: reception.report,
    rate: reception.rate,
    say: reception.say,
    remove: reception.remove,
    async clean(file, ofStranger = false) {
      if (ofStranger && freeBytes(dir) < LEFT_FREE)
        throw new LamppostError('busy', 'there is no room for photos now; send the request without', {
          retryable: true,
        });
      return cleaning.clean(file, ofStranger);
    },
    requests,
    shown: createShown(store),
    photo: media.open,
    servicesWith: (mediaUrl) => requests.servicesOf(store.withMedia(mediaUrl)),
    reporter: ({ statement, relation }) =>
      statement === null || relation === 'part' ? null : store.reporter(statement),
    rewrites: () => store.rewrites(),
  };
  progress.start();
  sharing.start();
  const forget = shared?.duties.onChange((duty) => {
    if (duty === 'notify') progress.wake();
  });
  async function close(): Promise<void> {
    forget?.();
    await progress.stop();
    await sharing.stop();
    store.close();
    await cleaning.stop();
  }

  return { deps, media, reception, progress, close };
}

/** Waits so long before it tries again to make this node the same as the others. */
const AGAIN_MS = 5_000;

/** Returns what changes rows and photos of every node, and follows the others between start and stop. */
function shareCitizens(
  { keys: keysFor, objects, sealer }: SharedCitizens,
  parts: Pick<Parts, 'clock' | 'log'> & {
    readonly store: CitizenStore;
    readonly folder: Media;
    readonly onFollower: () => void;
  },
) {
  const { store, folder, clock, log, onFollower } = parts;
  const isUsed = (name: string) => store.withMedia(mediaPath(name)).length > 0;
  const namesOf = (urls: readonly string[]) => urls.map(photoIn).filter((name) => name !== null);
  const photos = { local: folder, objects, seal: sealer, isUsed };
  const keys = keysFor({ seal: sealer, copy: copyOf(store, onFollower), log });
  const writes: CitizenWrites = createSharedWrites({
    ...{ store, keys, now: () => clock.now() },
    sharePhotos: () => sharePhotos(photos, namesOf(store.allMedia())),
  });
  let cancel = () => {};
  let isStopped = false;
  store.onUnused((urls) => {
    for (const name of namesOf(urls))
      folder.remove(name).catch((err: unknown) => log.error({ err }, 'a removed photo is deleted at night'));
  });
  function tidy(): void {
    writes.tidy().catch((err: unknown) => {
      if (isStopped) return;
      log.warn({ err }, 'what citizens wrote is compared with the other nodes later');
      cancel = timers.after(AGAIN_MS, tidy);
    });
  }
  return {
    writes,
    media: createSharedMedia(photos),
    start() {
      keys.start();
      tidy();
    },
    async stop() {
      isStopped = true;
      cancel();
      await keys.stop();
    },
  };
}

/** Makes one attempt to send a message to a citizen: a mail, or a signed webhook to the gateway for SMS. */
function sendOut(
  { channel, to, language, message, id, endUrl }: Outgoing,
  { notify, clock, publicUrl, sms }: Pick<Parts, 'notify' | 'clock' | 'publicUrl' | 'sms'>,
): Promise<AttemptResult> {
  if (channel === 'email') {
    const { sms: _, ...mail } = message;
    const messageId = `${id}@${new URL(publicUrl).hostname.replace(/[[\]:]/g, '-')}`;
    return notify.mail({ to, mail, messageId, thread: null, events: [], endUrl });
  }
  const body = JSON.stringify({ id, to, text: message.sms, language });
  const signed = signatureHeaders({ id, atMs: clock.now(), body }, [sms!.secret]);
  const headers = { 'content-type': 'application/json', 'user-agent': 'Lamppost (SMS)', ...signed };
  return notify.post({ url: sms!.url, headers, body });
}

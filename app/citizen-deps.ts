import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import type { ActionLog } from '../actions/index.ts';
import type { ApiDeps } from '../api/index.ts';
import {
  CITIZENS_FILE,
  createCitizenStore,
  createCleaning,
  createMedia,
  createReception,
  createShown,
  MEDIA_FOLDER,
  type Outgoing,
  ProgressSender,
} from '../citizens/index.ts';
import { type City, LamppostError, type LogClock, systemTimers as timers } from '../domain/index.ts';
import { createOutboxReader } from '../events/index.ts';
import { type AttemptResult, signatureHeaders } from '../notify/index.ts';
import { hashSecret, newSecret } from '../registry/index.ts';
import { freeBytes } from '../store/index.ts';
import { createRequestReader, createTicketReader } from '../tickets/index.ts';
import type { Config } from './config.ts';
import { startPhotoThread } from './threads/photos.ts';
import type { Threads } from './threads/start.ts';

/** What photos of strangers leave of the disk, bytes: readings and tickets come first. */
const LEFT_FREE = 1024 ** 3;

interface Parts {
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
  { dir, state, actions, decidedToMs, clock, city, ...sending }: Parts,
  options: Pick<Config['citizens'], 'sameWithinM' | 'reporterDays'>,
) {
  const store = createCitizenStore({ path: join(dir, CITIZENS_FILE) }).open();
  const media = createMedia(join(dir, MEDIA_FOLDER));
  const cleaning = createCleaning({ start: startPhotoThread, timers });
  const requests = createRequestReader(state);
  const tickets = createTicketReader(state);
  const reception = createReception(
    {
      ...{ clock, store, media, decidedToMs, newToken: newSecret, hash: hashSecret },
      services: () => city().services,
      tickets: { get: tickets.get, idOf: requests.idOf, namedBy: requests.namedBy },
      // Where a citizen's request came from is theirs too.
      submit: (command, { actor, key }) => actions.submit(command, { actor, address: null, key }),
    },
    options,
  );
  const { log, publicUrl, smtp, sms } = sending;
  const progress = new ProgressSender(
    {
      ...{ followers: store.followers, tickets, clock, timers, log, city, random: Math.random },
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
    removals: () => store.removals(),
  };
  progress.start();
  async function close(): Promise<void> {
    await progress.stop();
    store.close();
    await cleaning.stop();
  }

  return { deps, media, reception, progress, close };
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

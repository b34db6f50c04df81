import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { ApiDeps } from '../api/index.ts';
import { createCleaning, createMedia, createReception, createReporters, MEDIA_FOLDER } from '../citizens/index.ts';
import { type Clock, systemTimers as timers } from '../domain/index.ts';
import { hashSecret, newSecret } from '../registry/index.ts';
import { createRequestReader, createTicketReader } from '../tickets/index.ts';
import type { Config } from './config.ts';
import { startPhotoThread } from './threads/photos.ts';
import type { Threads } from './threads/start.ts';

interface Parts {
  /** The data folder. */
  readonly dir: string;
  /** The state file, read-only. */
  readonly state: DatabaseSync;
  readonly engine: Pick<Threads['engine'], 'openTicket' | 'rateTicket'>;
  readonly clock: Clock;
}

/** Opens the files of citizens and returns their services. Throws `disk`, `too-new`. */
export function openCitizens(
  { dir, state, engine, clock }: Parts,
  options: Pick<Config['citizens'], 'sameWithinM' | 'reporterDays'>,
) {
  const reporters = createReporters({ path: join(dir, 'reporters.sqlite') }).open();
  const media = createMedia(join(dir, MEDIA_FOLDER));
  const cleaning = createCleaning({ start: startPhotoThread, timers });
  const requests = createRequestReader(state);
  const reception = createReception(
    {
      clock,
      reporters,
      media,
      tickets: { get: createTicketReader(state).get, servicesWith: requests.servicesWith },
      openTicket: engine.openTicket,
      newToken: newSecret,
      hash: hashSecret,
    },
    options,
  );
  const deps: ApiDeps['citizens'] = {
    report: reception.report,
    clean: cleaning.clean,
    rate: (rating) => engine.rateTicket(rating),
    requests,
    photo: media.open,
    reporter: (ticket) => reporters.get(ticket),
    forget: (ticket) => reporters.forget([ticket]) > 0,
  };
  async function close(): Promise<void> {
    reporters.close();
    await cleaning.stop();
  }

  return { deps, media, reception, close };
}

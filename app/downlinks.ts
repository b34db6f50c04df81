import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import type { DownlinkQueue } from '../bridges/index.ts';
import { createCommandReader } from '../commands/index.ts';
import type { NoticesControl } from '../domain/index.ts';

/** Returns the commands that bridges publish, over a connection to the state; what was sent is noted in the log. */
export function createDownlinkQueue(
  state: DatabaseSync,
  note: (notices: NoticesControl) => Promise<unknown>,
  log: Logger,
): DownlinkQueue {
  const commands = createCommandReader(state);
  return {
    waiting: (key, limit) =>
      commands.downlinks(key, limit).map(({ id, downlink }) => {
        const { topic, payload } = downlink!;
        return { id, topic, payload };
      }),
    /** Only a hint is lost where the disk does not take it: what the device replies counts. */
    delivered(delivered) {
      note({ drops: [], logins: [], delivered }).catch((error: unknown) =>
        log.warn({ err: error }, 'it is not noted which commands were sent'),
      );
    },
  };
}

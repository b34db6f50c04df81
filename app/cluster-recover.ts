import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ClusterSettings,
  connectTo,
  type Missing,
  missingTail,
  putBack,
  readNodes,
  type Tail,
} from '../cluster/index.ts';
import { type Block, LamppostError, systemClock } from '../domain/index.ts';
import { isSameBlock, JournalReader, messageOf, StreamLog } from '../journal/index.ts';
import { lockFolder } from '../store/index.ts';

/**
 * Puts the blocks that the stream lacks back into it, from the log file of a data folder that no server uses; with
 * `act` false it only says which. Makes the stream of a new cluster. Throws `conflict` where something speaks against
 * it, `config` where there is no log file, or the servers do not take messages as large as its blocks.
 */
export async function recoverCluster(
  dir: string,
  settings: ClusterSettings,
  { act, onProgress }: { readonly act: boolean; readonly onProgress?: (seq: number) => void },
): Promise<Missing> {
  const path = join(dir, 'journal.sqlite');
  if (!existsSync(path)) throw new LamppostError('config', `--data: there is no log in ${dir}`);
  const lock = lockFolder(dir, systemClock.now());
  const reader = new JournalReader(path).open();
  const connection = await connectTo(settings, 'recover').catch((error: unknown) => {
    reader.close();
    lock.release();
    throw error;
  });
  try {
    // An empty cluster has no stream yet.
    if (act) await (await StreamLog.open(settings)).close();
    const tail = tailOf(reader, settings);
    const missing = await missingTail(connection, settings, tail, await readNodes(connection, settings));
    if (missing !== null) refuseLarge(reader, tail, missing, connection.info?.max_payload);
    if (act && missing !== null) await putBack(connection, settings, tail, missing, onProgress);
    return missing;
  } finally {
    await connection.close();
    reader.close();
    lock.release();
  }
}

/** Bytes that NATS's own headers of a message may take. */
const HEADERS = 1_024;

/**
 * A block is one message of the stream, under its own number: one that is larger than the servers take cannot be
 * divided. Throws `config` with the value that all of them fit into, before anything is put back.
 */
function refuseLarge(
  reader: JournalReader,
  { messageOf }: Tail,
  missing: NonNullable<Missing>,
  maxPayload = 1_048_576,
): void {
  let largest = { seq: 0, bytes: 0 };
  for (const seq of reader.largerThan(maxPayload - 2 * HEADERS, missing)) {
    const bytes = messageOf(seq).data.length;
    if (bytes > largest.bytes) largest = { seq, bytes };
  }
  const needed = largest.bytes + HEADERS;
  if (largest.seq === 0 || needed <= maxPayload) return;
  throw new LamppostError(
    'config',
    `block ${largest.seq} has ${largest.bytes} bytes, and max_payload of the nats-servers is ${maxPayload}: set it to ` +
      `${needed} or more on each of them, restart them, and run this again`,
  );
}

function tailOf(reader: JournalReader, settings: ClusterSettings): Tail {
  const blockAt = (seq: number): Block => {
    const [block] = reader.after(seq - 1, 1);
    if (block?.seq !== seq) throw new LamppostError('damaged', `block ${seq} is not in the log file any more`);
    return block;
  };
  return {
    subject: `${settings.name}.log`,
    oldest: reader.after(0, 1)[0]?.seq ?? 0,
    newest: reader.head().seq,
    messageOf: (seq) => messageOf(blockAt(seq), settings.node),
    isSame(message) {
      const before = reader.after(message.seq - 2, 1)[0];
      return isSameBlock(blockAt(message.seq), message, before?.seq === message.seq - 1 ? before : null);
    },
  };
}

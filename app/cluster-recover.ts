import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ClusterSettings,
  connectTo,
  type LogMessage,
  type Missing,
  missingTail,
  putBack,
  readNodes,
  type Tail,
} from '../cluster/index.ts';
import { type Block, LamppostError, systemClock } from '../domain/index.ts';
import { encodeBlock, isSameBlock, JournalReader, StreamLog } from '../journal/index.ts';
import { lockFolder } from '../store/index.ts';

/**
 * Puts the blocks that the stream lacks back into it, from the log file of a data folder that no server uses; with `act`
 * false it only says which. Makes the stream of a new cluster. Throws `conflict` where something speaks against it, `config` where there is no log file.
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
    if (act && missing !== null) await putBack(connection, settings, tail, missing, onProgress);
    return missing;
  } finally {
    await connection.close();
    reader.close();
    lock.release();
  }
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

function messageOf(block: Block, node: string): LogMessage {
  const { seq, kind, body, count, receivedAt: now, steadyAt } = block;
  const fresh = { kind, body, count, head: headOf(block), now, offsetMs: now - steadyAt, id: null };
  return { seq, data: encodeBlock(fresh, node) };
}

/** The version that a control record of this kind brings into force. */
function headOf({ kind, body }: Block): string | null {
  if (kind !== 'city' && kind !== 'devices') return null;
  const { version } = JSON.parse(Buffer.from(body).toString('utf8')) as { version: string | number };
  return String(version);
}

import { LamppostError } from '../domain/index.ts';
import type { StreamRange } from './stream.ts';

/** What a start knows of its own log file, the stream and the snapshots. */
export interface JoinFacts {
  /** The data folder, for sentences. */
  readonly dir: string;
  /** The name of the stream, for sentences. */
  readonly stream: string;
  /** The newest block of the own log file; 0: there is none. */
  readonly newest: number;
  /** Null: there is no stream yet. */
  readonly range: StreamRange | null;
  /** Whether the newest block that both have is the same; null: they have none in common. */
  readonly isSame: boolean | null;
  /** The newest block in the newest snapshot; null: there is none. */
  readonly snapshot: number | null;
}

/** What a start does: follow the stream from where its log file ends, or take the newest snapshot before that. */
export type Joining = { readonly by: 'following' } | { readonly by: 'snapshot'; readonly why: string };

/** The newest block that a log file and the stream have both; null: none. */
export function commonBlock(newest: number, range: StreamRange | null): number | null {
  if (range === null) return null;
  const seq = Math.min(newest, range.last);
  return seq >= Math.max(1, range.first) ? seq : null;
}

/** Decides how a node joins. Throws `conflict` with what to do, where its log file is not one of this stream's. */
export function decideJoin({ dir, stream, newest, range, isSame, snapshot }: JoinFacts): Joining {
  const { first, last } = range ?? { first: 1, last: 0 };
  if (newest > last) throw new LamppostError('conflict', aheadOf({ dir, stream, newest, last }));
  if (isSame === false) {
    const common = commonBlock(newest, range);
    throw new LamppostError(
      'conflict',
      `block ${common} in ${dir} is not block ${common} of the stream ${stream}: the folder is that of another log, ` +
        'or the stream was written to again after it had lost blocks. Compare the nodes (lamppost cluster status). ' +
        'If the others are right, set this folder aside and start with an empty one',
    );
  }
  const isNew = newest === 0;
  if (isNew ? snapshot === null && first <= 1 : newest >= first - 1) return { by: 'following' };
  const why = isNew
    ? 'the data folder is empty'
    : `its log ends with block ${newest}, and the stream begins with ${first}`;
  if (snapshot !== null && snapshot >= first - 1) return { by: 'snapshot', why };
  throw new LamppostError(
    'conflict',
    `${dir} cannot join: ${why}, and no snapshot leads up to block ${first} of the stream ${stream}. Start the other ` +
      'nodes: the one with the duty of snapshots makes one. Or restore a backup whose log ends with a later block',
  );
}

function aheadOf({ dir, stream, newest, last }: Record<'dir' | 'stream', string> & Record<'newest' | 'last', number>) {
  if (last === 0)
    return (
      `${dir} has a log up to block ${newest}, and the stream ${stream} is empty. To bring this log into the cluster, ` +
      `run: lamppost cluster recover --data ${dir}. To join a cluster that is new, start with an empty folder`
    );
  return (
    `${dir} has a log up to block ${newest}, and the stream ${stream} ends with block ${last}: NATS lost blocks that it ` +
    'had acknowledged. Nobody may append before they are back: stop every node, see which one has the longest log ' +
    `(lamppost cluster status), and run there: lamppost cluster recover --data <its folder>`
  );
}

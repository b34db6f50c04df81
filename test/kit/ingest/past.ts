import { DatabaseSync } from 'node:sqlite';
import { type DecodedAt, MessagePast } from '../../../ingest/message-past.ts';
import { PAST_SCHEMA, PastFacts } from '../../../ingest/past.ts';

/** Returns the past of one message after the other, in memory: everybody may publish for everybody. */
export function pastInMemory() {
  const db = new DatabaseSync(':memory:');
  db.exec(PAST_SCHEMA);
  const past = new MessagePast(new PastFacts(db), () => true);
  let n = 0;
  return (message: Pick<DecodedAt, 'topic' | 'identity' | 'device'>) => {
    const at = n++;
    return past.of({ ...message, seq: 1, at, position: at, fresh: true });
  };
}

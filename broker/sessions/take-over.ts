import type { DatabaseSync } from 'node:sqlite';
import type { MqttOutbox } from './outbox.ts';

interface Copy {
  readonly messageId: number | null;
  readonly topic: string;
  readonly payload: string;
  readonly bytes: number;
}

/**
 * Finds the places of the sessions of an earlier version, which had a copy of each message in a queue. Copies whose
 * event the outbox no longer has are dropped; one that was acknowledged after the first that waits may come again.
 */
export function takeOver(db: DatabaseSync, outbox: MqttOutbox, nowMs: number): void {
  const put = db.prepare('update sessions set place = ?, sent = ? where key = ?');
  const drop = db.prepare(`
    insert into drops select lower(hex(randomblob(16))), id, user, 'queue-full', ?, ?, ? from sessions where key = ?`);
  for (const { key } of db.prepare('select key from sessions').all()) {
    const copies = copiesOf(db, Number(key));
    const sent = copies.filter(({ messageId }) => messageId !== null).map((copy) => inFlight(copy, outbox));
    const waiting = copies.filter(({ messageId }) => messageId === null).map((copy) => numberOf(copy, outbox));
    const kept = waiting.filter((n) => n !== null);
    const lost = waiting.length - kept.length;
    put.run(Math.min(outbox.copiedTo(), ...kept.map((n) => n - 1)), JSON.stringify(sent), key!);
    if (lost > 0) drop.run(lost, nowMs, nowMs, key!);
  }
}

function copiesOf(db: DatabaseSync, session: number): Copy[] {
  const rows = db.prepare(`
    select message_id, topic, cast(payload as text) as payload, bytes from queue q join packets p on p.n = q.n
    where session = ? order by q.n`);
  return rows.all(session).map(({ message_id, topic, payload, bytes }) => ({
    messageId: message_id === null ? null : Number(message_id),
    topic: String(topic),
    payload: String(payload),
    bytes: Number(bytes),
  }));
}

/** Returns a row of `sent`; its event is number 0 where the outbox has it no longer. */
function inFlight(copy: Copy, outbox: MqttOutbox): [number, number, number, number] {
  const n = numberOf(copy, outbox) ?? 0;
  const messages = outbox.between(n - 1, n)[0]?.messages ?? [];
  const i = messages.findIndex(({ topic }) => topic === copy.topic);
  return i < 0 ? [copy.messageId!, 0, 0, copy.bytes] : [copy.messageId!, n, i, copy.bytes];
}

/** Returns the number of the event of a message: an event, or the state of a ticket after one. */
function numberOf({ topic, payload }: Copy, outbox: MqttOutbox): number | null {
  // The end of a retained ticket says nothing of its event.
  if (payload === '') return outbox.firstOf(topic.split('/').at(-1)!);
  const { id, version } = JSON.parse(payload) as { id: string; version?: number };
  return outbox.numberOf(topic.startsWith('tickets/') ? `${id}.${version}` : id);
}

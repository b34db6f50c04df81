import type { SQLOutputValue } from 'node:sqlite';
import type { DropReason } from '../../domain/index.ts';
import type { SessionsFile } from './file.ts';
import {
  bytesOf,
  type InFlight,
  type Packet,
  payloadOf,
  type Queued,
  type Session,
  type SessionLimits,
} from './session.ts';

const MOST_MESSAGE_IDS = 65_535;
/** Messages in one read of the file. */
const PAGE = 100;

const COLUMNS = 'q.n, q.message_id, p.topic, p.payload, p.qos, p.retain, p.broker, p.counter, p.bytes';

/** Called when a cap drops messages of a session. */
export type OnDropped = (session: Session, reason: DropReason, messages: number) => void;

/** The queues of kept sessions. A packet is stored once for all sessions that wait for it. */
export class Queues {
  readonly #file: SessionsFile;
  readonly #limits: SessionLimits;
  readonly #onDropped: OnDropped;
  readonly #sql;
  /** Number of queues that hold a packet, by its number. */
  readonly #holders = new Map<number, number>();
  #last = 0;

  constructor(file: SessionsFile, limits: SessionLimits, onDropped: OnDropped) {
    this.#file = file;
    this.#limits = limits;
    this.#onDropped = onDropped;
    this.#sql = statementsOf(file);
  }

  /** Reads the state of the queues into the sessions; deletes packets that no session waits for. */
  load(byKey: ReadonlyMap<number, Session>): void {
    this.#file.db.exec('delete from queue where session not in (select key from sessions)');
    this.#file.db.exec('delete from packets where n not in (select n from queue)');
    for (const { session, messages, bytes, newest } of this.#sql.totals.iterate()) {
      const totals = { messages: Number(messages), bytes: Number(bytes), newest: Number(newest) };
      Object.assign(byKey.get(Number(session))!, totals);
    }
    for (const { session, n, message_id, bytes } of this.#sql.sent.iterate()) {
      const sent = { n: Number(n), bytes: Number(bytes), packet: null };
      byKey.get(Number(session))!.inFlight.set(Number(message_id), sent);
    }
    for (const { n, holders } of this.#sql.holders.iterate()) this.#holders.set(Number(n), Number(holders));
    this.#last = Number(this.#sql.last.get()!.n);
  }

  /** Appends a message to the queues, then drops the oldest messages of queues over their cap. */
  add(sessions: readonly Session[], packet: Packet): Queued {
    const n = ++this.#last;
    const bytes = bytesOf(packet);
    const { topic, payload, qos, retain, brokerId, brokerCounter } = packet;
    this.#file.write(this.#sql.insertPacket, n, topic, payload, qos, retain ? 1 : 0, brokerId, brokerCounter, bytes);
    for (const session of sessions) {
      this.#file.write(this.#sql.insert, session.key, n);
      this.#count(session, n, bytes);
    }
    for (const session of sessions) if (this.#isOver(session)) this.#trim(session);
    return { n, bytes, messageId: null, packet };
  }

  /** Returns the oldest messages after number `after`; null while the disk does not take the pending writes. */
  page(session: Session, after: number, limit = PAGE): Queued[] | null {
    if (!this.#file.flush()) return null;
    return this.#sql.page.all(session.key, after, limit).map(queuedOf);
  }

  /** Yields every message, oldest first; of one that was released by PUBREL (QoS 2) only the id. */
  *all(session: Session): Generator<Packet | { cmd: 'pubrel'; messageId: number }> {
    let after = 0;
    for (;;) {
      const page = this.page(session, after) ?? [];
      for (const { n, messageId, packet } of page) {
        after = n;
        const isReleased = messageId !== null && this.#sql.released.get(session.key, n) !== undefined;
        yield isReleased ? { cmd: 'pubrel', messageId } : packet;
      }
      if (page.length === 0) return;
    }
  }

  /** Returns a message id that is neither in flight nor in `taken`; 0 where all are in use. */
  freeMessageId(session: Session, taken: ReadonlySet<number>): number {
    const { inFlight } = session;
    if (inFlight.size + taken.size >= MOST_MESSAGE_IDS) return 0;
    do session.lastMessageId = (session.lastMessageId % MOST_MESSAGE_IDS) + 1;
    while (inFlight.has(session.lastMessageId) || taken.has(session.lastMessageId));
    return session.lastMessageId;
  }

  /** Stores the id under which a message is sent; it keeps that id until it is acknowledged (§4.4). */
  assign(session: Session, { n, bytes, packet, messageId: before }: Queued, messageId: number): void {
    session.inFlight.set(messageId, { n, bytes, packet });
    if (before !== messageId) this.#file.write(this.#sql.assign, messageId, session.key, n);
  }

  /** Returns the message of an Aedes packet in this queue; null where there is none. */
  find(session: Session, { brokerId, brokerCounter }: Pick<Packet, 'brokerId' | 'brokerCounter'>): Queued | null {
    if (!this.#file.flush()) return null;
    const row = this.#sql.find.get(session.key, brokerId, brokerCounter);
    return row === undefined ? null : queuedOf(row);
  }

  /** Stores that the receiver has a message of QoS 2; returns false where none was sent under this id. */
  release(session: Session, messageId: number): boolean {
    const sent = session.inFlight.get(messageId);
    if (sent === undefined) return false;
    this.#file.write(this.#sql.release, session.key, sent.n);
    return true;
  }

  /** Removes and returns the message that was sent under this id; undefined where there is none. */
  acknowledge(session: Session, messageId: number): Packet | undefined {
    const sent = session.inFlight.get(messageId);
    if (sent === undefined) return undefined;
    const packet = sent.packet ?? this.#read(session, sent);
    session.inFlight.delete(messageId);
    this.#remove(session, sent.n, sent.bytes);
    return packet === undefined ? undefined : { ...packet, messageId };
  }

  /** Removes every message of a session. */
  clear(session: Session): void {
    // While the disk is full the file cannot be read: the packets of this queue stay until the next start.
    const packets = this.#file.flush() ? this.#sql.numbers.all(session.key) : [];
    for (const { n } of packets) this.#release(Number(n));
    this.#file.write(this.#sql.clear, session.key);
    session.inFlight.clear();
    session.messages = 0;
    session.bytes = 0;
  }

  #isOver({ messages, bytes }: Session): boolean {
    return messages > this.#limits.messages || bytes > this.#limits.bytes;
  }

  /**
   * Drops the oldest unsent messages, about 1 % of the cap at once, so that a full queue does not read the file at
   * each event.
   */
  #trim(session: Session): void {
    if (!this.#file.flush()) return;
    const most = Math.max(1, Math.floor(this.#limits.messages / 100));
    let dropped = 0;
    for (const { n, bytes } of this.#sql.oldest.iterate(session.key)) {
      if (dropped >= most && !this.#isOver(session)) break;
      this.#remove(session, Number(n), Number(bytes));
      dropped++;
    }
    if (dropped > 0) this.#onDropped(session, 'queue-full', dropped);
  }

  #read(session: Session, { n }: InFlight): Packet | undefined {
    return this.page(session, n - 1, 1)?.[0]?.packet;
  }

  #count(session: Session, n: number, bytes: number): void {
    session.messages++;
    session.bytes += bytes;
    session.newest = n;
    this.#holders.set(n, (this.#holders.get(n) ?? 0) + 1);
  }

  #remove(session: Session, n: number, bytes: number): void {
    session.messages--;
    session.bytes -= bytes;
    this.#file.write(this.#sql.remove, session.key, n);
    this.#release(n);
  }

  #release(n: number): void {
    const others = this.#holders.get(n)! - 1;
    if (others > 0) {
      this.#holders.set(n, others);
      return;
    }
    this.#holders.delete(n);
    this.#file.write(this.#sql.removePacket, n);
  }
}

function statementsOf({ db }: SessionsFile) {
  const joined = 'from queue q join packets p on p.n = q.n where q.session = ?';
  return {
    totals: db.prepare(`
      select session, count(*) as messages, sum(bytes) as bytes, max(q.n) as newest
      from queue q join packets p on p.n = q.n group by session`),
    sent: db.prepare(`
      select session, q.n, message_id, bytes from queue q join packets p on p.n = q.n
      where message_id is not null order by session, q.n`),
    holders: db.prepare('select n, count(*) as holders from queue group by n'),
    last: db.prepare('select coalesce(max(n), 0) as n from packets'),
    insertPacket: db.prepare('insert into packets values (?, ?, ?, ?, ?, ?, ?, ?)'),
    insert: db.prepare('insert into queue (session, n) values (?, ?)'),
    page: db.prepare(`select ${COLUMNS} ${joined} and q.n > ? order by q.n limit ?`),
    find: db.prepare(`select ${COLUMNS} ${joined} and p.broker = ? and p.counter = ?`),
    oldest: db.prepare(`select q.n, p.bytes ${joined} and q.message_id is null order by q.n`),
    numbers: db.prepare('select n from queue where session = ?'),
    assign: db.prepare('update queue set message_id = ? where session = ? and n = ?'),
    release: db.prepare('update queue set released = 1 where session = ? and n = ?'),
    released: db.prepare('select 1 from queue where session = ? and n = ? and released = 1'),
    remove: db.prepare('delete from queue where session = ? and n = ?'),
    removePacket: db.prepare('delete from packets where n = ?'),
    clear: db.prepare('delete from queue where session = ?'),
  };
}

function queuedOf(row: Record<string, SQLOutputValue>): Queued {
  const messageId = row.message_id === null ? null : Number(row.message_id);
  const packet: Packet = {
    cmd: 'publish',
    brokerId: String(row.broker),
    brokerCounter: Number(row.counter),
    topic: String(row.topic),
    payload: payloadOf(row.payload),
    qos: Number(row.qos) as Packet['qos'],
    retain: row.retain === 1,
    dup: false,
    messageId: messageId ?? undefined,
  };
  return { n: Number(row.n), bytes: Number(row.bytes), messageId, packet };
}

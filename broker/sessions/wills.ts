import type { StatementSync } from 'node:sqlite';
import type { SessionsFile } from './file.ts';
import { type Packet, payloadOf } from './session.ts';

/** A will as Aedes passes it, with the fields that Aedes adds. */
export type Will = Pick<Packet, 'topic' | 'payload'> & { brokerId?: string; clientId?: string };

/** The will of a connection that was open when the run before ended. */
export interface LeftWill {
  readonly session: string;
  readonly topic: string;
  readonly payload: Buffer;
}

/** Wills of the connections of this run, and those that the run before left. */
export class Wills {
  readonly #file: SessionsFile;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #wills = new Map<string, Will>();
  #left: LeftWill[];

  /** `areOfAnother`: what the file has is of the connections of the node of which it is a copy. */
  constructor(file: SessionsFile, areOfAnother = false) {
    this.#file = file;
    if (areOfAnother) file.db.exec('delete from wills');
    this.#put = file.db.prepare('insert or replace into wills values (?, ?, ?)');
    this.#delete = file.db.prepare('delete from wills where session = ?');
    this.#left = file.db
      .prepare('select * from wills')
      .all()
      .map(({ session, topic, payload }) => ({
        session: String(session),
        topic: String(topic),
        payload: Buffer.from(payloadOf(payload)),
      }));
  }

  put(session: string, will: Will): void {
    this.#wills.set(session, will);
    this.#file.write(this.#put, session, will.topic, will.payload);
  }

  get(session: string): Will | undefined {
    return this.#wills.get(session);
  }

  delete(session: string): Will | undefined {
    const will = this.#wills.get(session);
    if (this.#wills.delete(session)) this.#file.write(this.#delete, session);
    return will;
  }

  all(): IterableIterator<Will> {
    return this.#wills.values();
  }

  /** Returns the wills that the run before left. */
  left(): readonly LeftWill[] {
    return this.#left;
  }

  /** Forgets a left will that is on disk or may not be published. */
  settle(will: LeftWill): void {
    this.#left = this.#left.filter((one) => one !== will);
    if (!this.#wills.has(will.session)) this.#file.write(this.#delete, will.session);
  }
}

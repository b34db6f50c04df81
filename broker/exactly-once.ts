import type { Admitted } from './admission.ts';

/**
 * Admits a message of QoS 2 of one connection once until its PUBREL, however often its PUBLISH comes (MQTT-4.3.3-2).
 */
export class ExactlyOnce {
  /** Who waits for the commit of a message, by its id. */
  readonly #waiting = new Map<number, Admitted[]>();

  /**
   * Calls `done` with the result of the message of this id. Calls `admit` for the first PUBLISH alone: `isReceived`
   * says whether its message is on disk and its PUBREL has not come.
   */
  take(messageId: number, isReceived: boolean, admit: (done: Admitted) => void, done: Admitted): void {
    const waiting = this.#waiting.get(messageId);
    if (waiting !== undefined) waiting.push(done);
    else if (isReceived) done(null, null);
    else {
      const all = [done];
      this.#waiting.set(messageId, all);
      admit((error, why) => {
        this.#waiting.delete(messageId);
        for (const one of all) one(error, why);
      });
    }
  }
}

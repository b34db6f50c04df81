import type { Past } from './decode/index.ts';
import type { PastFacts } from './past.ts';

/** The message that is decoded, and where. */
export interface DecodedAt {
  readonly topic: string;
  readonly identity: string;
  readonly device: string;
  /** The DevEUI of its hardware, where that is not its id. */
  readonly devEui?: string | undefined;
  /** Its place in the log; for a replay that of the replay. */
  readonly seq: number;
  readonly at: number;
  /** Its number when it first came. */
  readonly position: number;
  /** Whether its block is read for the first time. */
  readonly fresh: boolean;
}

const NOWHERE: DecodedAt = { topic: '', identity: '', device: '', seq: 0, at: 0, position: 0, fresh: false };
/** Under this name a publisher has how many of its messages are missing. */
const GAP = 'gap';

type Facts = Pick<PastFacts, 'recall' | 'learn' | 'count'>;
type SpeaksFor = (message: DecodedAt, device: string) => boolean;

/** The past of one message after the other: what decoders see of `PastFacts`. */
export class MessagePast implements Past {
  readonly #facts: Facts;
  /** Whether the sender of the message may publish for a registered device. */
  readonly #speaksFor: SpeaksFor;
  #of = NOWHERE;

  constructor(facts: Facts, speaksFor: SpeaksFor) {
    this.#facts = facts;
    this.#speaksFor = speaksFor;
  }

  /** Returns this past, as it is at a message. */
  of(message: DecodedAt): Past {
    this.#of = message;
    return this;
  }

  get topic(): string {
    return this.#of.topic;
  }

  get identity(): string {
    return this.#of.identity;
  }

  get device(): string {
    return this.#of.device;
  }

  get devEui(): string | undefined {
    return this.#of.devEui;
  }

  recall(device: string, name: string): { readonly body: unknown; readonly isNew: boolean } | null {
    const fact = this.#recall(device, name);
    return fact === null ? null : { body: fact.body, isNew: fact.position === this.#of.at };
  }

  isNewer([device, name]: readonly [string, string], [of, other]: readonly [string, string]): boolean {
    const [one, before] = [this.#recall(device, name), this.#recall(of, other)];
    return one !== null && (before === null || one.said > before.said);
  }

  learn(name: string, body: unknown): boolean {
    const { device, seq, at, position, fresh } = this.#of;
    // What was refused then is not newer than what came meanwhile; what only the database refused was learned then.
    const isReplay = at !== position;
    if (isReplay && (position < 0 || (this.#recall(device, name)?.said ?? -1) > position)) return true;
    return this.#facts.learn(device, name, body, { seq, position: at, said: position }, fresh);
  }

  missing(publisher: string, number: number, restarts: boolean): number {
    const { seq, at, position, fresh } = this.#of;
    if (at !== position || !this.#speaksFor(this.#of, publisher)) return 0;
    if (fresh) {
      const missing = this.#facts.count(publisher, number, restarts);
      if (missing > 0) this.#facts.learn(publisher, GAP, missing, { seq, position: at, said: at }, true);
    }
    const gap = this.#recall(publisher, GAP);
    return gap?.position === at ? Number(gap.body) : 0;
  }

  #recall(device: string, name: string) {
    return this.#facts.recall(device, name, { seq: this.#of.seq, position: this.#of.at });
  }
}

/**
 * The journal: the only way in, and the seam of the whole system. It is a sequence of blocks; a block is one group
 * commit of messages, or one control record (which never shares a block with messages).
 */

/** What one block holds. `messages` carries what devices sent; the others change or move what the engine would decide. */
export type BlockKind = 'messages' | 'tick' | 'city' | 'devices' | 'replay' | 'rule';

/** One row of the journal. */
export interface Block {
  /** Number of the block: 1, 2, 3 … without gaps. */
  readonly seq: number;
  readonly kind: BlockKind;
  /** How many messages stand in all the blocks before this one: the number of its first message. */
  readonly first: number;
  /** How many messages it holds, replayed ones too; 0 for other control records. */
  readonly count: number;
  /** Epoch milliseconds of the commit; never decreases from block to block. */
  readonly receivedAt: number;
  /** Messages in the journal's record format, or the JSON of the control record. */
  readonly body: Uint8Array;
}

/** A message as the device sent it, undecoded. */
export interface Message {
  /** Number of the message in the whole journal: 0, 1, 2 … without gaps. */
  readonly position: number;
  /** Who published it: the MQTT username, already authenticated. */
  readonly identity: string;
  readonly topic: string;
  readonly payload: Buffer;
  /** Epoch milliseconds at which the broker took it. */
  readonly receivedAt: number;
}

/** The body of a `city` block: the folder as it stood, so that a replay compiles the very same city. */
export interface CityControl {
  /** SHA-256 of the files, hex. */
  readonly version: string;
  readonly files: readonly CityFile[];
}

/** One file of the city folder: path relative to the folder with `/`, and its text. */
export interface CityFile {
  readonly path: string;
  readonly text: string;
}

/** The body of a `devices` block: what changed in the registry. */
export interface DevicesControl {
  /** Version of the registry after this change; grows by one a change. */
  readonly version: number;
  readonly registered: readonly import('./device.ts').Device[];
  /** Ids that are no longer registered. */
  readonly revoked: readonly string[];
}

/** The body of a `rule` block: one change of one rule that was made by the API. */
export interface RuleControl {
  readonly id: string;
  /** Number of this version of the rule: 1, 2, 3 …; a rule that is made again after its deletion counts on. */
  readonly number: number;
  /** The rule as its author wrote it (YAML); null where this change deleted it. */
  readonly text: string | null;
  /** The rule's own version (a hash of what it says) under the city of that moment; null where it was deleted. */
  readonly version: string | null;
  /** Id of the key that made the change. */
  readonly by: string;
  /** ISO 8601 UTC. */
  readonly at: string;
  /** Why, in the author's words; may be empty. */
  readonly note: string;
}

/** The body of a `replay` block: quarantined messages that go the way again. */
export interface ReplayControl {
  readonly items: readonly ReplayItem[];
}

/** One message, and what of it is in quarantine. */
export interface ReplayItem {
  /** Number of the message when it first came. */
  readonly position: number;
  /** The ledger's account. */
  readonly device: string;
  readonly topic: string;
  /** When it first came, epoch ms: what its time is held against. */
  readonly receivedAt: number;
  /** Base64. */
  readonly payload: string;
  readonly entries: readonly {
    readonly ordinal: number;
    readonly scope: 'message' | 'reading';
    /** Which reading; null stands for all that lies under `path`. */
    readonly reading: string | null;
    readonly path: string;
  }[];
}

/** A (publisher, topic) pair, made once for a client and handed back with each of its messages. */
export interface MessageRoute {
  readonly identity: string;
  readonly topic: string;
}

/** Told once the message is on disk (null), or why it is not: then it must not be acknowledged. */
export type Appended = (error: import('./errors.ts').LamppostError | null) => void;

/** The journal as those see it who take messages in. */
export interface MessageSink {
  route(identity: string, topic: string): MessageRoute;
  /** Copies the payload into the next group commit; `done` is called in the order of the appends. */
  append(route: MessageRoute, payload: Uint8Array, done: Appended): void;
  /** Bytes that wait for their commit. */
  pendingBytes(): number;
}

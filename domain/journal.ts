import type { Device } from './device.ts';
import type { LamppostError } from './errors.ts';
import type { LoginsFailing, SessionDrop } from './event.ts';
import type { Uplinks } from './key.ts';
import type { Holder } from './permission.ts';

/**
 * The journal is the only input of the system. It is a sequence of blocks; a block is one group commit of messages, or
 * one control record (which never shares a block with messages).
 */

/**
 * The content of a block. `messages` holds what devices sent; the others change what the engine decides, or move its
 * time. `lost` stands for a damaged block that a repair passed over: its body is empty, and its messages count as
 * quarantined. `import` has readings of the past, in columns. `progress` says how far a duty is that one node does for
 * all. `sessions` is for the brokers of a cluster, and decides nothing else. `start` is the first of a process that
 * appends to a log of before: nobody listened since the block before it.
 */
export type BlockKind =
  | 'messages'
  | 'tick'
  | 'city'
  | 'devices'
  | 'replay'
  | 'rule'
  | 'actions'
  | 'clock'
  | 'lost'
  | 'notices'
  | 'import'
  | 'progress'
  | 'sessions'
  | 'start';

/** One block of the journal. */
export interface Block {
  /** Number of the block: 1, 2, 3 … without gaps. */
  readonly seq: number;
  readonly kind: BlockKind;
  /** The number of its first message: the count of messages in all earlier blocks. */
  readonly first: number;
  /** How many messages it holds, replayed ones included; 0 for other control records. */
  readonly count: number;
  /** Civil time of the commit, epoch ms. Only a `clock` record lets it decrease from one block to the next. */
  readonly receivedAt: number;
  /** Steady time of the commit, ms: never decreases, whatever the wall clock does. See `LogClock`. */
  readonly steadyAt: number;
  /** Messages in the journal's record format, or the JSON of the control record. */
  readonly body: Uint8Array;
}

/** A message as the device sent it, not decoded. */
export interface Message {
  /** Number of the message in the whole journal: 0, 1, 2 … without gaps. */
  readonly position: number;
  /** The publisher: the MQTT username, already authenticated. */
  readonly identity: string;
  readonly topic: string;
  readonly payload: Buffer;
  /** Epoch milliseconds at which the broker received it. */
  readonly receivedAt: number;
}

/** The body of a `city` block: the whole folder, so that a replay compiles the same city. */
export interface CityControl {
  /** SHA-256 of the files, hex. */
  readonly version: string;
  readonly files: readonly CityFile[];
  /** Who asked for it; absent: the machine's operator (a start, a signal). Its result is that of this block. */
  readonly action?: ActionRecord;
}

/** One file of the city folder: its path relative to the folder, with `/`, and its text. */
export interface CityFile {
  readonly path: string;
  readonly text: string;
}

/** The body of a `devices` block: what changed in the registry. */
export interface DevicesControl {
  /** Version of the registry after this change: the number of the block that changed it last. */
  readonly version: number;
  /**
   * The version after which the changes are; a record of a version that the log has already changes nothing. Absent:
   * the record is of a log from before nodes shared one.
   */
  readonly since?: number;
  readonly registered: readonly Device[];
  /** Those of `registered` whose messages are refused for the time being; absent: none. */
  readonly suspended?: readonly string[];
  /** Ids that are no longer registered. */
  readonly revoked: readonly string[];
  /**
   * Keys of network servers that changed, and what they may publish for; null: for every device. Absent: none changed.
   */
  readonly publishers?: readonly { readonly id: string; readonly uplinks: Exclude<Uplinks, 'all'> | null }[];
}

/** The body of a `rule` block: one change of one rule over the API. */
export interface RuleControl {
  readonly id: string;
  /**
   * Number of this version of the rule: 1, 2, 3 …; a rule that is created again after its deletion continues the count.
   */
  readonly number: number;
  /** The rule as its author wrote it (YAML); null where this change deleted it. */
  readonly text: string | null;
  /** The rule's own version (a hash of its content) under the city of that moment; null where it was deleted. */
  readonly version: string | null;
  /** Id of the key that made the change. */
  readonly by: string;
  /** ISO 8601 UTC. */
  readonly at: string;
  /** Why, in the author's words; may be empty. */
  readonly note: string;
}

/** The body of a `clock` block: what the wall clock did. Steady time goes on evenly over it. */
export interface ClockControl {
  /** By how much civil time was moved, ms; 0 where the wall clock is not believed. */
  readonly byMs: number;
  /** Civil time just before, epoch ms. */
  readonly fromMs: number;
  /** What the wall clock said, epoch ms. */
  readonly wallMs: number;
  /** Why the wall clock is not believed; null where civil time follows it again. */
  readonly doubt: ClockDoubt | null;
}

/** Why a wall clock is not believed. */
export const CLOCK_DOUBTS = {
  'before-lamppost': 'the wall clock shows a time before Lamppost existed',
  'before-the-log': 'the wall clock is behind the newest record of the log',
  'far-ahead': 'the wall clock is more than 30 days ahead of the newest record of the log',
} as const;
export type ClockDoubt = keyof typeof CLOCK_DOUBTS;

/** The body of a `notices` block: what a node noticed of its clients that others need. */
export interface NoticesControl {
  readonly drops: readonly SessionDrop[];
  readonly logins: readonly LoginsFailing[];
  /** Ids of commands that a device has; absent: none. */
  readonly delivered?: readonly string[];
}

/** The body of a `progress` block: how far the holder of a duty got, for whoever holds it next. */
export type ProgressControl = NotifyProgress | HistoryProgress;

/** How far notifications are. */
export interface NotifyProgress {
  readonly duty: 'notify';
  /** Of the lease under which the attempts were made; null where there are none. */
  readonly revision: number | null;
  /** In the order in which they ended. */
  readonly attempts: readonly DeliveryAttempt[];
  readonly asked: readonly DeliveryAsked[];
}

/** How far the readings are that a database outside has on its disk. */
export interface HistoryProgress {
  readonly duty: 'history';
  readonly revision: number;
  /** The last block of them. */
  readonly seq: number;
}

/** One attempt to deliver events to a receiver, and what follows from it. */
export interface DeliveryAttempt {
  readonly receiver: string;
  /** Ids of the events, in order. */
  readonly events: readonly string[];
  /** The newest of them by its number in the outbox; null where it has none. */
  readonly upTo: number | null;
  /** The action that it is of; null: the events themselves. */
  readonly cause: string | null;
  /** 1, 2, 3 … */
  readonly attempt: number;
  /** When it ended, epoch ms, and how long it took. */
  readonly atMs: number;
  readonly ms: number;
  readonly outcome: string;
  readonly status: number | null;
  readonly text: string;
  readonly decision:
    | { readonly kind: 'done' | 'give-up' }
    | { readonly kind: 'retry'; readonly afterMs: number }
    | { readonly kind: 'disable'; readonly reason: string };
  /** Start of the receiver's run of failures; null after a success. */
  readonly failingSince: number | null;
}

/** A delivery that is to be made again, once for each action. */
export interface DeliveryAsked {
  readonly receiver: string;
  /** Id of its first event, and the number in the outbox; null where it has none. */
  readonly event: string;
  readonly n: number | null;
  readonly cause: string;
}

/** The body of an `actions` block: what people did, in their order. */
export interface ActionsControl {
  readonly items: readonly ActionRecord[];
  /** The newest entry of the audit trail that was known: who rewrites the trail has to rewrite the log too. */
  readonly anchor: AuditHead | null;
}

/** The newest entry of the audit trail. */
export interface AuditHead {
  /** Its number: 1, 2, 3 … */
  readonly n: number;
  /** SHA-256 over it and all before it, hex. */
  readonly hash: string;
}

/** One action of a person, as the API took it: authenticated and of the right shape, but not decided. */
export interface ActionRecord {
  /** Names it to whoever waits for its result. */
  readonly id: string;
  readonly actor: Requester;
  /** The address that it came from; null where it is not known. */
  readonly address: string | null;
  /** The client's own name of the request (`Idempotency-Key`); null where it gave none. */
  readonly key: string | null;
  /** What is to be done, a shape of the room `actions`. */
  readonly command: { readonly do: string };
}

/** Who acts with a key, as the key was when the action was taken. */
export interface KeyActor extends Holder {
  readonly kind: 'key';
  readonly id: string;
}

/** A person who acts, as the person was when the action was taken. */
export interface PersonActor extends Holder {
  readonly kind: 'person';
  readonly id: string;
}

/** What lets people in: it notes who signed in and who did not, and takes over whom an OIDC provider vouches for. */
export const SIGN_IN = { kind: 'sign-in', id: 'sign-in', role: 'none', department: null } as const;

/** Who asks for an action. */
export type Requester = KeyActor | PersonActor | typeof SIGN_IN;

/** Returns the name of a requester among keys and people: the id of the key, or `person:<id>`. */
export function requesterId({ kind, id }: Pick<Requester, 'kind' | 'id'>): string {
  return kind === 'person' ? `person:${id}` : id;
}

/** The body of a `replay` block: quarantined messages that are processed again. */
export interface ReplayControl {
  readonly items: readonly ReplayItem[];
  /** The replay that it is a part of, which an action began; absent in blocks from before these were actions. */
  readonly job?: string;
}

/** One message, and its entries in the quarantine. */
export interface ReplayItem {
  /** Number of the message when it first came. */
  readonly position: number;
  /** The device that the ledger counts it for. */
  readonly device: string;
  readonly topic: string;
  /** When it first came, epoch ms: its timestamps are compared with this time. */
  readonly receivedAt: number;
  /** Base64. */
  readonly payload: string;
  readonly entries: readonly {
    readonly ordinal: number;
    readonly scope: 'message' | 'reading';
    /** The name of the reading; null selects all readings under `path`. */
    readonly reading: string | null;
    readonly path: string;
    /** How many faults the entry stands for; absent: one. */
    readonly count?: number;
    /** Which ones, packed, in base64; absent: the one that `reading`, or else `path`, names. */
    readonly members?: string;
  }[];
}

/** A (publisher, topic) pair, created once per client and passed with each of its messages. */
export interface MessageRoute {
  readonly identity: string;
  readonly topic: string;
}

/** Called with null once the message is on disk, or with the error: then the message must not be acknowledged. */
export type Appended = (error: LamppostError | null) => void;

/** The journal as seen by those who receive messages. */
export interface MessageSink {
  route(identity: string, topic: string): MessageRoute;
  /** Copies the payload into the next group commit. `done` is called in the order of the appends. */
  append(route: MessageRoute, payload: Uint8Array, done: Appended): void;
  /** Returns the bytes that wait for their commit. */
  pendingBytes(): number;
}

import type { Follower, Message, Waiting } from './followers.ts';
import type { CitizenStore, Entry, Repeat } from './store.ts';

/** Who is to be asked whether they want to follow a request. */
export interface Asked {
  readonly follower: Follower;
  readonly message: Message;
  /** The same contact, which was asked before and has not confirmed in time; null: it was not. */
  readonly before: Follower | null;
}

/**
 * Changes what is stored of citizens: of one machine in its file, of a cluster on every node. Each resolves when that
 * is on disk, and a node of a cluster has it too; a cluster throws `log-away` where NATS is away.
 */
export interface CitizenWrites {
  /** Stores a request, unless one of its name was stored since a moment: then that one is returned. */
  put(entry: Entry, sinceMs: number): Promise<(Repeat & { readonly id: string }) | null>;
  putComment(id: string, comment: string, storedMs: number, mediaUrls: readonly string[]): Promise<void>;
  /** Like those of the store. */
  forgetRepeats(beforeMs: number): Promise<void>;
  forgetReporters(ids: readonly string[]): Promise<number>;
  remove(ids: readonly string[]): Promise<string[] | null>;
  drop(ids: readonly string[]): Promise<void>;
  /** Adds a follower and the message that asks; `plan` may be called again, and throws where it may not be asked. */
  ask(plan: () => Asked | null): Promise<void>;
  confirm(follower: string, atMs: number): Promise<void>;
  /** Notes an attempt. `isOver`: there is none after it. */
  attempted(waiting: Waiting, noted: { readonly failingMs: number | null; readonly isOver: boolean }): Promise<void>;
  /** Deletes followers, with what waits for them. */
  unfollow(ids: readonly string[]): Promise<void>;
  /** Resolves once this node has everything that was stored before. */
  caughtUp(): Promise<void>;
  /** Once a night on every node: makes what it has the same as what the others have. */
  tidy(): Promise<void>;
}

/** Returns what changes the file of one machine. */
export function createLocalWrites(store: CitizenStore): CitizenWrites {
  const followers = () => store.followers;
  return {
    async put(entry, sinceMs) {
      const first = entry.repeat === null ? null : store.repeated(entry.repeat.name, sinceMs);
      if (first === null) store.put(entry);
      return first;
    },
    putComment: async (...comment) => store.putComment(...comment),
    forgetRepeats: async (beforeMs) => store.forgetRepeats(beforeMs),
    forgetReporters: async (ids) => store.forgetReporters(ids),
    remove: async (ids) => store.remove(ids),
    drop: async (ids) => store.drop(ids),
    async ask(plan) {
      const asked = plan();
      if (asked === null) return;
      if (asked.before !== null) followers().remove([asked.before.id]);
      followers().add(asked.follower);
      followers().put([asked.message], null);
    },
    confirm: async (follower, atMs) => followers().confirm(follower, atMs),
    async attempted({ n, follower }, { failingMs, isOver }) {
      followers().failing(follower.id, failingMs);
      if (isOver) followers().done(n);
    },
    unfollow: async (ids) => followers().remove(ids),
    async caughtUp() {},
    async tidy() {},
  };
}

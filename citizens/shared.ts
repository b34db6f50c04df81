import type { KeyCopy, SharedKeys } from '../cluster/index.ts';
import { WEEK_MS } from '../domain/index.ts';
import {
  ASKING,
  type FollowerRow,
  followerIn,
  followerKey,
  isStatementKey,
  type StatementRow,
  statementIn,
  statementKey,
  textOfRow,
} from './rows.ts';
import type { CitizenStore, Entry } from './store.ts';
import type { CitizenWrites } from './writes.ts';

interface Parts {
  readonly store: CitizenStore;
  readonly keys: SharedKeys;
  /** Epoch ms. */
  readonly now: () => number;
  /** Brings photos of this node that the others lack to where they find them. */
  readonly sharePhotos: () => Promise<void>;
}

/** Returns the rows of this node as the copy of the bucket; `onFollower` is called after a change of one. */
export function copyOf({ rows }: CitizenStore, onFollower: () => void): KeyCopy {
  return {
    place: () => rows.place(),
    begin: (bucket) => rows.begin(bucket),
    apply(change, followed) {
      rows.apply(change, followed);
      if (!isStatementKey(change.key)) onFollower();
    },
  };
}

/** Marks of what was deleted stay for so long: a node that is cut off for less needs nothing else. */
const MARKS_MS = WEEK_MS;

/** Returns what changes the rows of every node of a cluster: the bucket first, then the file of this node. */
export function createSharedWrites({ store, keys, now, sharePhotos }: Parts): CitizenWrites {
  const { rows } = store;

  /** Changes the row of a key by what every node has of it, or only this one. */
  async function changeValue(key: string, edit: (value: string | null) => string | null): Promise<void> {
    let isGone = false;
    await keys.change(key, (value) => {
      const after = edit(value ?? (rows.isShared(key) ? null : rows.value(key)));
      isGone = after === null;
      return after;
    });
    if (isGone && !rows.isShared(key)) rows.apply({ key, value: null, revision: 0 }, false);
  }

  async function changeStatement(
    id: string,
    edit: (row: StatementRow | null) => StatementRow | null,
  ): Promise<StatementRow | null> {
    let before: StatementRow | null = null;
    await changeValue(statementKey(id), (value) => {
      before = value === null ? null : statementIn(value);
      const after = edit(before);
      return after === null ? null : textOfRow(after);
    });
    return before;
  }

  async function changeFollower(id: string, edit: (row: FollowerRow) => FollowerRow | null): Promise<void> {
    await changeValue(followerKey(id), (value) => {
      const after = value === null ? null : edit(followerIn(value));
      return after === null ? null : textOfRow(after);
    });
  }

  async function unfollow(ids: readonly string[]): Promise<void> {
    for (const id of ids) await changeFollower(id, () => null);
  }

  /** What only this node has goes into the bucket; what the bucket does not have any more goes from this node. */
  async function tidy(): Promise<void> {
    await keys.caughtUp();
    const { names, revision } = await keys.keys();
    const readTo = store.followers.place()?.n ?? 0;
    const all = rows.all();
    for (const own of all) {
      if (own.revision === null) await shareOnce(own.key, readTo);
      else if (!names.has(own.key) && own.revision <= revision)
        rows.apply({ key: own.key, value: null, revision }, false);
    }
    await sharePhotos();
    const here = new Set(all.map(({ key }) => key));
    await keys.forgetDeleted(
      [...names].filter((name) => !here.has(name)),
      now() - MARKS_MS,
    );
  }

  /** What the others have is not older, but for words that were removed here. */
  async function shareOnce(key: string, readTo: number): Promise<void> {
    const own = rows.value(key);
    if (own === null) return;
    await keys.change(key, (value) => {
      if (isStatementKey(key)) return value === null || isRemoved(own) ? own : value;
      if (value !== null) return value;
      const row = followerIn(own);
      // This node has read the events up to there. What it took of them before it had a number waits here only.
      const sentTo = Math.min(readTo, (rows.oldestEvent(row.id) ?? Number.POSITIVE_INFINITY) - 1);
      return textOfRow({ ...row, sentTo: row.ask === null ? (row.sentTo ?? sentTo) : null });
    });
  }

  return {
    async put(entry, sinceMs) {
      const { repeat } = entry;
      if (repeat === null) {
        await changeStatement(entry.id, () => rowOf(entry));
        return null;
      }
      let first: ReturnType<CitizenStore['repeated']> = null;
      await keys.exclusively(() => {
        first = store.repeated(repeat.name, sinceMs);
        return first === null ? { key: statementKey(entry.id), value: textOfRow(rowOf(entry)) } : null;
      });
      return first;
    },
    async putComment(id, comment, storedMs, media) {
      await changeStatement(id, (row) => {
        const before = row ?? { storedMs, media: [], reporter: null, repeat: null };
        return { ...before, body: JSON.stringify(comment), media: [...new Set([...before.media, ...media])] };
      });
    },
    async forgetRepeats(beforeMs) {
      for (const id of store.namedBefore(beforeMs)) await changeStatement(id, (row) => row && { ...row, repeat: null });
    },
    async forgetReporters(ids) {
      let forgotten = 0;
      for (const id of ids) {
        const before = await changeStatement(id, (row) => row && { ...row, reporter: null });
        if (before !== null && before.reporter !== null) forgotten++;
      }
      return forgotten;
    },
    async remove(ids) {
      const had: StatementRow[] = [];
      for (const id of ids) {
        const before = await changeStatement(
          id,
          (row) => row && { ...row, body: null, media: [], reporter: null, repeat: null },
        );
        if (before !== null && (before.body !== null || before.reporter !== null)) had.push(before);
      }
      if (had.length === 0) return null;
      const media = [...new Set(had.flatMap((row) => row.media))];
      await keys.caughtUp();
      return media.filter((one) => store.withMedia(one).length === 0);
    },
    async drop(ids) {
      for (const id of ids) await changeStatement(id, () => null);
    },
    async ask(plan) {
      let isReplaced = true;
      while (isReplaced) {
        let before: string | null = null;
        await keys.exclusively(() => {
          const asked = plan();
          before = asked?.before?.id ?? null;
          if (asked === null || before !== null) return null;
          const row = { ...asked.follower, ask: asked.message.body, sentTo: null };
          return { key: followerKey(row.id), value: textOfRow(row) };
        });
        isReplaced = before !== null;
        if (before !== null) await unfollow([before]);
      }
    },
    confirm: (id, atMs) => changeFollower(id, (row) => ({ ...row, confirmedMs: row.confirmedMs ?? atMs })),
    async attempted({ n, name, event, follower }, { failingMs, isOver }) {
      await changeFollower(follower.id, (row) => {
        const sent = { ask: name === ASKING ? null : row.ask, sentTo: Math.max(row.sentTo ?? 0, event) };
        return { ...row, failingMs, ...(isOver ? sent : {}) };
      });
      if (isOver) store.followers.done(n);
    },
    unfollow,
    caughtUp: () => keys.caughtUp(),
    tidy,
  };
}

const isRemoved = (value: string) => statementIn(value).body === null;

function rowOf({ storedMs, statement, reporter, repeat }: Entry): StatementRow {
  const { mediaUrl, moreMedia = [] } = statement;
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  return {
    storedMs,
    body: JSON.stringify(statement),
    media: mediaUrl === null ? [] : [...new Set([mediaUrl, ...moreMedia])],
    reporter,
    repeat: repeat === null ? null : { name: hex(repeat.name), asked: hex(repeat.asked), token: repeat.token },
  };
}

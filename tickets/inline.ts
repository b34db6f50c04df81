import type { DatabaseSync } from 'node:sqlite';
import { transact } from '../store/index.ts';

/** What a citizen wrote, where it is still in the row of the ticket: files of before version 7 of the tickets. */
export interface InlineStatement {
  /** Of the ticket, which names the statement from then on. */
  readonly id: string;
  readonly description: string | null;
  readonly address: string | null;
  readonly addressId: string | null;
  readonly mediaUrl: string | null;
  readonly attributes: Readonly<Record<string, string | readonly string[]>>;
  readonly openedAt: string;
  /** The comment of its rating; empty: none. */
  readonly comment: string;
}

/** Returns the id under which the comment on an older ticket stands. */
const commentOf = (ticket: string) => `${ticket}-rated`;

/** Tickets whose words are in their row. One thread has the file, before anything else uses it. */
export interface InlineStatements {
  /** Returns some of them, reports and not parts; empty where none is left. */
  some(limit: number): InlineStatement[];
  commentOf(ticket: string): string;
  /** Deletes their words from the rows, and from those of their parts: they stand elsewhere by now. */
  clear(ids: readonly string[]): void;
  /** Overwrites what deleted rows left in the file. */
  erase(): void;
}

/** Returns them for a file that has `TICKET_SCHEMA`. */
export function createInlineStatements(db: DatabaseSync): InlineStatements {
  const some = db.prepare(`
    select id, description, address, address_id as addressId, media_url as mediaUrl, attributes, opened_at as openedAt,
      coalesce(rating_comment, '') as comment
    from tickets where origin = 'citizen' and statement is null and relation is not 'part' order by n limit ?`);
  const given = '(select value from json_each(?1))';
  const name = db.prepare(`
    update tickets set statement = id,
      rating_statement = case when coalesce(rating_comment, '') <> '' then id || '-rated' end
    where id in ${given}`);
  const nameParts = db.prepare(`
    update tickets as part set statement = whole.statement from tickets as whole
    where whole.id = part.parent and whole.statement is not null
      and part.relation = 'part' and part.origin = 'citizen' and part.statement is null`);
  const clearNotes = db.prepare(`
    update ticket_changes set note = substr(note, 1, 6) where action = 'rated' and ticket in ${given}`);
  const clear = db.prepare(`
    update tickets set description = null, address = null, address_id = null, media_url = null, attributes = '{}',
      rating_comment = null where statement in ${given}`);
  return {
    some: (limit) =>
      some.all(limit).map(({ attributes, ...row }) => ({
        ...(row as unknown as InlineStatement),
        attributes: JSON.parse(String(attributes)) as InlineStatement['attributes'],
      })),
    commentOf,
    clear(ids) {
      const named = JSON.stringify(ids);
      transact(db, () => {
        const { sql } = db.prepare("select sql from sqlite_schema where name = 'ticket_changes_stay'").get()!;
        db.exec('drop trigger ticket_changes_stay');
        name.run(named);
        // Once more for parts of parts.
        while (Number(nameParts.run().changes) > 0);
        clearNotes.run(named);
        clear.run(named);
        db.exec(String(sql));
      });
    },
    erase: () => db.exec('vacuum; pragma wal_checkpoint(truncate)'),
  };
}

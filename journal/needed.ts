/** How far those came that read the journal, in numbers of blocks; 0 where one has read none. */
export interface Taken {
  /** The newest block that any of them committed effects of. */
  readonly newest: number;
  /** The block whose windows are on disk: rules read again from there. */
  readonly checkpoint: number;
  /** The newest block that the ledger counts: the history reads on from there. */
  readonly ledger: number;
}

/**
 * Whether a start over these files can go on: the journal has to hold every block that is read again, and all that was
 * read. Null where it does; otherwise a sentence that says what is missing.
 */
export function lackOf(taken: Taken, journal: { readonly oldest: number; readonly newest: number }): string | null {
  const first = Math.min(taken.checkpoint, taken.ledger) + 1;
  if (journal.oldest <= first && journal.newest >= taken.newest) return null;
  return `they need blocks ${first} to ${taken.newest}, and the journal's are ${journal.oldest} to ${journal.newest}`;
}

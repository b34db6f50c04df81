export { createJournalAppender, type JournalAppender } from './appender.ts';
export { type BlockRow, type DamagedBlocks, describeDamage, KINDS, sumOf } from './blocks.ts';
export { type Found, walkBlocks } from './examine.ts';
export { type Rebuilt, rebuildJournal, type Wanted } from './rebuild.ts';
export { BatchWriter, createRoute, type Route, walkRecords } from './records.ts';
export { type JournalLimits, JournalServer, type JournalSignal } from './server.ts';
export { type ControlHeads, JOURNAL_SCHEMA, JournalReader, JournalStore, missingBlocks, PAGE_SIZE } from './store.ts';

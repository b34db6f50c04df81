export { createJournalAppender, type JournalAppender } from './appender.ts';
export { type DamagedBlocks, describeDamage } from './blocks.ts';
export { type Continued, continueJournal } from './continue.ts';
export { walkBlocks } from './examine.ts';
export { type Rebuilt, rebuildJournal } from './rebuild.ts';
export { BatchWriter, createRoute, type Route, walkRecords } from './records.ts';
export { type JournalLimits, JournalServer, type JournalSignal } from './server.ts';
export { type ControlHeads, JOURNAL_SCHEMA, JournalReader, JournalStore, missingBlocks, PAGE_SIZE } from './store.ts';
export { type ClockStatus, Timekeeper, thisMachine } from './timekeeper.ts';

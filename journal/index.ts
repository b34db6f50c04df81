export { createJournalAppender, type JournalAppender } from './appender.ts';
export { BatchWriter, createRoute, type Route, walkRecords } from './records.ts';
export { type JournalLimits, JournalServer, type JournalSignal } from './server.ts';
export { type ControlHeads, JournalReader, JournalStore, missingBlocks } from './store.ts';
export { type ClockStatus, Timekeeper, thisMachine } from './timekeeper.ts';

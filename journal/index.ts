export { createJournalAppender, type JournalAppender } from './appender.ts';
export { lackOf } from './needed.ts';
export { BatchWriter, createRoute, type Route, walkRecords } from './records.ts';
export { createJournalServer, type JournalLimits, type JournalServer, type JournalSignal } from './server.ts';
export { type ControlHeads, JournalReader, JournalStore } from './store.ts';

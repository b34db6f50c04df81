export {
  type BackupJob,
  BackupJobSchema,
  type BackupSource,
  type Backups,
  createBackups,
} from './backup.ts';
export { type Checkpointer, createCheckpointer } from './checkpoint.ts';
export { compareFiles, type TableDifference } from './compare.ts';
export { copyDatabase, copyFolder } from './copy.ts';
export { diskFault, migrate, openDatabase, type RoomSchema, transact, undoing } from './database.ts';
export { atOnce, conditionsOf, type Filter, inTurns, PAGE_BYTES, positionOf, textIn } from './page.ts';
export { keepPrivate } from './private.ts';
export { type BackupFile, type Manifest, refuseUnfinished, restoreBackup } from './restore.ts';

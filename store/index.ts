export { type BackupJob, type BackupSource, type Backups, createBackups } from './backup.ts';
export { copyDatabase, copyFolder } from './copy.ts';
export { openDatabase } from './database.ts';
export { diskFault } from './faults.ts';
export type { BackupFile, Manifest } from './manifest.ts';
export { migrate, type RoomSchema } from './migrate.ts';
export { conditionsOf, type Filter, positionOf } from './page.ts';
export { refuseUnfinished, restoreBackup } from './restore.ts';
export { transact } from './transact.ts';

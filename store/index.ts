export {
  type BackupJob,
  BackupJobSchema,
  type BackupSource,
  type Backups,
  createBackups,
} from './backup.ts';
export { type Checkpointer, createCheckpointer } from './checkpoint.ts';
export { compareFiles, type TableDifference } from './compare.ts';
export { copyDatabase, copyFolder, folderOnDisk, sha256Of } from './copy.ts';
export { damageOf, HOLDS, isDamage, readingFile, setAside } from './damage.ts';
export { diskFault, migrate, openDatabase, type RoomSchema, transact, undoing } from './database.ts';
export { lockFolder, ownerOf } from './lock.ts';
export { createRanking, nextOf, type Order, type Ranked, type Ranking } from './order.ts';
export { atOnce, conditionsOf, type Filter, inTurns, PAGE_BYTES, positionOf, textIn } from './page.ts';
export { containing, type PlaceFilter, placeConditions } from './place.ts';
export { allMayChange, keepPrivate, othersMay, PRIVATE_FILE } from './private.ts';
export {
  type BackupFile,
  MANIFEST,
  type Manifest,
  ManifestSchema,
  readManifest,
  refuseUnfinished,
  restoreBackup,
} from './restore.ts';
export { sealFolder, sealsIn, unsealFolder } from './seal.ts';
export { freeBytes, lacksSpace, makeDataFolder, makeFolder } from './space.ts';

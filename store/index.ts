export { openDatabase } from './database.ts';
export { migrate, type RoomSchema } from './migrate.ts';
export { transact } from './transact.ts';

/** Migrates the file of its argument by three steps, and is killed in the middle of the second. */
import { DatabaseSync } from 'node:sqlite';
import { migrate } from '../../../store/index.ts';

const db = new DatabaseSync(process.argv[2]!);
db.exec('pragma journal_mode = wal');
const second = (within: DatabaseSync) => {
  within.exec('alter table bins add column half text');
  process.kill(process.pid, 'SIGKILL');
};
migrate(db, [{ room: 'bins', steps: ['create table bins (id text primary key) strict', second, 'drop table bins'] }]);

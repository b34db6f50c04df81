/** A process for tests: appends a number to a file of SQLite and reports the outcome, for each line that it reads. */
import { createInterface } from 'node:readline';
import { openDatabase } from '../../../store/index.ts';

const SCHEMA = { room: 'numbers', steps: ['create table numbers (n integer primary key) strict'] };
const db = openDatabase(process.argv[2]!, { schemas: [SCHEMA] });
const insert = db.prepare('insert into numbers values (?)');
process.stdout.write('open\n');
for await (const line of createInterface(process.stdin)) {
  try {
    insert.run(Number(line));
    process.stdout.write(`${line} is stored\n`);
  } catch (error) {
    process.stdout.write(`${line}: ${(error as Error).message}\n`);
  }
}

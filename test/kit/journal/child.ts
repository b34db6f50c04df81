/**
 * A process for tests to kill: it appends to a journal and writes the number of every acknowledged message to stdout.
 */
import { writeSync } from 'node:fs';
import { JournalReader } from '../../../journal/index.ts';
import { openJournal, payloadOf } from './kit.ts';

const journal = openJournal(process.argv[2]!, { maxBytes: 1 << 30 });
const reader = new JournalReader(journal.path).open();
let next = reader.head().messages;
reader.close();
const route = journal.appender.route('bin-1', 'devices/bin-1/readings');

function send(): void {
  const n = next++;
  journal.appender.append(route, payloadOf(n), (error) => {
    if (error !== null) throw error;
    writeSync(1, `${n}\n`);
    send();
  });
}
// Twenty publishers, each with one message in flight.
for (let i = 0; i < 20; i++) send();

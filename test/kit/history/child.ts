/** Appends batches to a history until it is killed, and says after each that it is stored. */
import { createDuckdbHistory } from '../../../history/index.ts';
import { batchOf, metricTable, replacedIn, tsOf } from './batches.ts';

const history = createDuckdbHistory({ path: process.argv[2]!, metrics: metricTable(), unitOf: () => 'u' });
await history.start();
for (let n = history.cursor() + 1; ; n++) {
  await history.append([batchOf(n)], n, [replacedIn(n)]);
  process.stdout.write(`${n}\n`);
  if (n % 20 === 0) await history.rollup(tsOf(n, 0));
}

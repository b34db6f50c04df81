/**
 * A process that applies for the duty `notify` and says all the time whether it believes that it has it: lines of
 * `<monotonic ms> <term or ->`. The clock is read first, so it still believed at that moment. SIGTERM: it gives it
 * back.
 */
import { randomUUID } from 'node:crypto';
import pino from 'pino';
import { type ClusterSettings, connectTo, createLeases } from '../../../cluster/index.ts';
import { monotonicClock } from '../../../domain/index.ts';

const settings = JSON.parse(process.argv[2]!) as ClusterSettings;
const connection = await connectTo(settings, 'test');
const leases = createLeases({
  ...{ connection, settings, run: randomUUID(), log: pino({ level: 'silent' }) },
  isFit: (duty) => duty === 'notify',
});
await leases.start();
const say = () => {
  const ms = monotonicClock.now();
  console.log(`${ms} ${leases.holds('notify') ?? '-'}`);
};
const sampling = setInterval(say, 10);
process.once('SIGTERM', async () => {
  await leases.stop();
  clearInterval(sampling);
  say();
  await connection.close();
});

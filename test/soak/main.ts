/**
 * `node test/soak/main.ts`: every attack for a minute each, under the normal load; with `--memory`, what the server takes
 * of memory under a load of so many minutes. Prints a table.
 */
import { parseArgs } from 'node:util';
import { Arena, STRICT, tableOf } from '../kit/hostile/arena.ts';
import { ATTACKS } from '../kit/hostile/attacks/index.ts';
import { memoryTable, soakMemory } from './memory.ts';

const { values } = parseArgs({
  options: {
    /** How long each attack goes on. */
    seconds: { type: 'string', default: '60' },
    /** Names of attacks, comma separated; absent: all. */
    only: { type: 'string' },
    /** Whether a verdict on times counts at once, without a second look. */
    once: { type: 'boolean', default: false },
    /** Only memory under a load. */
    memory: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '60' },
  },
});
if (values.memory) {
  const minutes = Number(values.minutes);
  const samples = await soakMemory(minutes, Math.max(10_000, minutes * 2_000));
  process.stdout.write(`${memoryTable(samples)}\n`);
  process.exit(0);
}
const names = values.only?.split(',') ?? Object.keys(ATTACKS);
const unknown = names.filter((name) => !(name in ATTACKS));
if (unknown.length > 0) {
  process.stderr.write(`there is no ${unknown.join(', ')}; there are ${Object.keys(ATTACKS).join(', ')}\n`);
  process.exit(2);
}

const arena = await Arena.open({ tickets: names.some((name) => ATTACKS[name]!.tickets === true) });
try {
  for (const name of names) {
    process.stderr.write(`${name} …\n`);
    const verdict = await arena.withstands(name, Number(values.seconds) * 1_000, { ...STRICT, again: !values.once });
    process.stderr.write(`${tableOf([verdict])}\n`);
  }
  const lost = await arena.lost();
  process.stdout.write(`${tableOf(arena.verdicts)}\n${lost.length} acknowledged readings are lost\n`);
  process.exitCode = lost.length > 0 || arena.verdicts.some(({ faults }) => faults.length > 0) ? 1 : 0;
} finally {
  await arena.close();
}

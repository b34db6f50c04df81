/**
 * `npm run soak`: every attack for a minute each, under the normal load; prints a table. `npm run soak -- --faults`:
 * faults of disk, power, clock and process for an hour, under a steady load; prints a table and what is broken.
 * `npm run soak -- --memory`: what the server takes of memory under a steady load. `npm run soak -- --actions --kills
 * 100`: what people do, and restores to a moment, over kills. `npm run soak -- --replay`: same log, same state.
 * `npm run soak -- --cluster --kills 100`: faults of the machines of a cluster.
 */
import { appendFileSync } from 'node:fs';
import { createRandom, pick } from '../../simulators/city/random.ts';
import { actAndKill } from '../kit/faults/act-and-kill.ts';
import { Campaign } from '../kit/faults/campaign.ts';
import { CLUSTER_FAULTS, campaignOfCluster } from '../kit/faults/cluster-campaign.ts';
import { FAULTS } from '../kit/faults/faults.ts';
import { summaryOf } from '../kit/faults/summary.ts';
import { Arena, STRICT, tableOf } from '../kit/hostile/arena.ts';
import { ATTACKS } from '../kit/hostile/attacks/index.ts';
import { replayMany } from '../kit/rules/replay/same-state.ts';
import { readFlags } from '../kit/run-flags.ts';
import { memoryTable, soakMemory } from './memory.ts';

const values = readFlags('soak', {
  faults: { type: 'boolean', default: false, help: 'Faults instead of attacks.' },
  minutes: { type: 'string', default: '60', help: 'How long faults are injected, or the load goes on.' },
  seed: { type: 'string', default: '1', help: 'Which faults come when.' },
  devices: { type: 'string', default: '100', help: 'Devices of the load.' },
  rate: { type: 'string', default: '200', help: 'Messages of all of them a second.' },
  influx: { type: 'boolean', default: false, help: 'Whether the history is an InfluxDB, with outages.' },
  log: { type: 'string', help: 'A file for the log of the server between faults.' },
  seconds: { type: 'string', default: '60', help: 'How long each attack goes on.' },
  only: { type: 'string', help: 'Names of attacks or faults, comma separated; absent: all.' },
  once: { type: 'boolean', default: false, help: 'Whether a verdict on times counts at once, without a second look.' },
  actions: { type: 'boolean', default: false, help: 'Actions of fifty clients over kills.' },
  kills: { type: 'string', default: '100', help: 'How many kills, or faults of a cluster.' },
  cluster: { type: 'boolean', default: false, help: 'Faults of the machines of a cluster.' },
  replay: { type: 'boolean', default: false, help: 'Whether the same log makes the same state.' },
  cases: { type: 'string', default: '200', help: 'Cases of `--replay`.' },
  seeds: { type: 'string', default: '10', help: 'Of so many seeds each.' },
  memory: { type: 'boolean', default: false, help: 'Only memory under a load.' },
});
if (values.memory) {
  const minutes = Number(values.minutes);
  const samples = await soakMemory(minutes, Math.max(10_000, minutes * 2_000));
  process.stdout.write(`${memoryTable(samples)}\n`);
  process.exit(0);
}
if (values.actions) {
  const kills = Number(values.kills);
  const onProgress = (line: string) => process.stderr.write(`${line}\n`);
  const outcome = await actAndKill({ kills, seed: values.seed, onProgress });
  const { asked, restores, faults: found } = outcome;
  const done = asked.filter(({ status }) => status === 200).length;
  const unknown = asked.filter(({ status }) => status === null).length;
  process.stdout.write(
    `${outcome.kills} kills -9 among ${asked.length} actions: ${done} done, ${asked.length - done - unknown} refused, ` +
      `${unknown} broke off; ${restores} restores to a moment; ${found.length} faults\n${found.join('\n')}\n`,
  );
  process.exit(found.length === 0 ? 0 : 1);
}
if (values.cluster) {
  const random = createRandom(values.seed);
  const drawn = Array.from({ length: Number(values.kills) }, () => pick(random, CLUSTER_FAULTS));
  const outcome = await campaignOfCluster({
    ...{ faults: drawn, seed: values.seed, devices: 200, clients: 20, everyMs: 500, pauseMs: 30_000 },
    onProgress: (line) => process.stderr.write(`${line}\n`),
  });
  const of = (name: 'gapMs' | 'worstMs' | 'toldMs') => {
    const ms = outcome.faults.map((felt) => felt[name]).toSorted((a, b) => a - b);
    return `p50 ${ms[Math.floor(ms.length / 2)]} ms, at most ${ms.at(-1)} ms`;
  };
  process.stdout.write(
    [
      `${outcome.faults.length} faults, ${outcome.acknowledged} acknowledged messages, ${outcome.answered} answered actions, ${outcome.events} events`,
      `no acknowledgement to anybody: ${of('gapMs')}`,
      `to the device that waited longest: ${of('worstMs')}`,
      `from an answered action to its webhook: ${of('toldMs')}`,
      `${outcome.ended.length} nodes ended by themselves or servers stayed behind`,
      ...outcome.ended,
      `${outcome.broken.length} promises broken`,
      ...outcome.broken,
      '',
    ].join('\n'),
  );
  process.exit(outcome.broken.length === 0 ? 0 : 1);
}
if (values.replay) {
  const isSame = replayMany(Number(values.cases), Number(values.seeds), Number(values.seed));
  process.exit(isSame ? 0 : 1);
}
const known = Object.keys(values.faults ? FAULTS : ATTACKS);
const names = values.only?.split(',') ?? known;
const unknown = names.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`there is no ${unknown.join(', ')}; there are ${known.join(', ')}\n`);
  process.exit(2);
}
process.exitCode = (values.faults ? await faults() : await attacks()) ? 0 : 1;

/** Resolves to whether every promise was kept. */
async function faults(): Promise<boolean> {
  const outcome = await Campaign.run({
    seed: values.seed,
    minutes: Number(values.minutes),
    devices: Number(values.devices),
    perSecond: Number(values.rate),
    influx: values.influx,
    only: names,
    checkEveryMs: 300_000,
    onProgress: (line) => process.stderr.write(`${line}\n`),
    onOutput: (text) => values.log !== undefined && appendFileSync(values.log, text),
  });
  process.stdout.write(`${summaryOf(outcome)}\n`);
  return outcome.faults.length === 0;
}

/** Resolves to whether the server withstood all and lost nothing. */
async function attacks(): Promise<boolean> {
  const arena = await Arena.open({ tickets: names.some((name) => ATTACKS[name]!.tickets === true) });
  try {
    for (const name of names) {
      process.stderr.write(`${name} …\n`);
      const verdict = await arena.withstands(name, Number(values.seconds) * 1_000, {
        ...STRICT,
        times: { ...STRICT.times!, again: !values.once },
      });
      process.stderr.write(`${tableOf([verdict])}\n`);
    }
    const lost = await arena.lost();
    process.stdout.write(`${tableOf(arena.verdicts)}\n${lost.length} acknowledged readings are lost\n`);
    return lost.length === 0 && arena.verdicts.every(({ faults: found }) => found.length === 0);
  } finally {
    await arena.close();
  }
}

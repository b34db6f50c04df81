/** `npm run bench`: Lamppost beside other brokers in one run; compare the ratios, since machines differ. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { readFlags } from '../kit/run-flags.ts';
import { benchActions } from './actions.ts';
import { alertLatency } from './alert-latency.ts';
import { benchBacktest } from './backtest.ts';
import { benchCluster, clusterText } from './cluster.ts';
import { benchConsole, consoleText } from './console.ts';
import { formatMicros } from './formats.ts';
import { hostile, hostileText } from './hostile.ts';
import { idle } from './idle.ts';
import { benchImport } from './import.ts';
import { heldOut, heldOutTable, labelled, labelledTable } from './labelled.ts';
import { measure, type Shape } from './load.ts';
import { outage } from './outage.ts';
import { parseLimitMicros } from './parse-limit.ts';
import { benchRebuild } from './rebuild.ts';
import { reconnect } from './reconnect.ts';
import { benchRegister } from './register.ts';
import {
  actionsText,
  asTable,
  asText,
  idleText,
  importText,
  latencyText,
  outageText,
  type Report,
  type Row,
  rebuildText,
  reconnectText,
  registerText,
  rulesText,
  startsTable,
  stormText,
} from './report.ts';
import { benchRules } from './rules.ts';
import { startOver, starts } from './start.ts';
import { storm } from './storm.ts';
import { hasMosquitto, lamppost, mosquitto, type Start, stockAedes } from './subjects.ts';

const values = readFlags('bench', {
  seconds: { type: 'string', default: '10', help: 'How long each measurement takes.' },
  rounds: { type: 'string', default: '3', help: 'How often each is repeated.' },
  profile: { type: 'string', help: "Folder for a CPU profile of each of the server's threads." },
  outage: { type: 'boolean', default: false, help: 'Only the outage of an InfluxDB.' },
  rules: { type: 'boolean', default: false, help: 'Only the rule engine alone.' },
  latency: { type: 'boolean', default: false, help: 'Only the latency of alerts.' },
  labelled: {
    type: 'boolean',
    default: false,
    help: 'Only how well rules find the windows that people marked in real readings.',
  },
  idle: { type: 'boolean', default: false, help: 'Only memory and CPU of a server that nobody talks to.' },
  hostile: { type: 'boolean', default: false, help: 'Only a flood of one device beside 1,000 others.' },
  actions: { type: 'boolean', default: false, help: 'Only what an action of a person takes.' },
  formats: { type: 'boolean', default: false, help: 'Only what it takes to decode a message of each kind of format.' },
  register: { type: 'boolean', default: false, help: 'Only the import of so many `devices`.' },
  rebuild: { type: 'boolean', default: false, help: 'Only a state that is made anew from a log of so many messages.' },
  messages: { type: 'string', default: '4000000', help: 'The messages of `--rebuild`.' },
  import: { type: 'boolean', default: false, help: 'Only the import of so many readings from a file.' },
  readings: { type: 'string', default: '3000000', help: 'The readings of `--import`.' },
  console: {
    type: 'boolean',
    default: false,
    help: 'Only how soon the console answers in a browser, with so many `devices` and `tickets`.',
  },
  tickets: { type: 'string', default: '50000', help: 'The tickets of `--console`.' },
  cluster: { type: 'boolean', default: false, help: 'Only nodes over NATS JetStream beside one with its own log.' },
  storm: { type: 'boolean', default: false, help: 'Only a storm of alerts.' },
  reconnect: {
    type: 'boolean',
    default: false,
    help: 'Only a fleet of `devices` that comes back after the server was killed.',
  },
  devices: { type: 'string', help: 'The devices of `--register`, `--console` and `--reconnect`.' },
  start: {
    type: 'boolean',
    default: false,
    help: 'Only starts over data folders of `sizes` MiB, which it fills; `over` is a folder that `keep` kept.',
  },
  sizes: { type: 'string', default: '280,600,1200', help: 'The sizes of `--start`, MiB.' },
  keep: { type: 'string', help: 'A folder for the data folders of `--start`.' },
  over: { type: 'string', help: 'A folder that `--keep` kept.' },
});

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;

const profiling: Record<string, string> =
  values.profile === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${values.profile}` };

/** Prints the results and stores them as JSON. */
function keep(name: string, text: string, found: object): void {
  mkdirSync('bench-results', { recursive: true });
  const file = `bench-results/${new Date().toISOString().replaceAll(/[:.]/g, '-')}-${commit}${name}.json`;
  writeFileSync(file, `${JSON.stringify(found, null, 2)}\n`);
  process.stdout.write(`${text}\n${file}\n`);
}

if (values.outage) {
  const found = await outage();
  keep('-outage', outageText(found), { machine, commit, ...found });
  process.exit(0);
}
if (values.rules) {
  const found = benchRules();
  const backtest = await benchBacktest();
  keep('-rules', rulesText(found, backtest), { machine, commit, ...found, backtest });
  process.exit(0);
}
if (values.hostile) {
  const found = await hostile();
  keep('-hostile', hostileText(found), { machine, commit, ...found });
  process.exit(0);
}
if (values.actions) {
  const found = await benchActions(Number(values.seconds));
  keep('-actions', actionsText(found), { machine, commit, ...found });
  process.exit(0);
}
if (values.register) {
  const found = await benchRegister(Number(values.devices ?? 20_000));
  keep('-register', registerText(found), { machine, commit, ...found });
  process.exit(0);
}
if (values.formats) {
  const micros = await formatMicros();
  for (const [name, of] of Object.entries(micros)) console.log(`${of.toFixed(1).padStart(6)} µs  ${name}`);
  process.exit(0);
}
if (values.rebuild) {
  const found = await benchRebuild(Number(values.messages));
  keep('-rebuild', rebuildText(found), { machine, commit, ...found });
  process.exit(0);
}
if (values.import) {
  const found = await benchImport(Number(values.readings));
  keep('-import', importText(found), { machine, commit, ...found });
  process.exit(0);
}
if (values.console) {
  const found = await benchConsole(Number(values.devices ?? 10_000), Number(values.tickets));
  keep('-console', consoleText(found), { machine, commit, ...found });
  process.exit(0);
}
if (values.cluster) {
  const found = await benchCluster(Number(values.seconds));
  keep('-cluster', clusterText(found), { machine, commit, ...found });
  process.exit(0);
}
if (values.storm) {
  const found = await storm(profiling);
  keep('-storm', stormText(found), { machine, commit, ...found });
  process.exit(0);
}
if (values.reconnect) {
  const found = await reconnect(Number(values.devices ?? 10_000), profiling);
  keep('-reconnect', reconnectText(found), { machine, commit, ...found });
  process.exit(0);
}
if (values.start) {
  const sizes = values.sizes.split(',').map(Number);
  const found = await (values.over === undefined ? starts(sizes, values.keep ?? null) : startOver(values.over));
  keep('-start', startsTable(found), { machine, commit, found });
  process.exit(0);
}
if (values.idle) {
  const found = await idle(30, profiling);
  keep('-idle', idleText(found), { machine, commit, ...found });
  process.exit(0);
}
if (values.labelled) {
  process.stdout.write(`${labelledTable(await labelled())}\n\n${heldOutTable(await heldOut())}\n`);
  process.exit(0);
}
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);

const WIDE: Shape = { connections: 50, window: 200, seconds };
const NARROW: Shape = { connections: 1000, window: 1, seconds };
// The first seconds after a start are V8's: code not yet compiled, and the objects of 1,000 new connections copied by
// its collector.
const STEADY: Shape = { connections: 1000, window: 10, seconds, rate: 10_000, warmupSeconds: 5 };
const CALM = { connections: 100, window: 10, seconds, rate: 1_667 };

const subject: Start = (devices) => lamppost(devices, 'air-quality', profiling);

const rows: Row[] = [];
const ratios: Record<string, number[]> = {};

async function run(name: string, start: Start, shape: Shape): Promise<Row> {
  process.stderr.write(`${name} …\n`);
  const row = { name, ...(await measure(start, shape)) };
  rows.push(row);
  return row;
}

/** Runs both in turn, several times, so that other load of the machine affects both. */
async function pair(label: string, shape: Shape): Promise<void> {
  const all: number[] = [];
  ratios[label] = all;
  for (let round = 0; round < rounds; round++) {
    const stock = await run(`stock Aedes, ${label}`, stockAedes, shape);
    const ours = await run(`Lamppost, ${label}`, subject, shape);
    all.push(ours.messagesPerSecond / stock.messagesPerSecond);
  }
}

if (values.latency) {
  const found = await alertLatency(CALM);
  keep('-latency', latencyText('alert latency at 5,000 readings/s', found).join('\n'), { machine, commit, ...found });
  process.exit(0);
}
const parseMicros = parseLimitMicros();
process.stderr.write('idle …\n');
const quiet = await idle(seconds, profiling);
await pair('50 × 200', WIDE);
await pair('1000 × 1', NARROW);
if (await hasMosquitto()) await run('Mosquitto + 1 subscriber, 50 × 200', mosquitto, WIDE);
else process.stderr.write('Mosquitto is not installed: left out\n');
await run('Lamppost, 1000 connections at 10k/s', subject, STEADY);
process.stderr.write('alert latency …\n');
const latency = await alertLatency(CALM);

const report: Report = { machine, commit, parseMicros, rows, ratios, latency, idle: quiet };
keep('', `${asTable(rows)}\n\n${asText(report)}`, report);

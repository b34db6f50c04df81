import type { ActionFigures } from './actions.ts';
import type { AlertLatency } from './alert-latency.ts';
import type { BacktestFigures } from './backtest.ts';
import type { Idle } from './idle.ts';
import type { ImportFigures } from './import.ts';
import type { Measured } from './load.ts';
import type { Outage } from './outage.ts';
import type { RebuildFigures } from './rebuild.ts';
import type { Reconnect } from './reconnect.ts';
import type { RegisterFigures } from './register.ts';
import type { RuleFigures } from './rules.ts';
import type { TimedStart } from './start.ts';
import type { Storm, Times } from './storm.ts';

export interface Row extends Measured {
  readonly name: string;
}

/** All results of one run. */
export interface Report {
  readonly machine: string;
  readonly commit: string;
  readonly parseMicros: number;
  readonly rows: readonly Row[];
  /** Lamppost's messages a second through stock Aedes', by kind of load, one a round. */
  readonly ratios: Readonly<Record<string, readonly number[]>>;
  readonly latency: AlertLatency;
  readonly idle: Idle;
}

const fixed = (value: number, digits = 1) => value.toFixed(digits);

const COLUMNS: readonly (readonly [string, (row: Row) => string | number])[] = [
  ['run', (row) => row.name],
  ['msg/s', (row) => row.messagesPerSecond],
  ['readings/s', (row) => row.readingsPerSecond],
  ['CPU µs/msg', (row) => fixed(row.cpuMicrosPerMessage)],
  ['ack p50 ms', (row) => fixed(row.ackP50Ms)],
  ['ack p99 ms', (row) => fixed(row.ackP99Ms)],
  ['caught up s', (row) => fixed(row.caughtUpSeconds, 2)],
  ['peak MiB', (row) => row.peakMiB],
];

/** Formats the runs as a Markdown table. */
export function asTable(rows: readonly Row[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [
    line(COLUMNS.map(([title]) => title)),
    line(COLUMNS.map((_, i) => (i === 0 ? '---' : '---:'))),
    ...rows.map((row) => line(COLUMNS.map(([, cell]) => cell(row)))),
  ].join('\n');
}

/** Formats the other results as text. */
export function asText({ machine, commit, parseMicros, ratios, latency, idle }: Report): string {
  const median = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
  return [
    `machine: ${machine}; commit ${commit}`,
    `raw parse limit (headers and JSON.parse, one thread): ${fixed(parseMicros, 2)} µs a message`,
    ...Object.entries(ratios).map(([label, all]) => {
      const rounds = all.map((one) => fixed(one, 2)).join(', ');
      return `Lamppost / stock Aedes, ${label}: ${fixed(median(all), 2)} (rounds: ${rounds})`;
    }),
    ...latencyText('alert latency at 5,000 readings/s', latency),
    idleText(idle),
  ].join('\n');
}

/** The latency of alerts by channel, from the publish of the reading to the event at a subscriber. */
export function latencyText(what: string, { alerts, mqtt, sse }: AlertLatency): string[] {
  return Object.entries({ 'an MQTT subscriber': mqtt, 'an SSE reader': sse }).map(
    ([where, { p50Ms, p99Ms, maxMs }]) =>
      `${what}, from the publish to the event at ${where}: p50 ${fixed(p50Ms)} ms, p99 ${fixed(p99Ms)} ms, max ${fixed(maxMs)} ms (${alerts} events)`,
  );
}

/** Formats the memory and CPU of an idle server as text. */
export function idleText({ residentMiB, proportionalMiB, cpuPercent, seconds }: Idle): string {
  const memory = `${residentMiB} MiB resident (${proportionalMiB} with shared pages counted once)`;
  const cpu = `${fixed(cpuPercent, 2)} % of a core`;
  return `idle: ${memory}, ${cpu} (over ${fixed(seconds, 0)} s, from 20 s after the start)`;
}

/** Formats an outage of the history as text. */
export function outageText(found: Outage): string {
  return [
    `${found.backlog} readings waited; the first batch was in ${fixed(found.waitedSeconds)} s after the database's return, all of them after another ${fixed(found.seconds)} s, ${found.readingsPerSecond} readings/s, with 5,000 readings/s coming in`,
    `the server's memory: at most ${found.peakAwayMiB} MiB until the database came back, ${found.peakMiB} MiB in all`,
    ...latencyText('alert latency while it is away', found.latencyAway),
    ...latencyText(
      `alert latency while the backlog is written (until ${fixed(found.alertsSeconds)} s of it)`,
      found.latencyCatchingUp,
    ),
    `in the database at the end: ${found.found} readings; accepted: ${found.accepted}`,
  ].join('\n');
}

/** Formats the results of the rule engine as text. */
export function rulesText(found: RuleFigures, backtest: BacktestFigures): string {
  const ratio = (a: number, b: number) => fixed(a / b, 2);
  const ns = (value: number) => fixed(value, 0);
  const { tenRulesNs, thousandsNearNs, thousandsFarNs, shortWindowNs, longWindowNs } = found;
  return [
    `a reading that ten rules read: ${ns(tenRulesNs)} ns where there are ten rules; ${ns(thousandsFarNs)} ns (${ratio(thousandsFarNs, tenRulesNs)} ×) with 9,990 more for other devices; ${ns(thousandsNearNs)} ns (${ratio(thousandsNearNs, tenRulesNs)} ×) where each of 1,000 devices has ten of 10,000`,
    `a mean over 24 h: ${ns(longWindowNs)} ns a reading, ${ratio(longWindowNs, shortWindowNs)} × one over 5 min (${ns(shortWindowNs)} ns)`,
    `a mean compared with 1,000 peers: ${ns(found.manyPeersNs)} ns a reading, ${ratio(found.manyPeersNs, found.fewPeersNs)} × with ten (${ns(found.fewPeersNs)} ns)`,
    `100,000 series, mean over 15 min, a reading a minute: ${ns(found.stateBytes)} bytes of stored state a series, ${ns(found.memoryBytes)} of memory; ready ${fixed(found.restoreMs / 1000, 2)} s after a restart began to read them`,
    `replay of stored readings, four rules with for and absence, one core: ${ns(found.replayed)} readings/s`,
    `backtest of a rule with a window, ${fixed(backtest.readings / 1e6)} M readings out of the embedded history: ${ns(backtest.readingsPerSecond)} readings/s (${ns(backtest.readingsPerCpuSecond)} a second of one core); ${backtest.tickets} tickets`,
  ].join('\n');
}

/** Formats what an action takes as text. */
export function actionsText({ alone, beside, messagesPerSecond, logBytes }: ActionFigures): string {
  const times = ({ count, p50Ms, p99Ms }: ActionFigures['alone']) =>
    `p50 ${fixed(p50Ms)} ms, p99 ${fixed(p99Ms)} ms (${count})`;
  return [
    `acknowledging a ticket over HTTP, alone: ${times(alone)}`,
    `beside ${fixed(messagesPerSecond, 0)} messages/s: ${times(beside)}; ${fixed(beside.p50Ms / alone.p50Ms, 2)} × the p50 alone`,
    `log bytes an action: ${fixed(logBytes, 0)}`,
  ].join('\n');
}

/** Formats a rebuild as text. */
export function rebuildText(found: RebuildFigures): string {
  return [
    `a state made anew from a log of ${found.messages} messages: ${fixed(found.messagesPerSecond, 0)} messages/s, ${fixed(found.cpuSecondsPerMillion, 2)} s of CPU a million`,
    `${fixed(found.cpuSecondsPerMillion / found.parseMicros, 1)} × what reading headers and JSON.parse take alone (${fixed(found.parseMicros, 2)} µs a message)`,
    `rules without the ledger: ${fixed(found.decidedPerSecond, 0)} messages/s; only reading the blocks: ${fixed(found.readPerSecond, 0)}`,
  ].join('\n');
}

/** Formats an import of devices as text. */
export function registerText(found: RegisterFigures): string {
  return [
    `${found.devices} devices imported in ${fixed(found.seconds)} s, ${fixed(found.cpuSeconds)} s of CPU of the server`,
    `its memory: ${found.beforeMiB} MiB before, ${found.peakMiB} MiB at most, ${found.afterMiB} MiB afterwards`,
    `a device: ${fixed(found.logBytes, 0)} bytes of log, ${fixed(found.stateBytes, 0)} bytes of state`,
    `a start with them: ${fixed(found.startCpuSeconds)} s of CPU (without: ${fixed(found.emptyStartCpuSeconds)} s)`,
    `a page of a thousand: ${fixed(found.pageMs)} ms; one: ${fixed(found.oneMs)} ms`,
  ].join('\n');
}

/** Formats an import as text. */
export function importText(found: ImportFigures): string {
  return [
    `${found.readings} readings imported: ${fixed(found.readingsPerSecond, 0)} readings/s, ${fixed(found.readingsPerSecond / found.duckdbPerSecond, 2)} × DuckDB alone with the same file (${fixed(found.duckdbPerSecond, 0)})`,
    `the same file again: ${fixed(found.againPerSecond, 0)} rows/s; only reading it: ${fixed(found.parsedPerSecond, 0)}`,
    `the server: ${fixed(found.cpuSecondsPerMillion, 2)} s of CPU a million, at most ${found.peakMiB} MiB, ${fixed(found.journalBytesPerReading, 1)} bytes of log a reading`,
  ].join('\n');
}

/** Formats a storm of alerts as text. */
export function stormText(found: Storm): string {
  const times = ({ count, p50Ms, p99Ms, maxMs }: Times) =>
    `p50 ${fixed(p50Ms)} ms, p99 ${fixed(p99Ms)} ms, max ${fixed(maxMs)} ms (${count})`;
  return [
    `${found.alerts} alerts in ${fixed(found.seconds)} s: ${found.tickets} tickets with ${found.news} changes published; ${found.missing} alerts missing, ${found.twice} twice`,
    `from the publish to the alert's event at an MQTT subscriber: ${times(found.events)}`,
    `meanwhile GET /api/v1/tickets?limit=100: ${times(found.list)}`,
    `meanwhile POST acknowledge and comment: ${times(found.acts)}`,
    `the server: ${fixed(found.cores, 2)} cores, at most ${found.peakMiB} MiB`,
  ].join('\n');
}

/** Formats starts as a Markdown table, each with its longest phases. */
export function startsTable(starts: readonly TimedStart[]): string {
  const longest = (phases: TimedStart['phases']) =>
    phases
      .toSorted(([, a], [, b]) => b - a)
      .slice(0, 8)
      .map(([name, ms]) => `${name} ${ms}`)
      .join(', ');
  return [
    '| folder MiB | after | MQTT ms | ready ms | caught up ms | peak MiB | longest phases, ms |',
    '| ---: | --- | ---: | ---: | ---: | ---: | --- |',
    ...starts.map(({ dataMiB, after, mqttMs, readyMs, caughtUpMs, peakMiB, phases }) => {
      const times = [mqttMs, readyMs, caughtUpMs].map((ms) => fixed(ms, 0));
      return `| ${[dataMiB, after, ...times, peakMiB, longest(phases)].join(' | ')} |`;
    }),
  ].join('\n');
}

/** Formats the return of a fleet as text. */
export function reconnectText(found: Reconnect): string {
  const seconds = (ms: number) => `${fixed(ms / 1_000)} s`;
  const ended = Object.entries(found.ended).map(([why, count]) => `${count} × ${why}`);
  return [
    `${found.devices} devices of one address, after a kill -9, from the start of the process on:`,
    `acknowledged: the first after ${seconds(found.firstMs)}, half after ${seconds(found.halfMs)},`,
    `99 % after ${seconds(found.mostMs)}, all after ${seconds(found.allMs)}; ready after ${seconds(found.readyMs)}`,
    `CPU ${fixed(found.cpuSeconds)} s (a start without devices: ${fixed(found.quietCpuSeconds)} s); ` +
      `at most ${found.peakMiB} MiB; ledger ${found.balanced ? 'balanced' : 'NOT balanced'}`,
    `connections that ended before: ${ended.length === 0 ? 'none' : ended.join(', ')}`,
  ].join('\n');
}

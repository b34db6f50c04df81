import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';
import { backtestDevices, type Config, inputOf, type LoadedCity, loadCity, readConfig } from '../app/index.ts';
import { formatProblems } from '../city-model/index.ts';
import {
  systemClock as clock,
  DAY_MS,
  type HistoryStore,
  LamppostError,
  parseDuration,
  type Rule,
} from '../domain/index.ts';
import { createInfluxHistory, openDuckdbScan } from '../history/index.ts';
import { createRuleRecordReader } from '../ingest/index.ts';
import { openRegistry } from '../registry/index.ts';
import { type BacktestOptions, type BacktestReport, parseRule, rulesInForce, runBacktest } from '../rules/index.ts';
import { wouldBeTickets } from '../tickets/index.ts';
import { backtestOver } from './backtest-remote.ts';
import { createProgressBar, printReport } from './backtest-report.ts';

const HELP = `lamppost backtest <rule.yaml> | --rule <id>   the tickets that a rule would have raised

  --from T --to T    2026-03-01, 2026-03-01T06:00:00Z, or how long ago: 30d (by default from 30d ago to now)
  --data DIR         data folder of a server that is stopped (LAMPPOST_DATA, ./data); its InfluxDB where INFLUX_URL is set
  --city DIR         city folder (LAMPPOST_CITY, ./city)
  --url URL          ask a running server instead, with --key or LAMPPOST_ADMIN_KEY
  --json             the whole report

A rule that is in force under the same id, and says something else, is run too: the difference is told. Ctrl-C cancels.`;

/** What is asked for on the command line. */
interface Asked {
  /** Text of a rule, or null where one in force is meant. */
  readonly text: string | null;
  readonly file: string;
  readonly id: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** `backtest`: on the data of a stopped server, or by a running one. Answers the exit code; 130 where it was cancelled. */
export async function backtestCommand(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      rule: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      city: { type: 'string' },
      data: { type: 'string' },
      url: { type: 'string' },
      key: { type: 'string', default: process.env.LAMPPOST_ADMIN_KEY ?? '' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const asked = askedFor(positionals, values);
  const bar = createProgressBar(process.stderr);
  const cancelled = new AbortController();
  const cancel = () => cancelled.abort(new LamppostError('busy', 'cancelled'));
  process.once('SIGINT', cancel);
  const options = { signal: cancelled.signal, onProgress: bar.show };
  try {
    const { url, key, city, data } = values;
    const report =
      url === undefined
        ? await backtestHere(asked, { city, data }, options)
        : await backtestOver({ url, key }, { ...asked, rule: asked.text ?? asked.id }, options);
    bar.clear();
    if (values.json) console.log(JSON.stringify(report, null, 2));
    else printReport(report);
    return 0;
  } catch (error) {
    bar.clear();
    if (!cancelled.signal.aborted) throw error;
    console.error('cancelled');
    return 130;
  } finally {
    process.off('SIGINT', cancel);
  }
}

function askedFor(
  [file, ...more]: readonly string[],
  { rule, from, to }: { rule?: string | undefined; from?: string | undefined; to?: string | undefined },
): Asked {
  if (more.length > 0 || (file === undefined) === (rule === undefined)) {
    throw new LamppostError('config', 'backtest: name a file with a rule, or --rule and the id of one in force');
  }
  const nowMs = clock.now();
  const toMs = to === undefined ? nowMs : momentOf('--to', to, nowMs);
  const fromMs = from === undefined ? toMs - 30 * DAY_MS : momentOf('--from', from, nowMs);
  if (fromMs >= toMs) throw new LamppostError('config', 'backtest: --from must be before --to');
  const text = file === undefined ? null : readText(file);
  return { text, file: file ?? '', id: rule ?? '', fromMs, toMs };
}

function momentOf(flag: string, text: string, nowMs: number): number {
  const ago = parseDuration(text);
  const ms = ago === null ? Date.parse(text) : nowMs - ago;
  if (Number.isFinite(ms)) return ms;
  throw new LamppostError('config', `${flag}: "${text}" is no moment; write 2026-03-01, 2026-03-01T06:00:00Z or 30d`);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new LamppostError('config', `${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** On the files of a server that does not run. */
async function backtestHere(
  asked: Asked,
  folders: { readonly city: string | undefined; readonly data: string | undefined },
  options: BacktestOptions,
): Promise<BacktestReport> {
  const flags = { LAMPPOST_CITY: folders.city, LAMPPOST_DATA: folders.data };
  const given = Object.entries(flags).filter((flag): flag is [string, string] => flag[1] !== undefined);
  const config = readConfig(process.env, Object.fromEntries(given));
  const loaded = await loadCity(config.city);
  const inForce = rulesIn(config, loaded);
  const rule = ruleOf(asked, loaded, inForce);
  const devices = devicesIn(config);
  const history = await openHistory(config);
  try {
    const input = inputOf(loaded.city, rule, inForce.find(({ id }) => id === rule.id) ?? null);
    return await runBacktest(
      { ...input, devices, fromMs: asked.fromMs, toMs: asked.toMs },
      { scan: history.scan, ticketOf: wouldBeTickets(loaded.city, devices), elapsed: () => performance.now() },
      options,
    );
  } finally {
    history.close();
  }
}

/** Those of the city folder, and those that the API made. */
function rulesIn({ data }: Config, { control, city, rules }: LoadedCity): readonly Rule[] {
  const file = join(data, 'state.sqlite');
  if (!existsSync(file)) return rules;
  const state = new DatabaseSync(file, { readOnly: true });
  try {
    return rulesInForce({ control, city }, createRuleRecordReader(state).present()).rules;
  } finally {
    state.close();
  }
}

function ruleOf({ text, file, id }: Asked, { city }: LoadedCity, inForce: readonly Rule[]): Rule {
  if (text === null) {
    const found = inForce.find((rule) => rule.id === id);
    if (found !== undefined) return found;
    throw new LamppostError(
      'not-found',
      `there is no rule "${id}" in force: ${inForce.map((one) => one.id).join(', ')}`,
    );
  }
  const { rule, problems } = parseRule(text, city, { path: file, origin: `file:${file}` });
  if (rule !== null) return rule;
  throw new LamppostError('mistakes', `the rule has mistakes:\n${formatProblems(problems)}`, { problems });
}

function devicesIn({ data }: Config) {
  const file = join(data, 'registry.sqlite');
  if (!existsSync(file)) {
    throw new LamppostError(
      'config',
      `${data} is no data folder of a server; set LAMPPOST_DATA or --data, or ask one with --url`,
    );
  }
  const registry = openRegistry(file, clock);
  try {
    return backtestDevices(registry);
  } finally {
    registry.close();
  }
}

async function openHistory({ data, influx }: Config): Promise<Pick<HistoryStore, 'scan'> & { close(): void }> {
  if (influx === null) return openDuckdbScan(join(data, 'history.duckdb'));
  const metrics = { indexOf: () => 0, idOf: () => '' };
  const history = createInfluxHistory({ metrics, unitOf: () => '', clock }, influx);
  return { scan: (query, signal) => history.scan(query, signal), close: () => void history.stop() };
}

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';
import { type Config, type LoadedCity, loadCity, readConfig } from '../app/index.ts';
import { formatProblems } from '../city-model/index.ts';
import {
  systemClock as clock,
  DAY_MS,
  type HistoryStore,
  isoOf,
  LamppostError,
  parseDuration,
  type Rule,
} from '../domain/index.ts';
import { createInfluxHistory, openDuckdbScan } from '../history/index.ts';
import { createRuleRecordReader } from '../ingest/index.ts';
import { createRegistry } from '../registry/index.ts';
import {
  type BacktestOptions,
  type BacktestProgress,
  type BacktestReport,
  backtestDevices,
  backtestInput,
  parseRule,
  rulesInForce,
  runBacktest,
} from '../rules/index.ts';
import { wouldBeTickets } from '../tickets/index.ts';
import { createProgressBar, printReport } from './backtest-report.ts';
import { type Client, clientOf, SERVER_FLAGS } from './client.ts';

const HELP = `lamppost backtest <rule.yaml> | --rule <id>   the tickets that a rule would have opened

  --from T --to T    2026-03-01, 2026-03-01T06:00:00Z, or how long ago: 30d (by default from 30d ago to now)
  --data DIR         data folder of a stopped server (LAMPPOST_DATA, ./data); its InfluxDB where INFLUX_URL is set
  --city DIR         city folder (LAMPPOST_CITY, ./city)
  --url URL          run it on a running server instead, with --key or LAMPPOST_ADMIN_KEY
  --json             print the whole report

A rule in force with the same id and another text runs too, and the difference is printed. Ctrl-C cancels.`;

/** The request on the command line. */
interface Request {
  /** Text of a rule; null: the rule in force with `id`. */
  readonly text: string | null;
  readonly file: string;
  readonly id: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * `backtest`: on the data of a stopped server, or on a running one. Returns the exit code; 130 where it was cancelled.
 */
export async function backtestCommand(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      ...SERVER_FLAGS,
      rule: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      city: { type: 'string' },
      data: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const request = requestOf(positionals, values);
  const bar = createProgressBar(process.stderr);
  const cancelled = new AbortController();
  const cancel = () => cancelled.abort(new LamppostError('busy', 'cancelled'));
  process.once('SIGINT', cancel);
  const options = { signal: cancelled.signal, onProgress: bar.show };
  try {
    const flags = { LAMPPOST_CITY: values.city, LAMPPOST_DATA: values.data };
    const report =
      values.url === undefined
        ? await backtestHere(request, configOf(flags, environment), options)
        : await backtestOver(clientOf(values, environment), request, options);
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

function requestOf(
  [file, ...more]: readonly string[],
  { rule, from, to }: { rule?: string | undefined; from?: string | undefined; to?: string | undefined },
): Request {
  if (more.length > 0 || (file === undefined) === (rule === undefined)) {
    throw new LamppostError('config', 'backtest: name a file with a rule, or --rule and the id of one in force');
  }
  const nowMs = clock.now();
  const toMs = to === undefined ? nowMs : timeOf('--to', to, nowMs);
  const fromMs = from === undefined ? toMs - 30 * DAY_MS : timeOf('--from', from, nowMs);
  if (fromMs >= toMs) throw new LamppostError('config', 'backtest: --from must be before --to');
  const text = file === undefined ? null : readText(file);
  return { text, file: file ?? '', id: rule ?? '', fromMs, toMs };
}

function timeOf(flag: string, text: string, nowMs: number): number {
  const ago = parseDuration(text);
  const ms = ago === null ? Date.parse(text) : nowMs - ago;
  if (Number.isFinite(ms)) return ms;
  throw new LamppostError('config', `${flag}: "${text}" is not a time; write 2026-03-01, 2026-03-01T06:00:00Z or 30d`);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new LamppostError('config', `${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

function configOf(flags: Readonly<Record<string, string | undefined>>, environment: NodeJS.ProcessEnv): Config {
  const given = Object.entries(flags).filter((flag): flag is [string, string] => flag[1] !== undefined);
  return readConfig(environment, Object.fromEntries(given));
}

/** Runs a backtest on a running server. Aborting closes the connection, which cancels it there. */
async function backtestOver(
  client: Client,
  { text, id, fromMs, toMs }: Request,
  { signal, onProgress }: BacktestOptions,
): Promise<BacktestReport> {
  const body = { rule: text ?? id, from: isoOf(fromMs), to: isoOf(toMs) };
  for await (const { event, data } of client.events('/api/v1/rules/backtest', body, signal)) {
    if (event === 'progress') onProgress?.(JSON.parse(data) as BacktestProgress);
    if (event === 'report') return JSON.parse(data) as BacktestReport;
  }
  throw new LamppostError('busy', 'the server sent no report', { retryable: true });
}

/** Runs a backtest on the files of a stopped server. */
async function backtestHere(request: Request, config: Config, options: BacktestOptions): Promise<BacktestReport> {
  const loaded = await loadCity(config.city);
  const inForce = rulesIn(config, loaded);
  const rule = ruleOf(request, loaded, inForce);
  const devices = devicesIn(config);
  const history = await openHistory(config);
  try {
    const input = backtestInput(loaded.city, rule, inForce.find(({ id }) => id === rule.id) ?? null);
    return await runBacktest(
      { ...input, devices, fromMs: request.fromMs, toMs: request.toMs },
      { scan: history.scan, ticketOf: wouldBeTickets(loaded.city, devices), elapsed: () => performance.now() },
      options,
    );
  } finally {
    history.close();
  }
}

/** Returns the rules in force, of the city folder and of the API. */
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

function ruleOf({ text, file, id }: Request, { city }: LoadedCity, inForce: readonly Rule[]): Rule {
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
      `${data} is not the data folder of a server; set LAMPPOST_DATA or --data, or name a running server with --url`,
    );
  }
  const registry = createRegistry({ clock }, { path: file }).open();
  try {
    return backtestDevices((query) => registry.list(query));
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

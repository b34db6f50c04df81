import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Config, type LoadedCity, loadCity, readConfig } from '../app/index.ts';
import { formatProblems } from '../city-model/index.ts';
import { systemClock as clock, DAY_MS, type HistoryStore, isoOf, LamppostError, type Rule } from '../domain/index.ts';
import { createInfluxHistory, openDuckdbScan } from '../history/index.ts';
import { createRuleRecordReader } from '../ingest/index.ts';
import { createRegistryReader } from '../registry/index.ts';
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
import { type Client, clientOf } from './client.ts';
import { readBytes } from './files.ts';
import type { BACKTEST } from './flags.ts';
import { pastOf } from './past.ts';
import type { Given } from './spec.ts';

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
export async function backtestCommand(
  { args, flags }: Given<typeof BACKTEST>,
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const request = requestOf(args, flags);
  const bar = createProgressBar(flags.progress);
  const cancelled = new AbortController();
  const cancel = () => cancelled.abort(new LamppostError('busy', 'cancelled'));
  process.once('SIGINT', cancel);
  const options = { signal: cancelled.signal, onProgress: bar.show };
  try {
    const settings = { LAMPPOST_CITY: flags.city, LAMPPOST_DATA: flags.data };
    const report =
      flags.url === undefined
        ? await backtestHere(request, configOf(settings, environment), options)
        : await backtestOver(clientOf(flags, environment), request, options);
    bar.clear();
    if (flags.json) console.log(JSON.stringify(report, null, 2));
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

function requestOf([file]: readonly string[], { rule, from, to }: Given<typeof BACKTEST>['flags']): Request {
  if ((file === undefined) === (rule === undefined)) {
    throw new LamppostError('config', 'backtest: name a file with a rule, or --rule and the id of one in force');
  }
  const nowMs = clock.now();
  const toMs = to === undefined ? nowMs : pastOf('--to', to, nowMs);
  const fromMs = from === undefined ? toMs - 30 * DAY_MS : pastOf('--from', from, nowMs);
  if (fromMs >= toMs) throw new LamppostError('config', 'backtest: --from must be before --to');
  const text = file === undefined ? null : readBytes(file).toString();
  return { text, file: file ?? '', id: rule ?? '', fromMs, toMs };
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
  const file = join(data, 'state.sqlite');
  if (!existsSync(file)) {
    throw new LamppostError(
      'config',
      `${data} is not the data folder of a server; set LAMPPOST_DATA or --data, or name a running server with --url`,
    );
  }
  const state = new DatabaseSync(file, { readOnly: true });
  try {
    if (state.prepare("select 1 from sqlite_schema where name = 'registry_devices'").get() === undefined)
      throw new LamppostError('config', `${data} is of an earlier version; start the server on it once`);
    const registry = createRegistryReader(state);
    return backtestDevices((query) => registry.list(query));
  } finally {
    state.close();
  }
}

async function openHistory({ data, influx }: Config): Promise<Pick<HistoryStore, 'scan'> & { close(): void }> {
  if (influx === null) return openDuckdbScan(join(data, 'history.duckdb'));
  const metrics = { indexOf: () => 0, idOf: () => '' };
  const history = createInfluxHistory({ metrics, unitOf: () => '', clock }, influx);
  return { scan: (query, signal) => history.scan(query, signal), close: () => void history.stop() };
}

import { once } from 'node:events';
import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BacktestProgress, BacktestReport } from '../../../rules/index.ts';
import { CHANGED, dataFolder, fileOf, HOUR, START } from '../../kit/cli/backtest-folder.ts';
import { expectPlain, lamppost, launch, ROOT } from '../../kit/cli/commands.ts';
import { ADMIN_KEY, ServerProcess } from '../../kit/server.ts';

const CITY = join(ROOT, 'city');
const HOURS = 48;
const TIMES = { from: new Date(START).toISOString(), to: new Date(START + HOURS * HOUR).toISOString() };
const FLAGS = ['--from', TIMES.from, '--to', TIMES.to];
const RULE = fileOf('rule.yaml', CHANGED);
let data: string;
let server: ServerProcess;

beforeAll(async () => {
  data = await dataFolder(10, HOURS);
  // The server has a copy of the files; its report is compared with that of the command on the originals.
  const copy = mkdtempSync(join(tmpdir(), 'lamppost-backtest-'));
  cpSync(data, copy, { recursive: true });
  server = new ServerProcess(copy);
  await server.start();
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
});

const here = (...args: string[]) => lamppost(['backtest', ...args, '--city', CITY, '--data', data]);
const there = (...args: string[]) =>
  lamppost(['backtest', ...args, '--url', `http://127.0.0.1:${server.httpPort}`, '--key', ADMIN_KEY]);
const reportOf = ({ out }: { out: string }) => ({ ...(JSON.parse(out) as BacktestReport), tookMs: 0 });

test('backtest - on the files of a stopped server, on a running one and over its API: the same report', async () => {
  const local = await here(RULE, ...FLAGS, '--json');
  expect(local.code, local.err).toBe(0);
  const report = reportOf(local);
  expect(report).toMatchObject({ rule: 'pm25-unhealthy', devices: 10, readings: 10 * 60 * HOURS, fault: null });
  expect(report.totals.incidents).toBeGreaterThan(50);
  expect(report.difference!.counts.moved).toBeGreaterThan(50);
  const remote = await there(RULE, ...FLAGS, '--json');
  expect(remote.code, remote.err).toBe(0);
  expect(reportOf(remote)).toEqual(report);
  const overApi = await server.post<BacktestReport>('/api/v1/rules/backtest', { rule: CHANGED, ...TIMES });
  expect({ ...overApi, tookMs: 0 }).toEqual(report);
  const inForce = reportOf(await here('--rule', 'pm25-unhealthy', ...FLAGS, '--json'));
  expect(inForce.difference).toBeNull();
  expect(inForce.totals).toEqual(report.difference!.totals);
});

test('backtest - has no effects: no alert, no ticket, no event', async () => {
  await server.post('/api/v1/rules/backtest', { rule: CHANGED, ...TIMES });
  for (const what of ['alerts', 'tickets', 'events']) {
    expect((await server.get<{ items: unknown[] }>(`/api/v1/${what}`)).items).toEqual([]);
  }
});

test('backtest - the report is a table for people; progress goes to standard error', async () => {
  const { code, out, err } = await here(RULE, ...FLAGS, '--progress');
  expect(code).toBe(0);
  expect(out).toMatch(/rule pm25-unhealthy \([0-9a-f]{12}\) from 2026-03-02 00:00 to 2026-03-04 00:00 UTC/);
  expect(out).toMatch(/environment: Dust at air-\d: /);
  expect(out).toMatch(/against the rule in force .* moved/);
  expect(err).toMatch(/^\d+ % {2}2026-03-0\d \d\d:\d\d {2}[\d,]+ readings/m);
});

test('backtest - the server streams its progress', async () => {
  const response = await fetch(`http://127.0.0.1:${server.httpPort}/api/v1/rules/backtest`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${ADMIN_KEY}`,
      'content-type': 'application/json',
      accept: 'text/event-stream',
    },
    body: JSON.stringify({ rule: 'pm25-unhealthy', ...TIMES }),
  });
  const text = await response.text();
  const progress = [...text.matchAll(/^event: progress\ndata: (.*)$/gm)].map((one) => JSON.parse(one[1]!));
  expect((progress.at(-1) as BacktestProgress).done).toBe(1);
  expect(text).toMatch(/^event: report\ndata: \{/m);
});

test.each([
  ['neither rule nor file', [], 2, /--rule/],
  ['a rule that is not in force', ['--rule', 'pm25'], 1, /no rule "pm25" in force: .*pm25-unhealthy/],
  ['a file that is not there', ['/nowhere/rule.yaml'], 2, /\/nowhere\/rule\.yaml/],
  ['a rule with mistakes', [fileOf('bad.yaml', CHANGED.replace('above', 'abov'))], 1, /bad\.yaml:6:\d+ .*abov/],
  ['a time that is none', [RULE, '--from', 'yesterday'], 2, /--from.*yesterday/],
  ['an end before the beginning', [RULE, '--from', '1d', '--to', '2d'], 2, /before/],
])('backtest - %s is reported in one line', async (_what, args, code, says) => {
  const ran = await here(...args);
  expect(ran.code, ran.out).toBe(code);
  expectPlain(ran, says);
});

test('backtest - does not open the history of a running server, and points to --url', async () => {
  const ran = await lamppost(['backtest', RULE, '--city', CITY, '--data', server.data]);
  expect(ran.code).toBe(1);
  expectPlain(ran, /--url/);
  const unknown = await there('--rule', 'nobody', ...FLAGS);
  expect(unknown.code).toBe(1);
  expectPlain(unknown, /nobody/);
  const nobody = await lamppost(['backtest', RULE, '--url', `http://127.0.0.1:${server.httpPort}`]);
  expect(nobody.code).toBe(1);
  expectPlain(nobody, /key/);
});

test('backtest - Ctrl-C cancels it at once, with exit code 130, also on a server', async () => {
  const long = await dataFolder(200, 240);
  const env = { LAMPPOST_ADMIN_KEY: ADMIN_KEY };
  const flags = ['--from', TIMES.from, '--to', new Date(START + 240 * HOUR).toISOString()];
  const other = new ServerProcess(long);
  for (const remote of [false, true]) {
    if (remote) await other.start();
    const where = remote ? ['--url', `http://127.0.0.1:${other.httpPort}`] : ['--data', long, '--city', CITY];
    const child = launch(['backtest', RULE, '--progress', ...flags, ...where], env);
    const [first] = (await once(child.stderr!, 'data')) as [Buffer];
    expect(first.toString()).toMatch(/^\d+ %/);
    const at = performance.now();
    child.kill('SIGINT');
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(130);
    expect(performance.now() - at).toBeLessThan(1_000);
  }
  // The next one can run at once. This many stations are above the limit of the rule.
  const { incidents } = await other.post<BacktestReport>('/api/v1/rules/backtest', { rule: CHANGED, ...TIMES });
  expect(incidents.map(({ group }) => group)).toContain('~limit');
  expect(await other.stop()).toBe(0);
});

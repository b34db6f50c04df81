import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, statSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { exitCodeOf, operational } from '../../../cli/boot.ts';
import { Client, clientOf } from '../../../cli/client.ts';
import { COMMANDS } from '../../../cli/commands.ts';
import { completionOf, SHELLS } from '../../../cli/completion.ts';
import { commandsOf, pageOf } from '../../../cli/help.ts';
import { run } from '../../../cli/index.ts';
import { type Command, read } from '../../../cli/spec.ts';
import { bench } from '../../../cli/start.ts';

const KEY = 'k'.repeat(32);

function silenced(name: 'log' | 'error') {
  const spy = vi.spyOn(console, name).mockImplementation(() => {});
  onTestFinished(() => spy.mockRestore());
  return spy;
}

/** Serves requests on a free port until the end of the test; returns the URL. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('cli - the help lists every command; an unknown one exits with 2', async () => {
  const log = silenced('log');
  silenced('error');
  expect([await run(['help'], {}), await run([], {}), await run(['constructor'], {})]).toEqual([0, 0, 2]);
  const commands = ['start', 'demo', 'simulate', 'bench', 'backtest', 'rules', 'device', 'key', 'backup', 'restore'];
  for (const command of [...commands, 'doctor']) {
    expect(log.mock.calls[0]![0]).toMatch(new RegExp(`^  ${command} +\\S`, 'm'));
  }
});

test('cli - the help of a command that takes settings has each with its words of docs/settings.md', async () => {
  const log = silenced('log');
  expect(await run(['start', '--help'], {})).toBe(0);
  const help = written(log);
  const page = readFileSync(new URL('../../../docs/settings.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `(\w+)` \| .*? \| (.*) \|$/gm)];
  expect(rows.length).toBeGreaterThan(70);
  for (const [, setting, description] of rows) {
    const [, words] = new RegExp(`^ +--\\S+\\s+(.+) \\(${setting}\\)$`, 'm').exec(help) ?? [];
    expect(description!.replaceAll('`', '').startsWith(words!), `${setting}: ${words}`).toBe(true);
  }
});

test('bench - where the benchmark is not installed, one sentence says so and the exit code is 2', async () => {
  const error = await bench([], '/nowhere/test/bench/main.ts').catch((thrown: unknown) => operational(thrown));
  expect(error).toMatchObject({ code: 'config', message: expect.stringMatching(/^bench: only a checkout .*[^\n]$/) });
  expect(exitCodeOf(error as Parameters<typeof exitCodeOf>[0])).toBe(2);
});

test('client - sends the key of the flag, or of the environment, and JSON', async () => {
  const seen: unknown[] = [];
  const url = await serve((request, response) => {
    seen.push([request.method, request.url, request.headers.authorization, request.headers['content-type']]);
    response.end('{"a":1}');
  });
  expect(await clientOf({ url }, { LAMPPOST_ADMIN_KEY: KEY }).json('POST', '/x', {})).toEqual({ a: 1 });
  await clientOf({ url, key: 'mine' }, { LAMPPOST_ADMIN_KEY: KEY }).text('GET', '/y');
  expect(seen).toEqual([
    ['POST', '/x', `Bearer ${KEY}`, 'application/json'],
    ['GET', '/y', 'Bearer mine', undefined],
  ]);
});

test('client - throws the reason of a refusal, and names the URL where there is none', async () => {
  const refuse = (body: string) => serve((_, response) => response.writeHead(404).end(body));
  const known = new Client(await refuse('{"detail":"there is no device \\"a\\""}'), KEY);
  await expect(known.text('GET', '/')).rejects.toMatchObject({ code: 'invalid', message: 'there is no device "a"' });
  await expect(new Client(await refuse('<html>'), KEY).text('GET', '/')).rejects.toThrow(/127.* responds 404: <html>/);
  await expect(new Client('nonsense', KEY).text('GET', '/')).rejects.toMatchObject({ code: 'config' });
  const closed = new Client('http://127.0.0.1:1', KEY);
  await expect(closed.text('GET', '/')).rejects.toThrow(
    /no server responds at http:\/\/127\.0\.0\.1:1: .*LAMPPOST_URL/,
  );
});

test('client - yields events, throws an event problem, and reports a stream that ends', async () => {
  const stream = (text: string) => serve((_, response) => response.end(text));
  const read = async (url: string) => {
    const seen: unknown[] = [];
    for await (const one of new Client(url, KEY).events('/', {})) seen.push(one);
    return seen;
  };
  await expect(read(await stream('event: a\ndata: 1\n\n'))).rejects.toMatchObject({ code: 'busy', retryable: true });
  await expect(read(await stream('event: problem\ndata: {"detail":"too long"}\n\n'))).rejects.toThrow('too long');
});

test('client - a missing key and a wrong one are distinguished; a wrong one is named by where it was found', async () => {
  const url = await serve((_, response) => response.writeHead(401).end('{"detail":"unknown key"}'));
  const said = (flags: { key?: string }, environment: NodeJS.ProcessEnv) =>
    clientOf({ url, ...flags }, environment)
      .text('GET', '/')
      .catch((error: Error) => error.message);
  expect(await said({}, {})).toMatch(/needs a key: write --key, set LAMPPOST_KEY, or run lamppost login/);
  expect(await said({ key: 'x' }, {})).toMatch(/does not accept the key of --key: unknown key/);
  expect(await said({}, { LAMPPOST_KEY: 'x' })).toMatch(/the key of LAMPPOST_KEY/);
});

test('login - takes a key with the end of its line, and names where a wrong one was found', async () => {
  const url = await serve(({ headers }, response) => {
    if (headers.authorization === `Bearer ${KEY}`) response.end('{"id":"k1"}');
    else response.writeHead(401).end('{"detail":"unknown key"}');
  });
  const environment = { XDG_CONFIG_HOME: mkdtempSync(join(tmpdir(), 'lamppost-login-')) };
  silenced('log');
  const error = silenced('error');
  expect(await run(['login', '--url', url, '--key', `${KEY}\n`], environment)).toBe(0);
  const file = join(environment.XDG_CONFIG_HOME, 'lamppost/login.json');
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ url, key: KEY });
  expect(await run(['login', '--url', url], { ...environment, LAMPPOST_KEY: 'wrong' })).toBe(1);
  expect(written(error)).toMatch(/does not accept the key of LAMPPOST_KEY: unknown key$/);
  // `off` says that there is no admin key.
  await run(['key', 'list', '--url', url], { LAMPPOST_ADMIN_KEY: 'off' });
  expect(error.mock.lastCall![0]).toMatch(/needs a key: write --key/);
});

test('login - is kept for its owner only, and its key goes to its own server only', async () => {
  const seen: unknown[] = [];
  const url = await serve((request, response) => {
    seen.push(request.headers.authorization);
    response.end('{"id":"k1","name":"Ana"}');
  });
  const home = mkdtempSync(join(tmpdir(), 'lamppost-login-'));
  const environment = { XDG_CONFIG_HOME: home };
  silenced('log');
  const error = silenced('error');
  expect(await run(['login', '--url', url, '--key', KEY], environment)).toBe(0);
  const file = join(home, 'lamppost/login.json');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  await clientOf({}, environment).text('GET', '/');
  await clientOf({ url: url.replace('127.0.0.1', 'localhost') }, environment).text('GET', '/');
  expect(seen).toEqual([`Bearer ${KEY}`, `Bearer ${KEY}`, undefined]);
  // The key of this machine's server stays on it.
  await clientOf({}, { ...environment, LAMPPOST_ADMIN_KEY: 'mine' }).text('GET', '/');
  expect(seen.at(-1)).toBe(`Bearer ${KEY}`);
  await clientOf({ url }, { ...environment, LAMPPOST_ADMIN_KEY: 'mine' }).text('GET', '/');
  expect(seen.at(-1)).toBe('Bearer mine');
  // Where the home is no folder, there is none.
  await clientOf({ url }, { HOME: '/dev/null', LAMPPOST_KEY: 'mine' }).text('GET', '/');
  expect(await run(['key', 'list', '--url', 'http://127.0.0.1:1'], { HOME: '/dev/null' })).toBe(1);
  expect(error.mock.lastCall![0]).toMatch(/no server responds/);
  chmodSync(file, 0o644);
  expect(await run(['key', 'list'], environment)).toBe(2);
  expect(error.mock.calls.join()).toMatch(/others may read the saved login: chmod 600/);
  expect([await run(['logout'], environment), existsSync(file)]).toEqual([0, false]);
});

test.each([
  ['an unknown flag', ['--profil', 'noise'], /^device add: unknown flag "--profil": did you mean "--profile"\?/],
  ['a flag of another length', ['-p', 'noise'], /unknown flag "-p"/],
  ['a flag without its value', ['--profile'], /--profile needs a value/],
  ['a flag in place of a value', ['--profile', '--json'], /--profile needs a value/],
  ['a value of a switch', ['--json=yes'], /--json takes no value; "yes" found/],
  ['one argument too many', ['c'], /"c" is too much/],
])('cli - %s is refused before anything is sent', async (_what, argv, says) => {
  const error = silenced('error');
  expect(await run(['device', 'add', 'b', ...argv], {})).toBe(2);
  expect(error.mock.calls[0]![0]).toMatch(says);
});

test.each([
  [['demo', '--speed', 'abc'], /--speed: "abc" found; write a number/],
  [['demo', '--devices', 'abc'], /--devices: "abc" found; write a whole number/],
  [['demo', '--cluster', '2'], /^demo: --cluster: "2" found; write 1, 3 or 5: an even number survives [^\n]*$/],
  [['demo', '--cluster', '3'], /^demo: --cluster needs nats-server [^\n]*: on Debian apt install nats-server, [^\n]*$/],
  [['devcie', 'list'], /unknown command "devcie": did you mean "device"\?/],
  [['device', 'lsit'], /unknown command "device lsit": did you mean "list"\?/],
  [['ticket', 'list', '--status', 'opne'], /--status: unknown "opne": did you mean "open"\?/],
  [['completion', 'tcsh'], /unknown shell "tcsh"/],
  [['--versoin'], /^unknown flag "--versoin": did you mean "--version"\? \(lamppost --help\)$/],
  [['device', '--halp'], /^unknown flag "--halp": did you mean "--help"\? \(lamppost device --help\)$/],
  [['demo', '--sped', '3'], /^demo: unknown flag "--sped": did you mean "--speed"\?/],
  [['doctor', '--urll', 'http://x'], /^doctor: unknown flag "--urll": did you mean "--url"\?/],
  [['start', '--mqtt-port', '--http-port', '80'], /^start: --mqtt-port needs a value/],
  [['login', '--key', 'a b'], /^--key: this is no key: keys have neither spaces nor letters beyond ASCII$/],
  [['key', 'list', '--key', 'schlüssel'], /^--key: this is no key/],
])('cli - %j is a mistake: one sentence with what is right, exit code 2', async (argv, says) => {
  const error = silenced('error');
  expect(await run(argv, { PATH: '/nowhere' })).toBe(2);
  expect(error.mock.calls[0]![0]).toMatch(says);
});

test('cli - --help and -h of each command show its flags', async () => {
  const log = silenced('log');
  for (const [path, one] of commandsOf(COMMANDS)) {
    if (one.raw) continue;
    for (const help of ['--help', '-h']) expect(await run([...path, help], {}), path.join(' ')).toBe(0);
    for (const flag of Object.keys(one.flags)) expect(log.mock.lastCall![0], path.join(' ')).toContain(`--${flag}`);
  }
  expect(await run(['help', 'device', 'add'], {})).toBe(0);
  expect(log.mock.lastCall![0]).toMatch(/^lamppost device add <id>/);
  expect(await run(['--version'], {})).toBe(0);
  expect(log.mock.lastCall![0]).toMatch(/^lamppost \d+\.\d+\.\d+/);
});

function complete(...words: string[]): string {
  const script = completionOf('bash', COMMANDS, ['HTTP_PORT']);
  const call = `${script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lamppost; echo "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', call, '_', 'lamppost', ...words])
    .toString()
    .trim();
}

test('cli - a setting is a flag by its whole name, by its short one, and with "="; the last one counts', () => {
  const start = COMMANDS.commands.start as Command;
  const settingsOf = (...argv: string[]) => read('start', start, argv).settings;
  expect(settingsOf('--data', 'a', '--http-port=80')).toEqual({ LAMPPOST_DATA: 'a', HTTP_PORT: '80' });
  expect(settingsOf('--lamppost-data', 'b', '--http-port', '80', '--http-port', '81')).toEqual({
    ...{ LAMPPOST_DATA: 'b', HTTP_PORT: '81' },
  });
  expect(settingsOf('--smtp-url=--x')).toEqual({ SMTP_URL: '--x' });
});

test('completion - bash completes commands, those of a noun, and flags after an argument', () => {
  expect(complete('dev')).toBe('device');
  expect(complete('key', 'ro')).toBe('rotate');
  expect(complete('device', 'add', 'bin-1', '--pro')).toBe('--profile');
  expect(complete('start', '--http')).toBe('--http-port');
});

test('completion - bash completes the values of a flag or an argument that has a few, and leaves others to the shell', () => {
  expect(complete('import', 'readings', '--format', '')).toBe('csv lines parquet');
  expect(complete('import', 'readings', '--format', 'p')).toBe('parquet');
  // After the value it is the command's turn again.
  expect(complete('import', 'readings', '--format', 'csv', '--prog')).toBe('--progress');
  expect(complete('import', 'readings', '--device', '')).toBe('');
  expect(complete('completion', 'z')).toBe('zsh');
});

test('completion - bash leaves folders and files to the shell, as values of settings and as arguments', () => {
  for (const words of [
    ['start', '--http-port', ''],
    ['restore', ''],
    ['rules', 'check', ''],
  ])
    expect(complete(...words), words.join(' ')).toBe('');
  expect(complete('restore', '--da')).toBe('--data');
  expect([complete('he'), complete('--v'), complete('help', 'dev')]).toEqual(['help', '--version', 'device']);
});

test.each(SHELLS)('completion - the script of %s has every command', (shell) => {
  const script = completionOf(shell, COMMANDS, []);
  for (const [path] of commandsOf(COMMANDS)) expect(script).toContain(path.join(' '));
});

const HEAD = `
# Commands

\`lamppost <command>\`, or \`npx lamppost\` in a checkout. This page is made of the table in \`cli/commands.ts\`: after a
change, \`npx vitest run --project unit test/unit/cli -u\` writes it anew.

Every command has \`--help\`. Those that talk to a running server find it by \`--url\`, \`LAMPPOST_URL\`, the saved login
(\`lamppost login\`, a file of its owner only below \`XDG_CONFIG_HOME\`) or on this machine, and their key by \`--key\`,
\`LAMPPOST_KEY\`, \`LAMPPOST_ADMIN_KEY\` or the saved login. Data goes to standard output, everything else to standard
error; progress is shown on a terminal, or with \`--progress\`.

| exit code | |
| --- | --- |
| 0 | done; nothing is wrong |
| 1 | refused by the server, or something that was checked is wrong |
| 2 | a mistake on the command line or in the settings: nothing was begun |
| 70 | a fault of Lamppost; the journal recovers at the next start |
| 74 | a damaged file ([damage](damage.md)) |
| 130 | ended by Ctrl-C before it was done |
| 141 | nobody reads the output any more, as after \`head\` |

Completion: \`lamppost completion bash\`, \`zsh\` or \`fish\` prints a script, whose first line says where to put it.
`;

test('cli - docs/commands.md has every command with its flags', async () => {
  await expect(pageOf(COMMANDS, HEAD)).toMatchFileSnapshot('../../../docs/commands.md');
});

const written = (spy: { readonly mock: { readonly calls: readonly (readonly unknown[])[] } }) =>
  spy.mock.calls.flat().join('\n');

test.each([
  [['help', 'devcie'], /unknown command "devcie": did you mean "device"/],
  [['--help', 'device', 'lst'], /unknown command "device lst": did you mean "list"/],
  [['device', 'add', 'bin-1'], /^device add: --profile P, --district D are missing \(lamppost device add --help\)$/],
  [['device', 'add', 'bin-1', '--profile', 'noise'], /^device add: --district D is missing/],
  [['key', 'add', 'crew'], /^key add: --role R is missing/],
  [['user', 'add', 'mei@city.example'], /^user add: --name N, --role R\[@D\] are missing/],
  [['rules', 'suggest', '--metric', 'pm25'], /^rules suggest: --profile P is missing/],
  [['restore', '/nowhere'], /^restore: --data DIR is missing/],
  [
    ['device', 'recompute', 'd', '--metric', 'm', '--from', 'yesterday'],
    /^--from: "yesterday" is not a time; write 2026/,
  ],
  [['quarantine', 'list', '--from', 'yesterday'], /^--from: "yesterday" is not a time/],
  [['device', 'update', 'bin-1'], /^device update: write what to change/],
  [['user', 'change', 'mei@city.example'], /^user change: write what to change/],
  [['device', 'import', '/nowhere.csv'], /^\/nowhere\.csv: there is no such file$/],
  [['import', 'readings', '/nowhere.csv'], /^\/nowhere\.csv: there is no such file$/],
  [['import', 'readings', '/nowhere.parquet'], /^\/nowhere\.parquet: there is no such file$/],
  [['format', 'try', '/', '--format', 'tasmota'], /^\/: it is a folder$/],
  [['backtest', '/nowhere.yaml'], /^\/nowhere\.yaml: there is no such file$/],
  [['device', 'list', '--url', 'nonsense'], /"nonsense" is no URL; write http:\/\/host:8080/],
  [['device', 'list', '--url', 'ftp://city.example'], /is no URL/],
  [['device', 'list', '--url', 'http://city.example/api/v1'], /has a path; write http:\/\/city\.example$/],
  [['start', '--http-port'], /^start: --http-port needs a value: --http-port VALUE \(/],
])('cli - lamppost %j is one line on what would be right, and exits with 2', async (argv, says) => {
  silenced('log');
  const error = silenced('error');
  expect(await run(argv, {}), written(error)).toBe(2);
  expect(error).toHaveBeenCalledTimes(1);
  expect(written(error)).toMatch(says);
});

test.each([[['--version']], [['-v']], [['-V']], [['version']]])('cli - %j prints the version', async (argv) => {
  const log = silenced('log');
  expect(await run(argv, {})).toBe(0);
  expect(written(log)).toMatch(/^lamppost \d+\.\d+\.\d+.*, Node 24/);
});

test.each([
  [['--help', 'device', 'add'], /^lamppost device add <id> \[flags\]/],
  [['help', 'start'], /^lamppost start \[flags\]/],
  [['bench', '--help'], /^lamppost bench/],
])('cli - %j prints the help of that command', async (argv, says) => {
  const log = silenced('log');
  expect(await run(argv, {})).toBe(0);
  expect(written(log)).toMatch(says);
});

test('cli - an empty list is said beside the output; --json prints JSON of an empty response, too', async () => {
  const [log, error] = [silenced('log'), silenced('error')];
  const url = await serve((request, response) => {
    if (request.method === 'DELETE') response.writeHead(204).end();
    else response.end('{"items": [], "next": null}');
  });
  expect(await run(['ticket', 'list', '--department', 'nope', '--url', url], {})).toBe(0);
  expect(written(error)).toBe('there is nothing to show');
  for (const flags of [[], ['--json']]) await run(['key', 'revoke', 'k', '--url', url, ...flags], {});
  expect(log.mock.calls.slice(-2)).toEqual([['done'], ['{}']]);
});

test('cli - user add and link print their link as JSON with --json', async () => {
  const log = silenced('log');
  const bodies: Record<string, unknown> = {
    'POST /api/v1/users': { id: 'p-1', email: 'mei@city.example' },
    'GET /api/v1/users': { items: [{ id: 'p-1', email: 'mei@city.example' }], next: null },
    'POST /api/v1/users/p-1/link': { path: '/auth/link#abc', until: '2026-12-01T00:00:00.000Z' },
  };
  const url = await serve(({ method, url: path = '' }, response) =>
    response.end(JSON.stringify(bodies[`${method} ${path.split('?')[0]}`])),
  );
  const link = { url: `${url}/auth/link#abc`, until: '2026-12-01T00:00:00.000Z' };
  const mei = ['mei@city.example', '--url', url];
  const json = async (argv: readonly string[]) => {
    expect(await run(['user', ...argv, '--json'], {})).toBe(0);
    return JSON.parse(log.mock.lastCall![0] as string);
  };
  expect(await json(['add', ...mei, '--name', 'Mei', '--role', 'admin'])).toEqual({
    ...{ id: 'p-1', email: 'mei@city.example', link },
  });
  expect(await json(['link', ...mei])).toEqual(link);
  expect(await run(['user', 'link', ...mei], {})).toBe(0);
  expect(log.mock.lastCall![0]).toMatch(/^This link signs in, once, .*\nhttp:\S+#abc$/);
});

test('cli - an id that is not in the quarantine is said, and exits with 1', async () => {
  const [log, error] = [silenced('log'), silenced('error')];
  const url = await serve((_, response) =>
    response.end('{"state": "done", "entries": 1, "settled": 1, "refusedAgain": 0}'),
  );
  expect(await run(['quarantine', 'replay', '1-0', '--url', url], {})).toBe(0);
  expect(await run(['quarantine', 'replay', '1-0', '2-0', '--url', url], {})).toBe(1);
  expect(log).toHaveBeenCalledTimes(2);
  expect(written(error)).toBe('1 of these ids is not in the quarantine');
});

test('client - a key that was copied with the end of its line is right; https to a server without TLS is said', async () => {
  const keys: unknown[] = [];
  const url = await serve((request, response) => {
    keys.push(request.headers.authorization);
    response.end('{}');
  });
  await clientOf({ url, key: `${KEY}\n` }, {}).text('GET', '/');
  await clientOf({ url }, { LAMPPOST_KEY: ` ${KEY}\n` }).text('GET', '/');
  await clientOf({ url }, { LAMPPOST_KEY: '', LAMPPOST_URL: '', LAMPPOST_ADMIN_KEY: KEY }).text('GET', '/');
  expect(keys).toEqual(Array(3).fill(`Bearer ${KEY}`));
  const secure = clientOf({ url: url.replace('http:', 'https:') }, {});
  await expect(secure.text('GET', '/')).rejects.toThrow('it does not speak TLS; write http://');
});

test('doctor - another program at the address is said, without a stack trace', async () => {
  const log = silenced('log');
  for (const body of ['{"detail": "no"}', '<html>', 'null']) {
    const url = await serve((_, response) => response.end(body));
    expect(await run(['doctor', '--url', url], {})).toBe(1);
    expect(written(log)).toContain(`${url}/ready does not respond as Lamppost does`);
  }
});

test('doctor - a wrong key is wrong and named by where it was found; without one, it says what to set', async () => {
  const log = silenced('log');
  const url = await serve((request, response) => {
    if (request.url === '/ready') response.end('{"ready": true, "reasons": [], "notes": []}');
    else if (request.url === '/health') response.end('{}');
    else response.writeHead(401).end('{"detail": "unknown key"}');
  });
  expect(await run(['doctor', '--url', url, '--json'], { LAMPPOST_KEY: 'wrong' })).toBe(1);
  const { checks } = JSON.parse(log.mock.lastCall![0] as string) as { checks: { what: string; said: string }[] };
  expect(checks.at(-1)!.said).toMatch(/^keys: not looked at; set LAMPPOST_KEY .* not accept the key of LAMPPOST_KEY/);
  expect(await run(['doctor', '--url', url], {})).toBe(0);
  expect(log.mock.lastCall![0]).toMatch(/^keys: not looked at; set LAMPPOST_KEY .* needs a key/m);
});

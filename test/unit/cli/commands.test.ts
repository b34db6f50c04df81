import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { exitCodeOf, operational } from '../../../cli/boot.ts';
import { Client, clientOf } from '../../../cli/client.ts';
import { bench, run } from '../../../cli/index.ts';

const KEY = 'k'.repeat(32);

/** Serves requests on a free port until the end of the test; returns the URL. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('cli - the help lists every command; an unknown one exits with 2', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  onTestFinished(() => log.mockRestore());
  expect([await run(['help'], {}), await run([], {}), await run(['constructor'], {})]).toEqual([0, 0, 2]);
  const commands = ['start', 'demo', 'simulate', 'bench', 'backtest', 'rules', 'device', 'key', 'backup', 'restore'];
  for (const command of [...commands, 'doctor']) {
    expect(log.mock.calls[0]![0]).toMatch(new RegExp(`^  ${command} +\\S`, 'm'));
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
  await expect(closed.text('GET', '/')).rejects.toThrow(/no server responds at http:\/\/127\.0\.0\.1:1/);
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

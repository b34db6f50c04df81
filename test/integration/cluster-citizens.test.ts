import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterEach, expect, test } from 'vitest';
import { CITIZENS_FILE, MEDIA_FOLDER } from '../../citizens/index.ts';
import { connectTo } from '../../cluster/index.ts';
import { createSealer } from '../../notify/index.ts';
import { Cluster, SECRETS } from '../kit/cluster.ts';
import { Mailbox } from '../kit/mailbox.ts';
import { nodeOf } from '../kit/nats.ts';
import { ADMIN_KEY, type ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const PHOTO = new Uint8Array(readFileSync(new URL('../fixtures/photos/baseline.jpg', import.meta.url)));
/** Is in everything that a citizen writes. */
const WORD = 'zephyrquill';
const WROTE = {
  ...{ service_code: 'waste', lat: '32.015', long: '118.76', description: `the bin at ${WORD} corner` },
  ...{ email: `${WORD}@example.org`, first_name: WORD, phone: `+86 ${WORD}` },
};

let cluster = new Cluster();
let mailbox: Mailbox | null = null;
afterEach(async () => {
  await cluster.end();
  await mailbox?.stop();
  mailbox = null;
});

interface Posted {
  readonly service_request_id: string;
  readonly reporter_token: string;
}

const at = (node: ServerProcess, path: string) => `http://127.0.0.1:${node.httpPort}${path}`;

async function keyOfApp(): Promise<string> {
  const { secret } = await cluster.nodes[0]!.post<{ secret: string }>('/api/v1/keys', {
    ...{ name: 'app', role: 'citizen-app' },
  });
  return secret;
}

/** Sends a request at a node; a key that the node does not know yet is tried again. */
async function send(node: ServerProcess, api_key: string, name: string | null, photo = false): Promise<Response> {
  const attempt = () => {
    const form = new FormData();
    for (const [field, value] of Object.entries({ api_key, ...WROTE })) form.append(field, value);
    if (photo) form.append('media', new Blob([PHOTO]), 'bin.jpg');
    const headers: Record<string, string> = name === null ? {} : { 'idempotency-key': name };
    return fetch(at(node, '/open311/v2/requests.json'), { method: 'POST', body: form, headers });
  };
  return until(async () => {
    const response = await attempt();
    return response.status !== 403 && response.status !== 401 && response;
  }, 'a key on each node');
}

async function report(...args: Parameters<typeof send>): Promise<Posted> {
  const response = await send(...args);
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return (JSON.parse(text) as Posted[])[0]!;
}

/** Resolves once a node shows a request with words, reporter and photo; to the bytes of the photo. */
async function shown(node: ServerProcess, id: string): Promise<Buffer> {
  const ticket = () => node.get<{ description: string | null }>(`/api/v1/tickets/${id}`).catch(() => null);
  await until(async () => (await ticket())?.description?.includes(WORD), `the words on ${node.settings.LAMPPOST_NODE}`);
  expect(await node.get(`/api/v1/tickets/${id}/reporter`)).toMatchObject({ email: WROTE.email });
  const response = await fetch(at(node, `/open311/v2/requests/${id}.json`));
  const [{ media_url }] = (await response.json()) as [{ media_url: string }];
  const photo = await fetch(at(node, new URL(media_url).pathname));
  expect(photo.status).toBe(200);
  return Buffer.from(await photo.arrayBuffer());
}

/** Names of the files of a node that have what a citizen wrote. */
const filesWith = ({ data }: ServerProcess) =>
  readdirSync(data, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile() && readFileSync(join(one.parentPath, one.name)).includes(WORD))
    .map(({ name }) => name);
const photosOf = ({ data }: ServerProcess) => readdirSync(join(data, MEDIA_FOLDER)).length;

/** What the values of the bucket say, and how many bytes the object store has. */
async function inNats(): Promise<{ values: string[]; photoBytes: number }> {
  const connection = await connectTo(nodeOf(cluster.servers, 'x'), 'test');
  const { streams } = await jetstreamManager(connection);
  const sealer = createSealer(SECRETS.LAMPPOST_SECRETS_KEY, 'lamppost citizens');
  const { state } = await streams.info('KV_lamppost-citizens');
  const values: string[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const found = await streams.getMessage('KV_lamppost-citizens', { seq });
    if (found === null) continue;
    expect(found.string()).not.toContain(WORD);
    values.push(found.data.length === 0 ? '' : sealer.open(found.string()));
  }
  const photos = await streams.info('OBJ_lamppost-photos');
  await connection.close();
  return { values, photoBytes: photos.state.messages };
}

test('citizens of a cluster - every node shows what they wrote; a lost disk has it again; what is removed is nowhere', async () => {
  cluster = await new Cluster().start(2, { LAMPPOST_LOG_REPLICAS: '1' });
  const [a, b] = cluster.nodes as [ServerProcess, ServerProcess];
  const key = await keyOfApp();
  const { service_request_id: id, reporter_token } = await report(a, key, 'the-name', true);
  const photo = await shown(a, id);
  expect((await shown(b, id)).equals(photo)).toBe(true);
  expect(await report(b, key, 'the-name', true)).toMatchObject({ service_request_id: id, reporter_token });

  await a.kill();
  for (const name of readdirSync(a.data)) rmSync(join(a.data, name), { recursive: true });
  await a.start();
  expect((await shown(a, id)).equals(photo)).toBe(true);
  expect(new Set(filesWith(a).map((name) => name.replace(/-wal$/, '')))).toEqual(new Set([CITIZENS_FILE]));
  expect((await inNats()).values.join()).toContain(WORD);

  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  const removed = await fetch(at(b, `/api/v1/tickets/${id}/reporter`), { method: 'DELETE', headers });
  expect(removed.status).toBe(204);
  expect([filesWith(b), photosOf(b)]).toEqual([[], 0]);
  await until(
    () => filesWith(a).length === 0 && photosOf(a) === 0,
    () => `nothing at the other node: ${filesWith(a)}`,
  );
  const { values, photoBytes } = await inNats();
  expect(values.join()).not.toContain(WORD);
  expect(photoBytes).toBe(0);
  for (const node of [a, b])
    expect(await node.get(`/api/v1/tickets/${id}`)).toMatchObject({ description: expect.stringContaining('Removed') });
});

test('citizens of a cluster - where NATS is away a request is refused, and nothing of it is left', async () => {
  cluster = await new Cluster().start(1);
  const [a] = cluster.nodes as [ServerProcess];
  const key = await keyOfApp();
  cluster.servers[0]!.signal('SIGSTOP');
  const refused = await send(a, key, 'the-name', true);
  expect([refused.status, await refused.text()]).toEqual([503, expect.stringContaining('NATS does not respond')]);
  expect(filesWith(a)).toEqual([]);
  expect(readdirSync(a.data)).not.toContain(MEDIA_FOLDER);
  cluster.servers[0]!.signal('SIGCONT');
  const { service_request_id: id } = await report(a, key, 'the-name', true);
  await shown(a, id);
  const { items } = await a.get<{ items: object[] }>('/api/v1/tickets?service=waste');
  expect(items).toHaveLength(1);
});

test('citizens of a cluster - any node confirms and ends; one node sends, and another one goes on', async () => {
  mailbox = new Mailbox();
  const mail = { SMTP_URL: await mailbox.start(), SMTP_FROM: 'lamppost@city.example' };
  cluster = await new Cluster().start(2, { LAMPPOST_LOG_REPLICAS: '1', ...mail });
  const [a, b] = cluster.nodes as [ServerProcess, ServerProcess];
  const { service_request_id: id, reporter_token: token } = await report(a, await keyOfApp(), null);
  const ask = (node: ServerProcess, path: string, body = {}) =>
    fetch(at(node, path), {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
    });
  const mailsTo = (text: string) =>
    mailbox!.mails.filter(({ to, raw }) => to.includes(WROTE.email) && raw.includes(text));
  const asked = await until(
    async () => {
      const response = await ask(b, `/public/requests/${token}/follow`, { channel: 'email', to: WROTE.email });
      return response.status === 202 && response;
    },
    'the request at the other node',
    50,
  );
  expect(await asked.json()).toEqual({ channel: 'email', confirmed: false });
  await until(() => mailsTo('/public/follow/').length > 0, 'the mail that asks', 50);
  const secret = /\/public\/follow\/([\w-]+)/.exec(mailsTo('/public/follow/')[0]!.raw.replaceAll('=\r\n', ''))![1]!;
  await until(async () => (await ask(a, `/public/follow/${secret}/confirm`)).status === 200, 'the follower', 50);

  await a.post(`/api/v1/tickets/${id}/acknowledge`, {});
  const messages = () => new Set(mailbox!.mails.map(({ headers }) => headers['message-id']));
  await until(() => messages().size === 2, 'the mail of the first event', 50);
  const holder = await until(
    async () => {
      const { nodes } = await a.get<{ nodes: { node: string; holds: string[] }[] }>('/api/v1/cluster');
      return nodes.find(({ holds }) => holds.includes('notify'))?.node;
    },
    'a node that sends',
    50,
  );
  const [gone, other] = holder === 'node-0' ? [a, b] : [b, a];
  await gone.kill();
  await until(async () => (await ask(other, `/api/v1/tickets/${id}/start`)).status !== 503, 'the log', 50);
  const headers = { authorization: `Bearer ${ADMIN_KEY}` };
  const resolved = await fetch(at(other, `/api/v1/tickets/${id}/resolve`), { method: 'POST', headers });
  expect(resolved.ok, await resolved.text()).toBe(true);
  await until(() => messages().size === 3, 'the mail of the second event by the other node', 50);
  expect((await ask(other, `/public/follow/${secret}/end`)).status).toBe(200);
  expect((await inNats()).values.some((value) => value.includes(secret))).toBe(false);
});

import { totpCode } from '../../registry/totp.ts';
import type { Mailbox } from '../kit/mailbox.ts';
import type { WebhookReceiver } from '../kit/receiver.ts';
import type { ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';
import type { Recorder } from './recorder.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const PLACE = { lat: '32.0151', long: '118.7602' };
const BROKEN = { service_code: 'waste', 'attribute[kind]': 'broken', lat: '32.0192', long: '118.7602' };
const OPENED = 'city.lamppost.ticket.opened';
const LIST = { format: 'json' };

interface Named {
  readonly id: string;
}
interface Secret extends Named {
  readonly secret: string;
}
interface List<T> {
  readonly items: readonly T[];
}
interface Sent extends Named {
  readonly events: readonly { readonly type: string }[];
}
/** What of the world around it the server of a scene needs. */
export interface Around {
  readonly server: ServerProcess;
  readonly recorder: Recorder;
  readonly mailbox: Mailbox;
  readonly receiver: WebhookReceiver;
  readonly hook: string;
  /** The folder of a new backup. */
  readonly backup: string;
}

const ago = (ms: number) => new Date(Date.now() - ms).toISOString();
const basic = (user: string, secret: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`,
});
const form = (fields: Readonly<Record<string, string>>) => ({ body: new URLSearchParams(fields) });
/** The text of a mail, without soft line ends. */
const textOf = (raw: string) => raw.replaceAll('=\r\n', '').replaceAll('=3D', '=');

/** Does with each operation of a server with the sample city what its people would, in an order that makes sense. */
export class Scene {
  readonly #around: Around;
  /** Secrets of devices. */
  readonly #secrets = new Map<string, string>();

  constructor(around: Around) {
    this.#around = around;
  }

  async play(): Promise<void> {
    await this.#system();
    await this.#devices();
    await this.#commands();
    await this.#readings();
    await this.#rules();
    const [webhook, subscription] = await this.#receivers();
    await this.#keys();
    await this.#tickets();
    await this.#citizens();
    await this.#sent('webhooks', webhook);
    await this.#sent('subscriptions', subscription);
    await this.#call('post /api/v1/webhooks/{id}/redeliver', { id: webhook }, { body: { from: ago(DAY), to: ago(0) } });
    await this.#openData();
    await this.#people();
    await this.#trails();
  }

  #call<T = Named>(...args: Parameters<Recorder['call']>): Promise<T> {
    return this.#around.recorder.call<T>(...args);
  }

  /** Resolves to a response whose secret no example has. */
  async #secret(shown: string, made: Promise<Secret>): Promise<Secret> {
    const found = await made;
    this.#around.recorder.hide(found.secret, shown);
    return found;
  }

  /** Resolves to the first item of a list, once there is one. */
  #first<T extends Named>(path: string, fits: (one: T) => boolean = () => true): Promise<Named> {
    return until(async () => (await this.#around.server.get<List<T>>(path)).items.find(fits), path, 50);
  }

  async #register(device: Named & { readonly profile: string; readonly district: string; readonly name: string }) {
    const made = this.#call<Secret>('post /api/v1/devices', {}, { body: device });
    this.#secrets.set(device.id, (await this.#secret(`the-secret-of-${device.id}`, made)).secret);
  }

  async #send(device: string, metrics: object, ts = Date.now()): Promise<void> {
    const headers = { ...basic(device, this.#secrets.get(device)!), 'content-type': 'application/json' };
    await this.#call('post /ingest/{device}', { device }, { body: JSON.stringify({ ts, metrics }), headers });
  }

  async #system(): Promise<void> {
    for (const path of ['/health', '/ready', '/api/v1/city', '/auth/methods']) await this.#call(`get ${path}`);
    await this.#call('get /schemas/{name}.json', { name: 'city.lamppost.clock.stepped' });
    await this.#call('post /api/v1/city/reload');
    await this.#call('get /api/v1/assets', { kind: 'pole' });
    await this.#call('get /api/v1/assets/{id}', { id: 'LJ-0121' });
  }

  async #devices(): Promise<void> {
    const made = this.#call<Secret>('post /api/v1/devices');
    this.#secrets.set('bin-1', (await this.#secret('the-secret-of-bin-1', made)).secret);
    await this.#register({ id: 'lamp-1', profile: 'streetlight', district: 'harbour', name: 'Lamp at the pier' });
    await this.#register({ id: 'air-1', profile: 'air-quality', district: 'old-town', name: 'Station at the school' });
    await this.#register({ id: 'esp8266-7', profile: 'sensor-community', district: 'hillside', name: 'Balcony' });
    for (let i = 6; i > 0; i--) {
      await this.#send('bin-1', { fill: 48 - i, battery: 80 }, Date.now() - i * 15 * MINUTE);
      await this.#send('air-1', { pm25: 12 + i, temperature: 21.5 }, Date.now() - i * 15 * MINUTE);
      await this.#send('lamp-1', { power: 60, voltage: 231 }, Date.now() - i * 15 * MINUTE);
    }
    const pushed = { esp8266id: '7', sensordatavalues: [{ value_type: 'SDS_P1', value: '12.30' }] };
    const station = basic('esp8266-7', this.#secrets.get('esp8266-7')!);
    await this.#call(
      'post /ingest/sensor-community',
      {},
      { body: pushed, headers: { 'x-sensor': 'esp8266-7', ...station } },
    );
    await this.#call('post /ingest/http/{format}', { format: 'airrohr' }, { body: pushed, headers: station });
    await this.#around.server.settledLedger();
    const bin = { id: 'bin-1' };
    await this.#call('patch /api/v1/devices/{id}', bin);
    await this.#call('get /api/v1/devices');
    await this.#call('get /api/v1/devices/{id}', bin);
    for (const what of ['suspend', 'resume']) await this.#call(`post /api/v1/devices/{id}/${what}`, bin);
    const { calibrations } = await this.#call<{ calibrations: Named[] }>('post /api/v1/devices/{id}/calibrations', bin);
    const span = { metric: 'fill', from: ago(DAY), to: ago(0) };
    await this.#call('post /api/v1/devices/{id}/recompute', bin, { body: span });
    const calibration = String(calibrations[0]!.id);
    await this.#call('delete /api/v1/devices/{id}/calibrations/{calibration}', { ...bin, calibration });
    const rotated = this.#call<Secret>('post /api/v1/devices/{id}/rotate', bin);
    this.#secrets.set('bin-1', (await this.#secret('the-new-secret-of-bin-1', rotated)).secret);
    await this.#call('post /api/v1/devices/{id}/confirm', bin);
    await this.#hardware({ id: 'air-1' });
    const rows = [2, 3].map((days) => `${ago(days * DAY)},bin-1,fill,${20 + days}\n`);
    const body = `ts,device,metric,value\n${rows.join('')}`;
    await this.#call('post /api/v1/import', { file: 'bins.csv' }, { body, headers: { 'content-type': 'text/csv' } });
  }

  /** Another device takes the place of one, and who installs it gets its secret. */
  async #hardware(device: Named): Promise<void> {
    const { id } = device;
    await this.#secret(`the-first-secret-of-${id}`, this.#call<Secret>('post /api/v1/devices/{id}/replace', { id }));
    const { code } = await this.#call<{ code: string }>('post /api/v1/devices/{id}/claim-code', { id });
    this.#around.recorder.hide(code, 'the-code-of-the-label');
    await this.#secret(`the-secret-of-${id}`, this.#call<Secret>('post /claim', {}, { body: { device: id, code } }));
  }

  async #commands(): Promise<void> {
    const lamp = { id: 'lamp-1' };
    const { id } = await this.#call('post /api/v1/devices/{id}/commands', lamp);
    await this.#call('get /api/v1/devices/{id}/commands', lamp);
    for (const method of ['get', 'delete'])
      await this.#call(`${method} /api/v1/devices/{id}/commands/{command}`, { ...lamp, command: id });
    for (const method of ['put', 'patch', 'get']) await this.#call(`${method} /api/v1/devices/{id}/desired`, lamp);
  }

  async #readings(): Promise<void> {
    await this.#send('bin-1', { fill: 'full' });
    await this.#around.server.settledLedger();
    await this.#call('get /api/v1/readings', { device: 'bin-1', metric: 'fill', from: ago(DAY), every: '15m' });
    await this.#call('get /api/v1/readings/latest', { device: 'bin-1' });
    await this.#call('get /api/v1/readings/seen', { device: 'bin-1' });
    for (const path of ['ledger', 'quarantine', 'quarantine/groups', 'quarantine/usage'])
      await this.#call(`get /api/v1/${path}`);
    const { id } = await this.#first('/api/v1/quarantine');
    await this.#call('get /api/v1/quarantine/{id}', { id });
    const replay = await this.#call('post /api/v1/quarantine/replay', {}, { body: { ids: [id] } });
    const state = async () =>
      (await this.#around.server.get<{ state: string }>(`/api/v1/quarantine/replays/${replay.id}`)).state === 'done';
    await until(state, 'the replay', 50);
    for (const method of ['get', 'delete'])
      await this.#call(`${method} /api/v1/quarantine/replays/{id}`, { id: replay.id });
    const refused = await this.#first('/api/v1/quarantine');
    await this.#call('post /api/v1/quarantine/discard', {}, { body: { ids: [refused.id], note: 'a test' } });
    await this.#call('post /api/v1/formats/try');
  }

  async #rules(): Promise<void> {
    await this.#call('post /api/v1/rules/check');
    const { id } = await this.#call('post /api/v1/rules');
    await this.#call('get /api/v1/rules');
    for (const path of ['{id}', '{id}/history']) await this.#call(`get /api/v1/rules/${path}`, { id });
    await this.#call('put /api/v1/rules/{id}', { id });
    await this.#call('delete /api/v1/rules/{id}', { id });
    await this.#call('post /api/v1/rules/try');
    const asked = { metric: 'fill', profile: 'waste-bin', from: ago(7 * DAY) };
    await this.#call('post /api/v1/rules/suggest', {}, { body: asked });
    const past = { rule: 'bin-full', from: ago(7 * DAY), to: ago(0) };
    await this.#call('post /api/v1/rules/backtest', {}, { body: past });
  }

  async #receivers() {
    const { recorder, receiver, hook } = this.#around;
    recorder.hide(hook, 'https://hooks.city.example/lamppost');
    const webhook = await this.#secret(
      'whsec_the-secret-of-the-webhook',
      this.#call<Secret>('post /api/v1/webhooks', {}, { body: { url: hook } }),
    );
    const rotated = await this.#secret(
      'whsec_the-new-secret-of-the-webhook',
      this.#call<Secret>('post /api/v1/webhooks/{id}/rotate', { id: webhook.id }),
    );
    receiver.secrets = [webhook.secret, rotated.secret];
    await this.#call('post /api/v1/webhooks/{id}/ping', { id: webhook.id });
    const subscription = await this.#call('post /api/v1/subscriptions');
    await this.#call('post /api/v1/subscriptions/{id}/test', { id: subscription.id });
    return [webhook.id, subscription.id] as const;
  }

  /** What was sent to a receiver, once it has got an event. */
  async #sent(kind: string, id: string): Promise<void> {
    const path = `/api/v1/${kind}/{id}`;
    const sent = (one: Sent) => one.events.some(({ type }) => type === OPENED);
    const { id: delivery } = await this.#first(`/api/v1/${kind}/${id}/deliveries?state=delivered`, sent);
    await this.#call(`get /api/v1/${kind}`);
    await this.#call(`get ${path}`, { id });
    await this.#call(`get ${path}/deliveries`, { id });
    await this.#call(`get ${path}/deliveries/{delivery}`, { id, delivery });
    await this.#call(`post ${path}/deliveries/{delivery}/redeliver`, { id, delivery });
    for (const what of ['disable', 'enable']) await this.#call(`post ${path}/${what}`, { id });
    await this.#call(`patch ${path}`, { id });
  }

  async #tickets(): Promise<void> {
    await this.#send('bin-1', { fill: 95, battery: 79 });
    await this.#send('lamp-1', { power: 0, voltage: 231 });
    const { id } = await this.#first('/api/v1/tickets?service=waste');
    await this.#call('get /api/v1/alerts', { rule: 'bin-full' });
    await this.#call('get /api/v1/alerts/fired');
    await this.#call('get /api/v1/alerts/{rule}/{group}', { rule: 'bin-full', group: 'bin-1' });
    await this.#call('get /api/v1/devices/{id}/explain', { id: 'bin-1' });
    await this.#call('get /api/v1/tickets/waiting');
    await this.#call('post /api/v1/tickets/{id}/{action}', { id, action: 'acknowledge' });
    await this.#call('post /api/v1/tickets/{id}/parts', { id });
    await this.#call('post /api/v1/tickets');
    for (const path of ['tickets', 'tickets/counts']) await this.#call(`get /api/v1/${path}`);
    for (const path of ['{id}', '{id}/alerts', '{id}/history']) await this.#call(`get /api/v1/tickets/${path}`, { id });
    const lamp = await this.#first('/api/v1/tickets?service=street-light');
    await this.#call('post /api/v1/tickets/{id}/run-command', { id: lamp.id }, { body: { command: 'restart' } });
    const silence = { matchers: { device: ['bin-1'] }, endsAt: ago(-DAY), comment: 'works in the street' };
    const made = await this.#call('post /api/v1/silences', {}, { body: silence });
    await this.#call('get /api/v1/silences');
    await this.#call('get /api/v1/silences/{id}', { id: made.id });
    await this.#call('get /api/v1/silences/calendar', { from: ago(0), to: ago(-7 * DAY) });
  }

  async #citizens(): Promise<void> {
    const app = this.#call<Secret>(
      'post /api/v1/keys',
      {},
      { body: { name: 'The app of the city', role: 'citizen-app' } },
    );
    const api_key = (await this.#secret('the-secret-of-the-app', app)).secret;
    const who = { first_name: 'Wei', email: 'wei@mail.example' };
    const lid = { api_key, ...BROKEN, ...who, description: 'The lid does not close any more' };
    const [id, token] = await this.#report(lid, 'the-token-of-the-request');
    const update = { api_key, service_request_id: id, update_id: 'u-1', description: 'There are wasps now' };
    await this.#call('post /open311/v2/servicerequestupdates.{format}', LIST, form(update));
    for (const what of ['acknowledge', 'start'])
      await this.#call('post /api/v1/tickets/{id}/{action}', { id, action: what }, { body: {} });
    await this.#call('get /public/requests/{token}', { token });
    await this.#call('post /public/requests/{token}/comment', { token });
    await this.#follow(token);
    const done = { note: 'A new lid is on', public: true };
    await this.#call('post /api/v1/tickets/{id}/{action}', { id, action: 'resolve' }, { body: done });
    await this.#call('post /public/requests/{token}/not-fixed', { token });
    await this.#call('post /api/v1/tickets/{id}/{action}', { id, action: 'resolve' }, { body: done });
    await this.#call('post /api/v1/tickets/{id}/{action}', { id, action: 'close' }, { body: {} });
    await this.#call('post /public/requests/{token}/rate', { token });
    const pump = { api_key, service_code: 'noise', description: 'A pump runs all night', ...PLACE };
    const [noise, other] = await this.#report(pump, 'the-token-of-another-request');
    for (const what of ['resolve', 'close'])
      await this.#call('post /api/v1/tickets/{id}/{action}', { id: noise, action: what }, { body: {} });
    const stars = { token: other, stars: 5, comment: 'fast' };
    await this.#call('post /api/v1/tickets/{id}/rate', { id: noise }, { body: stars });
    for (const what of ['request', 'reporter']) await this.#call(`get /api/v1/tickets/{id}/${what}`, { id });
    for (const path of ['discovery', 'v2/discovery', 'v2/services', 'v2/requests', 'v2/servicerequestupdates'])
      await this.#call(`get /open311/${path}.{format}`, LIST);
    await this.#call('get /open311/v2/services/{code}.{format}', { ...LIST, code: 'street-light' });
    await this.#call('get /open311/v2/requests/{id}.{format}', { ...LIST, id });
    await this.#call('get /open311/v2/tokens/{token}.{format}', { ...LIST, token });
  }

  /** Reports a problem, and resolves to the id and the token of the request. */
  async #report(fields: Readonly<Record<string, string>>, shown: string): Promise<readonly [string, string]> {
    const route = 'post /open311/v2/requests.{format}';
    const [posted] = await this.#call<{ service_request_id: string; reporter_token: string }[]>(
      route,
      LIST,
      form(fields),
    );
    this.#around.recorder.hide(posted!.reporter_token, shown);
    return [posted!.service_request_id, posted!.reporter_token];
  }

  async #follow(token: string): Promise<void> {
    await this.#call('post /public/requests/{token}/follow', { token });
    const link = /\/public\/follow\/([\w-]+)/;
    const find = () => this.#around.mailbox.mails.find(({ raw }) => link.test(textOf(raw))) ?? false;
    const [, secret] = link.exec(textOf((await until(async () => find(), 'the mail that asks', 50)).raw))!;
    for (const route of ['post /public/follow/{secret}/confirm', 'get /public/follow/{secret}'])
      await this.#call(route, { secret: secret! });
    await this.#call('post /public/follow/{secret}/end', { secret: secret! });
  }

  async #openData(): Promise<void> {
    const { server } = this.#around;
    await server.settledLedger();
    for (const path of ['oversight.json', 'tickets.geojson', 'city.json', 'readings.geojson'])
      await this.#call(`get /public/${path}`);
    await this.#call('get /public/history', { device: 'air-1', metric: 'pm25' });
    await this.#call('get /api/v1/oversight');
  }

  async #keys(): Promise<void> {
    const { id } = await this.#secret('the-secret-of-the-key', this.#call<Secret>('post /api/v1/keys'));
    await this.#call('get /api/v1/keys');
    await this.#call('get /api/v1/keys/{id}', { id });
    await this.#call('patch /api/v1/keys/{id}', { id }, { body: { note: 'renewed', expiresAt: ago(-300 * DAY) } });
    await this.#secret('the-new-secret-of-the-key', this.#call<Secret>('post /api/v1/keys/{id}/rotate', { id }));
    await this.#call('post /api/v1/keys/{id}/confirm', { id });
  }

  async #people(): Promise<void> {
    const { recorder } = this.#around;
    const { id } = await this.#call('post /api/v1/users');
    const { path } = await this.#call<{ path: string }>('post /api/v1/users/{id}/link', { id });
    const token = path.split('#')[1]!;
    recorder.hide(token, 'the-token-of-the-link');
    await recorder.signedIn(async () => {
      await this.#call('post /auth/link', {}, { body: { token } });
      const password = 'a lantern in the harbour';
      await this.#call('post /auth/password', {}, { body: { password } });
      await this.#call('post /auth/login', {}, { body: { email: 'mei@city.example', password } });
      await this.#call('get /auth/me');
      await this.#call('get /auth/sessions');
      const { secret } = await this.#call<Secret>('post /auth/totp');
      recorder.hide(secret, 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ');
      const code = totpCode(secret, Math.floor(Date.now() / 30_000));
      await this.#call('put /auth/totp', {}, { body: { secret, code } });
      await this.#call('delete /auth/totp');
      await this.#call('post /auth/login', {}, { body: { email: 'mei@city.example', password } });
    });
    await this.#call('get /api/v1/users');
    await this.#call('get /api/v1/users/{id}', { id });
    await this.#call('get /api/v1/users/{id}/sessions', { id });
    await this.#call('patch /api/v1/users/{id}', { id });
    for (const what of ['suspend', 'resume']) await this.#call(`post /api/v1/users/{id}/${what}`, { id });
  }

  async #trails(): Promise<void> {
    await this.#call('post /api/v1/backup', {}, { body: { to: this.#around.backup } });
    const state = async () => (await this.#around.server.get<{ state: string }>('/api/v1/backup')).state === 'done';
    await until(state, 'the backup', 100);
    await this.#call('get /api/v1/backup');
    await this.#call('get /api/v1/audit');
    await this.#call('get /api/v1/events');
  }
}

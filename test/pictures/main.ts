/**
 * `npm run pictures`: runs the demo, and writes a picture of every page, console and public, to `docs/pictures`. Those
 * in Chinese need a font (Debian: fonts-wqy-microhei).
 */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import type { Device, Ticket } from '../../domain/index.ts';
import { chromiumPath, openBrowser } from '../kit/chromium.ts';
import { ROUTES } from '../kit/console.ts';
import { Mailbox } from '../kit/mailbox.ts';
import { freePort } from '../kit/ports.ts';
import { WebhookReceiver } from '../kit/receiver.ts';
import { BIN } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const FOLDER = fileURLToPath(new URL('../../docs/pictures/', import.meta.url));
const MOST_BYTES = 60_000;
const QUALITY = 0.75;
const SIZE = { width: 1180, height: 620 };
/** Tickets that the city should have first. */
const TICKETS = 7;

interface Demo {
  /** A link that signs in, once. */
  readonly link: string;
  readonly base: string;
  readonly key: string;
}

/** Resolves once the demo says where it is. */
async function startDemo(smtp: string): Promise<{ demo: Demo; stop: () => void }> {
  const [http, mqtt] = [String(await freePort()), String(await freePort())];
  const mail = { SMTP_URL: smtp, SMTP_FROM: 'lamppost@city.example' };
  const env = { ...process.env, ...mail, WEBHOOK_ALLOW_PRIVATE: 'true', HTTP_PORT: http, MQTT_PORT: mqtt };
  const child = spawn(process.execPath, [BIN, 'demo', '--speed', '240'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const [, link, base, key] = await until(
    () => /sign in +(\S+)[\s\S]+console +(\S+)[\s\S]+admin key +(\S+)/.exec(text) ?? false,
    'the demo',
    200,
  );
  return { demo: { link: link!, base: base!, key: key! }, stop: () => child.kill('SIGTERM') };
}

async function call<T>({ base, key }: Demo, method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

const listOf = async <T>(demo: Demo, path: string) => (await call<{ items: T[] }>(demo, 'GET', path)).items;

/** Does what the people of a city would do, so that there is something to see. */
async function live(demo: Demo, hook: string): Promise<Shown> {
  const tickets = await until(
    async () => {
      const found = await listOf<Ticket>(demo, '/api/v1/tickets?origin=sensor&limit=50');
      return found.length >= TICKETS && found;
    },
    `${TICKETS} tickets`,
    1_000,
  );
  const [first, ...others] = tickets.filter(({ status }) => status === 'open');
  const steps = ['acknowledge', 'start', 'resolve', 'acknowledge'];
  for (const [i, step] of steps.entries()) {
    const ticket = others[i];
    if (ticket !== undefined) await call(demo, 'POST', `/api/v1/tickets/${ticket.id}/${step}`, {});
  }
  const day = 24 * 3_600_000;
  for (const [comment, calendar] of [
    ['Works in the street', null],
    ['Night market', 'night'],
  ] as const) {
    const matchers = { rule: ['bin-full'], ...(calendar === null ? { district: ['harbour'] } : {}) };
    const endsAt = new Date(Date.now() + 9 * day).toISOString();
    await call(demo, 'POST', '/api/v1/silences', { matchers, endsAt, calendar, comment });
  }
  const [device] = await listOf<Device>(demo, '/api/v1/devices?profile=air-quality&limit=1');
  const webhook = await call<{ id: string }>(demo, 'POST', '/api/v1/webhooks', { url: hook });
  const mail = { channel: 'email', to: 'duty@city.example', party: 'waste' };
  const notification = await call<{ id: string }>(demo, 'POST', '/api/v1/subscriptions', mail);
  await call(demo, 'POST', '/api/v1/users', { name: 'Li Na', email: 'li.na@city.example', roles: OPERATOR });
  await call(demo, 'POST', '/api/v1/keys', { name: 'Control room', role: 'viewer', department: null });
  return { ticket: first!.id, device: device!.id, webhook: webhook.id, notification: notification.id };
}

const OPERATOR = [{ role: 'operator', department: 'waste' }];

/** Ids of what has a page of its own. */
interface Shown {
  readonly ticket: string;
  readonly device: string;
  readonly webhook: string;
  readonly notification: string;
}

/** Reports a problem as a citizen does; returns the address of its page. */
async function reported({ base }: Demo): Promise<string> {
  const place = { lat: '32.0153', long: '118.7604', address_string: 'Quay 3, beside the stairs' };
  const body = new URLSearchParams({ service_code: 'noise', description: 'A pump runs all night', ...place });
  const response = await fetch(`${base}/open311/v2/requests.json`, { method: 'POST', body });
  const [{ reporter_token: token }] = (await response.json()) as [{ reporter_token: string }];
  return `/public/requests/${token}`;
}

/** A picture: its name, its address, what must be there, and what is done before. */
type Picture = readonly [name: string, address: string, seen: string, act?: (page: Page) => Promise<void>];

const pictures = ({ ticket, device, webhook, notification }: Shown): readonly Picture[] => [
  ['now', '/', '.map[aria-busy=false]'],
  ['tickets', '/tickets', 'tr[data-id]'],
  ['board', '/tickets?view=board', '.card'],
  ['ticket', `/tickets/${ticket}`, '.uplot'],
  ['devices', '/devices', 'td.title'],
  ['device', `/devices/${device}`, '.uplot'],
  ['rules', '/rules', 'td[data-fired]'],
  [
    'rule',
    '/rules/bin-full',
    '.cm-content',
    async (page) => {
      await page.getByRole('button', { name: 'Test on the past' }).click();
      await page.locator('#backtest-result').waitFor();
    },
  ],
  ['quarantine', '/quarantine', 'table.list'],
  [
    'silences',
    '/silences',
    'td',
    async (page) => {
      await page.getByText('Weeks', { exact: true }).click();
      await page.locator('.week .on').first().waitFor();
    },
  ],
  ['oversight', '/oversight', 'table'],
  ['notifications', '/notifications', 'table.list'],
  ['notification', `/notifications/${notification}`, 'h1'],
  ['webhooks', '/webhooks', 'table.list'],
  ['webhook', `/webhooks/${webhook}`, 'table.list'],
  ['formats', '/formats', 'table.list'],
  ['keys', '/keys', 'table.list'],
  ['people', '/people', 'table.list'],
  ['audit', '/audit', 'table.list'],
  ['system', '/system', 'h1'],
  ['me', '/me', 'h1'],
];

/** Throws where a route of the console is in none of its pictures. */
function checkRoutes(all: readonly Picture[]): void {
  const shown = (route: string) => new RegExp(`^${route.replace('$id', '[^/?]+')}$`);
  const missing = ROUTES.filter((route) => !all.some(([, address]) => shown(route).test(address)));
  if (missing.length > 0) throw new Error(`no picture shows ${missing.join(', ')}`);
}

/** What citizens and installers see; the first with a station's history. */
const publicPictures = (request: string): readonly Picture[] => [
  [
    'public',
    '/public',
    '.map[aria-busy=false]',
    async (page) => {
      await page.locator('button.link').first().click();
      await page.locator('#history .uplot').waitFor();
    },
  ],
  ['public-report', '/public/report', '.map[aria-busy=false]'],
  ['public-request', request, 'ol.timeline'],
  ['claim', '/claim', 'h1'],
];

/** Returns a picture as WebP, which has half the bytes: the browser makes it of a PNG. */
async function webpOf(page: Page, png: Buffer): Promise<Buffer> {
  const made = await page.evaluate(`new Promise((resolve) => {
    const image = new Image();
    image.onload = () => {
      const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
      canvas.getContext('2d').drawImage(image, 0, 0);
      resolve(canvas.toDataURL('image/webp', ${QUALITY}));
    };
    image.src = 'data:image/png;base64,${png.toString('base64')}';
  })`);
  return Buffer.from(String(made).split(',')[1]!, 'base64');
}

async function take(page: Page, base: string, [name, address, seen, act]: Picture): Promise<void> {
  await page.goto(base + address);
  await page.locator(seen).first().waitFor();
  await act?.(page);
  await page.waitForLoadState('networkidle', { timeout: 5_000 }).catch(() => {});
  const png = await page.screenshot();
  // The policy of the server's pages allows no such images everywhere.
  const empty = await page.context().browser()!.newPage();
  const webp = await webpOf(empty, png);
  await empty.close();
  writeFileSync(`${FOLDER}${name}.webp`, webp);
  console.log(`${name}.webp ${Math.round(webp.length / 1024)} KB`);
  if (webp.length > MOST_BYTES) process.exitCode = 1;
}

mkdirSync(FOLDER, { recursive: true });
const path = chromiumPath();
if (path === null) process.exit(1);
const [mailbox, receiver] = [new Mailbox(), new WebhookReceiver()];
const hook = await receiver.start();
const { demo, stop } = await startDemo(await mailbox.start());
const browser = await openBrowser(path);
try {
  const all = pictures(await live(demo, hook));
  checkRoutes(all);
  const page = await browser.newPage({ locale: 'en-GB', viewport: SIZE, colorScheme: 'light' });
  await page.goto(demo.link);
  await page.locator('#choose button[type=button]').click();
  await page.locator('#side').waitFor();
  for (const picture of all) await take(page, demo.base, picture);
  // A citizen is not signed in, speaks Chinese, and reports by phone.
  const citizen = await browser.newPage({ locale: 'zh-CN', viewport: SIZE, colorScheme: 'light' });
  const [first, ...others] = publicPictures(await reported(demo));
  await take(citizen, demo.base, first!);
  await citizen.setViewportSize({ width: 400, height: 800 });
  for (const picture of others) await take(citizen, demo.base, picture);
} finally {
  await browser.close();
  stop();
  receiver.stop();
  await mailbox.stop();
}

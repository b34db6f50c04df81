/** `npm run pictures`: runs the demo, and writes a picture of every page of the console to `docs/pictures`. */
import { spawn } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import type { Device, Ticket } from '../../domain/index.ts';
import { chromiumPath, openBrowser } from '../kit/chromium.ts';
import { BIN } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const FOLDER = fileURLToPath(new URL('../../docs/pictures/', import.meta.url));
const MOST_BYTES = 150_000;
const SIZE = { width: 1180, height: 620 };
/** Tickets that the city should have first. */
const TICKETS = 12;

interface Demo {
  /** A link that signs in, once. */
  readonly link: string;
  readonly base: string;
  readonly key: string;
}

/** Resolves once the demo says where it is. */
async function startDemo(): Promise<{ demo: Demo; stop: () => void }> {
  const child = spawn(process.execPath, [BIN, 'demo', '--speed', '240'], { stdio: ['ignore', 'pipe', 'inherit'] });
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
async function live(demo: Demo): Promise<{ ticket: string; device: string }> {
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
  return { ticket: first!.id, device: device!.id };
}

/** A picture: its name, its address, what must be there, and what is done before. */
type Picture = readonly [name: string, address: string, seen: string, act?: (page: Page) => Promise<void>];

const pictures = (ticket: string, device: string): readonly Picture[] => [
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
  ['quarantine', '/quarantine', 'h1'],
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
  ['system', '/system', 'h1'],
];

async function take(page: Page, base: string, [name, address, seen, act]: Picture): Promise<void> {
  await page.goto(base + address);
  await page.locator(seen).first().waitFor();
  await act?.(page);
  await page.waitForLoadState('networkidle', { timeout: 5_000 }).catch(() => {});
  const path = `${FOLDER}${name}.png`;
  await page.screenshot({ path });
  const { size } = statSync(path);
  console.log(`${name}.png ${Math.round(size / 1024)} KB`);
  if (size > MOST_BYTES) process.exitCode = 1;
}

mkdirSync(FOLDER, { recursive: true });
const path = chromiumPath();
if (path === null) process.exit(1);
const { demo, stop } = await startDemo();
const browser = await openBrowser(path);
try {
  const { ticket, device } = await live(demo);
  const page = await browser.newPage({ locale: 'en-GB', viewport: SIZE, colorScheme: 'light' });
  await page.goto(demo.link);
  await page.locator('#choose button[type=button]').click();
  await page.locator('#side').waitFor();
  for (const picture of pictures(ticket, device)) await take(page, demo.base, picture);
} finally {
  await browser.close();
  stop();
}

/** How soon the console answers in Chromium, with a large city behind it. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Page } from 'playwright-core';
import { SEVERITIES } from '../../domain/index.ts';
import { chromiumPath, openBrowser } from '../kit/chromium.ts';
import { openSignedIn } from '../kit/console.ts';
import { ServerProcess } from '../kit/server.ts';

/** p50 and p95 of the time from an input to the first frame after what it did, ms. */
interface Answered {
  readonly what: string;
  readonly count: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
}

/** The result of one run. */
export interface ConsoleFigures {
  readonly devices: number;
  readonly tickets: number;
  readonly listed: number;
  readonly answered: readonly Answered[];
}

/** A machine that others use too may need so long. */
const START_MS = 300_000;
const BATCH = 2_000;
/** Rows of the list while it is measured, at most. */
const MOST_LISTED = 1_000;
const TIMES = 40;
/** A filter asks the server, and its list is drawn anew. */
const FILTERS = 20;

/** Starts a server of so many devices and tickets, and uses the map, the list and the board. */
export async function benchConsole(devices: number, tickets: number): Promise<ConsoleFigures> {
  const path = chromiumPath();
  if (path === null) throw new Error('this needs chromium');
  const server = new ServerProcess();
  server.startWithinMs = START_MS;
  await server.start();
  const browser = await openBrowser(path);
  try {
    await timed('filled', () => fill(server, devices, tickets));
    const { page } = await openSignedIn(browser, server, 'Bench Person', { role: 'admin', department: null });
    const base = `http://127.0.0.1:${server.httpPort}`;
    await page.addInitScript(WATCH);
    const listed = Math.min(MOST_LISTED, tickets);
    const nothing = await useNothing(page, base);
    const map = await timed('map', () => useMap(page, base));
    const list = await timed('list', () => useList(page, base, listed));
    const board = await timed('board', () => useBoard(page, base));
    return { devices, tickets, listed, answered: [nothing, ...map, ...list, ...board] };
  } finally {
    await browser.close();
    await server.stop();
    rmSync(server.data, { recursive: true });
  }
}

/** Says how long a part took: a run is several minutes. */
async function timed<T>(what: string, run: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await run();
  console.error(`${what}: ${((performance.now() - start) / 1_000).toFixed(1)} s`);
  return result;
}

async function fill(server: ServerProcess, devices: number, tickets: number): Promise<void> {
  for (let at = 0; at < devices; at += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, devices - at) }, (_, i) => {
      const n = at + i;
      const location = { lat: 32.001 + 0.088 * ((n % 100) / 100), lon: 118.701 + 0.118 * (Math.floor(n / 100) / 100) };
      return { id: `d-${n}`, profile: 'waste-bin', district: 'harbour', location };
    });
    await server.post('/api/v1/devices', batch);
  }
  await server.post('/api/v1/tickets', {
    service: 'waste',
    title: 'Bin 1 is full',
    district: 'harbour',
    severity: 'low',
  });
  await server.stop();
  multiplyTickets(join(server.data, 'state.sqlite'), tickets);
  await server.start();
}

const NAMES = ['open', 'acknowledged', 'assigned', 'in_progress'];

/**
 * Makes as many tickets of the only one, in the file of a server that does not run: opening each would measure the log.
 * They differ in status, severity and times.
 */
function multiplyTickets(file: string, tickets: number): void {
  const db = new DatabaseSync(file);
  const columnsOf = (table: string, but: readonly string[]) =>
    db
      .prepare('select name from pragma_table_info(?)')
      .all(table)
      .flatMap(({ name }) => (but.includes(String(name)) ? [] : `"${name}"`))
      .join();
  const own = columnsOf('tickets', ['n', 'id', 'title', 'status', 'severity', 'due_at', 'opened_at']);
  const said = columnsOf('ticket_changes', ['ticket']);
  const of = (names: readonly string[]) =>
    `json_extract('${JSON.stringify(names)}', '$[' || (i % ${names.length}) || ']')`;
  const at = (seconds: string) => `strftime('%Y-%m-%dT%H:%M:%fZ', 'now', (${seconds}) || ' seconds')`;
  db.exec(`
    pragma synchronous = off;
    begin;
    create temp table more as
      with recursive more(i) as (select 1 union all select i + 1 from more where i < ${tickets - 1}) select i from more;
    insert into tickets (n, id, title, status, severity, due_at, opened_at, ${own})
      select first.n + i, first.id || '-' || i, 'Bin ' || i || ' is full', ${of(NAMES)}, ${of(SEVERITIES)},
        ${at(`2 * i - ${tickets}`)}, ${at(`i - ${tickets}`)}, ${own}
      from more, (select * from tickets limit 1) first;
    insert into ticket_changes (ticket, ${said})
      select first.id || '-' || i, ${said}
      from more, (select id from tickets order by n limit 1) first, (select * from ticket_changes where ordinal = 0);
    commit;`);
  db.close();
}

/** Notes the time from each input to the end of the frame after it, in the page. */
const WATCH = `
  window.answered = [];
  for (const type of ['wheel', 'pointerup', 'keydown']) {
    addEventListener(type, (event) => {
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => window.answered.push(performance.now() - event.timeStamp);
        port2.postMessage(null);
      });
    }, { capture: true, passive: true });
  }`;

async function measured(page: Page, what: string, act: (i: number) => Promise<void>, times = TIMES): Promise<Answered> {
  await page.evaluate('window.answered.length = 0');
  for (let i = 0; i < times; i++) await act(i);
  await page.evaluate('new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))');
  const found = ((await page.evaluate('window.answered')) as number[]).sort((a, b) => a - b);
  const at = (share: number) => found[Math.min(found.length - 1, Math.floor(share * found.length))] ?? Number.NaN;
  return { what, count: found.length, p50Ms: at(0.5), p95Ms: at(0.95) };
}

/** What the machine takes for a page with little on it: all others are to be compared with it. */
async function useNothing(page: Page, base: string): Promise<Answered> {
  await page.goto(`${base}/me`);
  await page.locator('h1').waitFor();
  return measured(page, 'a small page: scroll', (i) => page.mouse.wheel(0, i % 2 === 0 ? 100 : -100));
}

async function useMap(page: Page, base: string): Promise<Answered[]> {
  await page.goto(base);
  await page.locator('.map[aria-busy=false]').waitFor();
  await page.locator('.map').hover();
  const zoom = await measured(page, 'map: zoom', (i) => page.mouse.wheel(0, i % 20 < 10 ? -240 : 240));
  const box = (await page.locator('.map').boundingBox())!;
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  const drag = await measured(page, 'map: draw', async (i) => {
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2 + (i % 2 === 0 ? 80 : -80), box.y + box.height / 2, { steps: 4 });
    await page.mouse.up();
  });
  return [zoom, drag];
}

async function useList(page: Page, base: string, listed: number): Promise<Answered[]> {
  await page.goto(`${base}/tickets`);
  await page.locator('#counts').waitFor();
  const rows = page.locator('tr[data-id]');
  while ((await rows.count()) < listed) {
    await page.evaluate('document.querySelector("main").scrollTo(0, 1e9)');
    await page.evaluate('new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))');
  }
  await page.locator('table.list').hover();
  const scroll = await measured(page, 'list: scroll', (i) => page.mouse.wheel(0, i % 20 < 10 ? -900 : 900));
  const keys = await measured(page, 'list: next by the keyboard', () => page.keyboard.press('j'));
  // A list of its first page: with many, each page is fetched again.
  await page.reload();
  await rows.first().waitFor();
  const filter = await measured(
    page,
    'list: filter',
    async (i) => {
      const [to, shown] = i % 2 === 0 ? ['resolved', 'p.empty'] : ['Needs work', 'tr[data-id]'];
      await page.getByText(to!, { exact: true }).first().click();
      await page.locator(shown!).first().waitFor();
    },
    FILTERS,
  );
  return [scroll, keys, filter];
}

async function useBoard(page: Page, base: string): Promise<Answered[]> {
  await page.goto(`${base}/tickets?view=board`);
  await page.locator('.card').first().waitFor();
  await page.locator('.board').hover();
  return [await measured(page, 'board: scroll', (i) => page.mouse.wheel(0, i % 20 < 10 ? 600 : -600))];
}

/** Formats the result as text. */
export function consoleText({ devices, tickets, listed, answered }: ConsoleFigures): string {
  const lines = answered.map(
    ({ what, count, p50Ms, p95Ms }) => `${what}: ${p50Ms.toFixed(0)} ms, p95 ${p95Ms.toFixed(0)} ms (${count})`,
  );
  return [`${devices} devices, ${tickets} tickets, ${listed} rows: from an input to the frame after it`, ...lines].join(
    '\n',
  );
}

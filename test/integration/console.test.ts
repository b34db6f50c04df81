import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { BrowserContextOptions } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { KeyRole, Ledger, Ticket } from '../../domain/index.ts';
import { chromiumPath } from '../kit/chromium.ts';
import { TestBrowser } from '../kit/console.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const path = chromiumPath();
const DIST = fileURLToPath(new URL('../../console/dist/', import.meta.url));

describe.skipIf(path === null)('the console in Chromium', () => {
  const server = new ServerProcess();
  const browser = new TestBrowser(server);
  let base: string;

  beforeAll(async () => {
    await browser.start();
    base = browser.base;
  });
  afterEach(() => browser.close());
  afterAll(() => browser.stop());

  const visit = (address: string) => browser.visit(address);
  const signedIn = (name: string, role: KeyRole, options: BrowserContextOptions = {}) =>
    browser.signedIn(name, { role, department: null }, options);
  const open = (title: string) =>
    server.post<Ticket>('/api/v1/tickets', { service: 'waste', title, district: 'harbour', severity: 'high' });
  const ticketOf = (id: string) => server.get<Ticket>(`/api/v1/tickets/${id}`);
  const acted = (id: string, action: string) =>
    until(async () => (await ticketOf(id)).history.some((change) => change.action === action), `${id} ${action}`, 50);

  test.each([
    ['console', 'index.html', 300],
    ['public page', 'public.html', 120],
  ])('%s - the first load is compressed, small, and kept by the browser', async (name, page, mostKb) => {
    const html = readFileSync(`${DIST}/${page}`, 'utf8');
    const files = Array.from(html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g), ([, file]) => file!);
    expect(files.length).toBeGreaterThanOrEqual(2);
    const bytes = files.reduce((sum, file) => sum + statSync(`${DIST}${file}.gz`).size, 0);
    console.log(`${name}: the first load is ${Math.round(bytes / 1024)} KB compressed`);
    expect(bytes).toBeLessThan(mostKb * 1024);
    const script = files.find((file) => file.endsWith('.js'))!;
    const response = await fetch(base + script, { headers: { 'accept-encoding': 'gzip' } });
    expect(response.headers.get('content-encoding')).toBe('gzip');
    expect(response.headers.get('cache-control')).toContain('immutable');
  });

  test('tickets - the keyboard finds one, acknowledges it, and stays where it was', async () => {
    const { id } = await open('Full bin at the quay');
    const page = await signedIn('Key Board', 'operator');
    await page.keyboard.press('g');
    await page.keyboard.press('t');
    const row = page.locator(`tr[data-id="${id}"]`);
    await row.waitFor();
    // The names of the city, not their ids.
    await row.getByText('Sanitation Department').waitFor();
    await page.keyboard.press('j');
    expect(await row.getAttribute('data-here')).toBe('true');
    await page.keyboard.press('a');
    await acted(id, 'acknowledged');
    await row.locator('.pill', { hasText: 'acknowledged' }).waitFor();
    // What changed did not take the focus away.
    expect(await page.evaluate('document.activeElement.closest("tr")?.dataset.id')).toBe(id);
    await page.keyboard.press('Enter');
    await page.locator('h1', { hasText: 'Full bin at the quay' }).waitFor();
    expect(new URL(page.url()).pathname).toBe(`/tickets/${id}`);
    // The history names the person, not an id.
    await page.locator('ol.timeline', { hasText: 'Key Board' }).waitFor();
  });

  test('tickets - the filter is in the address, the server counts, and resolved tickets can be reached', async () => {
    const { id } = await open('Lamp that was repaired');
    await server.post(`/api/v1/tickets/${id}/resolve`, {});
    const page = await signedIn('Fil Ter', 'operator');
    await page.goto(`${base}/tickets?status=resolved`);
    await page.locator(`tr[data-id="${id}"]`).waitFor();
    await page.getByText('1 done').waitFor();
    await page.getByText('closed', { exact: true }).click();
    await page.getByText('No ticket matches this filter.').waitFor();
    expect(new URL(page.url()).searchParams.get('status')).toBe('closed');
    await page.goto(`${base}/tickets/${id}`);
    await page.getByRole('button', { name: 'Reopen' }).click();
    await acted(id, 'reopened');
  });

  test('tickets - of two who act at once one sees the conflict, and keeps what they typed', async () => {
    const { id } = await open('Two at once');
    const [one, other] = [await signedIn('First One', 'operator'), await signedIn('Second One', 'operator')];
    await one.goto(`${base}/tickets/${id}`);
    await other.goto(`${base}/tickets/${id}`);
    await other.getByLabel('Note').fill('the crew is on its way');
    // It gets no event until it acts.
    await other.route('**/api/v1/events', (route) => route.abort());
    await other.reload();
    await other.getByLabel('Note').fill('the crew is on its way');
    await one.getByRole('button', { name: 'Start' }).click();
    await acted(id, 'started');
    await other.getByRole('button', { name: 'Resolve' }).click();
    await other.locator('#conflict', { hasText: 'First One' }).waitFor();
    expect(await other.getByLabel('Note').inputValue()).toBe('the crew is on its way');
    // A comment fits any version; the keyboard sends it.
    await other.getByLabel('Note').press('Control+Enter');
    await acted(id, 'commented');
    await until(async () => (await other.getByLabel('Note').inputValue()) === '', 'an empty note', 50);
    await one.locator('ol.timeline', { hasText: 'the crew is on its way' }).waitFor();
    // Nothing is assigned to nobody.
    await one.getByRole('button', { name: 'Assign' }).click();
    await one.locator('#refusal', { hasText: 'Choose to whom first.' }).waitFor();
    expect((await ticketOf(id)).status).toBe('in_progress');
  });

  test('account - the password, the sessions and the appearance are one page', async () => {
    const page = await signedIn('My Self', 'viewer');
    await page.goto(`${base}/me`);
    await page.getByText('this browser').waitFor();
    await page.getByLabel('New password').fill('a lantern in the harbour');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('The password is changed').waitFor();
    await page.getByText('Dark', { exact: true }).click();
    await until(() => page.evaluate('document.documentElement.dataset.mantineColorScheme === "dark"'), 'dark', 50);
    await page.getByRole('button', { name: 'Sign out everywhere' }).click();
    await page.locator('#login').waitFor();
  });

  test('keys - a link with a key is used in an open tab too, and does not stay in the address', async () => {
    const page = await visit('/');
    await page.locator('#login').waitFor();
    await page.evaluate(`location.hash = '#key=${ADMIN_KEY}'`);
    await page.locator('#who', { hasText: 'admin' }).waitFor();
    expect(page.url()).not.toContain('key=');
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').fill('my acc');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/me');
  });

  test('devices - one is registered, its secret shown once, and what it sends is on its page', async () => {
    const page = await signedIn('Dev Ices', 'device-manager');
    await page.goto(`${base}/devices`);
    await page.getByRole('button', { name: 'Register a device' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Id').fill('bin-of-the-page');
    for (const [label, choice] of [
      ['Kind', 'Waste bin'],
      ['District', 'Harbour'],
    ] as const) {
      await dialog.getByRole('combobox', { name: label }).fill(choice);
      await page.getByRole('option', { name: choice }).click();
    }
    await dialog.getByRole('button', { name: 'Register a device' }).click();
    const secret = await page.locator('#secret pre').first().textContent();
    const send = (body: object) =>
      fetch(`${base}/ingest/bin-of-the-page`, {
        method: 'POST',
        headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    expect((await send({ metrics: { fill: 42, battery: 80 } })).ok).toBe(true);
    expect((await send({ metrics: { fill: 'much' } })).ok).toBe(true);
    // Another value for the same time takes the place of the first, and the ledger balances.
    const ts = Date.now() - 600_000;
    for (const fill of [43, 44]) expect((await send({ ts, metrics: { fill } })).ok).toBe(true);
    await server.settledLedger('bin-of-the-page');
    const { readings } = await server.get<Ledger>('/api/v1/ledger?device=bin-of-the-page');
    expect(readings.replaced).toBe(1);
    await page.goto(`${base}/devices/bin-of-the-page`);
    await page.locator('#ledger', { hasText: '1 of the stored took the place of an earlier value' }).waitFor();
    expect(await page.locator('#ledger .good').count()).toBe(2);
    expect(await page.locator('#ledger .late').count()).toBe(0);
    await page.locator('.uplot').first().waitFor();
    await page.getByRole('link', { name: 'What was refused of it' }).click();
    await page.getByRole('button', { name: 'Look at it' }).click();
    await page.locator('pre', { hasText: '"much"' }).first().waitFor();
    await page.getByRole('button', { name: 'Replay this one' }).click();
    // It is still not a number.
    await page.locator('#replay', { hasText: '1 refused again' }).waitFor();
    const calibration = { metric: 'fill', gain: 1.1, from: new Date().toISOString(), certificate: 'C-7' };
    await server.post('/api/v1/devices/bin-of-the-page/calibrations', calibration);
    for (let n = 0; n < 12; n++)
      expect((await send({ ts: Date.now() - 7_200_000, metrics: { fill: 40 + n } })).ok).toBe(true);
    await server.settledLedger('bin-of-the-page');
    await page.goto(`${base}/devices/bin-of-the-page`);
    await page.getByText(/C-7/).waitFor();
    await page.getByText(/^(2 h|1 h 59 min).* behind, since/).waitFor();
    await page.getByRole('button', { name: 'Suspend' }).click();
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    const device = await server.get<{ suspended: boolean }>('/api/v1/devices/bin-of-the-page');
    expect(device.suspended).toBe(true);
  });

  test('rules and silences - a rule is tried, saved and tested on the past; a silence is made in two clicks', async () => {
    await server.post('/api/v1/devices', { id: 'tried', profile: 'waste-bin', district: 'harbour' });
    const page = await signedIn('Rule Author', 'admin');
    await page.goto(`${base}/rules`);
    await page.getByRole('link', { name: 'bin-full', exact: true }).waitFor();
    await page.getByRole('link', { name: 'New rule' }).click();
    await page.getByLabel('Device').fill('tried');
    await page.getByRole('button', { name: 'Try', exact: true }).click();
    await page.locator('#trial-result').waitFor();
    await page.getByRole('button', { name: 'Save as a new version' }).click();
    await page.waitForURL('**/rules/my-rule');
    await page.getByRole('button', { name: 'Test on the past' }).click();
    await page.locator('#backtest-result').waitFor();
    await page.goto(`${base}/devices/tried`);
    await page.getByRole('link', { name: 'Silence', exact: true }).click();
    await page.getByLabel('Why').fill('works in the street');
    await page.getByRole('dialog').getByRole('button', { name: 'New silence' }).click();
    await page.locator('td', { hasText: 'device: tried' }).waitFor();
    await page.getByRole('button', { name: 'End now' }).click();
    await page.getByText('There is no silence.').waitFor();
  });

  test('now - events arrive without a reload, and after a break only those that are new', async () => {
    const page = await signedIn('Live Feed', 'viewer');
    // Without its worker the map would never be drawn.
    await page.locator('.map[aria-busy=false]').waitFor();
    await page.locator('#state', { hasText: 'live' }).waitFor();
    const { id } = await open('Seen at once');
    const entries = page.locator('#feed li', { hasText: 'Seen at once' });
    await entries.waitFor();
    const endsAt = new Date(Date.now() + 3_600_000).toISOString();
    await server.post('/api/v1/silences', { matchers: { severity: ['info'] }, endsAt, comment: 'a test of sirens' });
    await page.locator('#feed li', { hasText: 'Severity: info a test of sirens' }).waitFor();
    await server.kill();
    await page.locator('#state', { hasText: 'connection lost' }).waitFor();
    await page.locator('#banner', { hasText: 'The server does not respond.' }).waitFor();
    await server.start();
    await open('Seen after the restart');
    await page.locator('#feed li', { hasText: 'Seen after the restart' }).waitFor();
    expect(await entries.count()).toBe(1);
    await page.locator('#state', { hasText: 'live' }).waitFor();
    expect(await page.locator('#ledger .late').count()).toBe(0);
    await entries.locator('a').click();
    await page.waitForURL(`**/tickets/${id}`);
    // A viewer gets no button that would be refused.
    await page.locator('ol.timeline').waitFor();
    expect(await page.getByRole('button', { name: 'Acknowledge' }).count()).toBe(0);
  });

  test('pages - none of all these wrote an error, broke its policy or asked another host', () => {
    expect(browser.faults()).toEqual([]);
  });
});

import type { Response } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Device, Grant, Ticket } from '../../domain/index.ts';
import { chromiumPath } from '../kit/chromium.ts';
import { axeFaults, TestBrowser } from '../kit/console.ts';
import { ADMIN_KEY, ServerProcess } from '../kit/server.ts';
import { until } from '../kit/wait.ts';

const path = chromiumPath();

describe.skipIf(path === null)('the pages of operators in Chromium', () => {
  const server = new ServerProcess();
  const browser = new TestBrowser(server);
  let base: string;

  beforeAll(async () => {
    await browser.start();
    base = browser.base;
  });
  afterEach(() => browser.close());
  afterAll(() => browser.stop());

  const signedIn = (name: string, role: Grant['role'], department: string | null = null) =>
    browser.signedIn(name, { role, department });
  const open = (title: string, service = 'waste') =>
    server.post<Ticket>('/api/v1/tickets', { service, title, district: 'harbour', severity: 'high' });
  const ticketOf = (id: string) => server.get<Ticket>(`/api/v1/tickets/${id}`);
  const acted = (id: string, action: string) =>
    until(async () => (await ticketOf(id)).history.some((change) => change.action === action), `${id} ${action}`, 50);

  test('board - a card moves by the keyboard and by the mouse, and assigning asks to whom', async () => {
    const { id } = await open('Bin beside the fountain');
    const page = await signedIn('Board Mover', 'operator');
    await page.goto(`${base}/tickets?view=board`);
    const cardIn = (status: string) => page.locator(`.column[data-status=${status}] .card[data-id="${id}"]`);
    await cardIn('open').waitFor();
    await cardIn('open').locator('a').focus();
    await page.keyboard.press('Shift+L');
    await acted(id, 'acknowledged');
    await cardIn('acknowledged').locator('a').focus();
    await page.keyboard.press('Shift+L');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Person').fill('Li Na');
    await dialog.getByRole('button', { name: 'Assign' }).click();
    await acted(id, 'assigned');
    expect((await ticketOf(id)).assignee).toBe('Li Na');
    await cardIn('assigned').waitFor();
    await cardIn('assigned').dragTo(page.locator('.column[data-status=in_progress]'));
    await acted(id, 'started');
    await cardIn('in_progress').waitFor();
    // What is not possible is said, and changes nothing.
    await cardIn('in_progress').dragTo(page.locator('.column[data-status=open]'));
    await page.getByText('Reopen is not possible here').waitFor();
    expect((await ticketOf(id)).status).toBe('in_progress');
  });

  test('bulk - several are chosen by the keyboard; each says what became of it, and one refusal stops no other', async () => {
    const some = [await open('Bulk one'), await open('Bulk two'), await open('Bulk three')];
    const page = await signedIn('Bulk Actor', 'operator');
    // It hears of no event: what it shows of one ticket is an older version.
    await page.route('**/api/v1/events', (route) => route.abort());
    await page.goto(`${base}/tickets?status=open`);
    await page.locator(`tr[data-id="${some[0]!.id}"]`).waitFor();
    await server.post(`/api/v1/tickets/${some[1]!.id}/acknowledge`, {});
    await page.locator(`tr[data-id="${some[2]!.id}"] a`).focus();
    await page.keyboard.press('x');
    await page.locator(`tr[data-id="${some[0]!.id}"] input`).click({ modifiers: ['Shift'] });
    await page.getByText('3 chosen').waitFor();
    await page.getByRole('button', { name: 'Acknowledge' }).click();
    const results = page.locator('#bulk-results li');
    await results.nth(2).waitFor();
    expect(await results.filter({ hasText: 'done' }).count()).toBe(2);
    await results.filter({ hasText: some[1]!.id }).filter({ hasText: 'The ticket has changed meanwhile' }).waitFor();
    await page.getByRole('region', { name: 'Chosen tickets' }).getByLabel('Note').fill('one crew for all');
    await page.getByRole('button', { name: 'Comment' }).click();
    for (const { id } of some) await acted(id, 'commented');
  });

  test('search - words find a ticket, and are in the address', async () => {
    const [wanted, other] = [await open('Swan on the tram line'), await open('Nothing of that kind')];
    const page = await signedIn('Word Seeker', 'operator');
    await page.goto(`${base}/tickets`);
    await page.locator(`tr[data-id="${other.id}"]`).waitFor();
    await page.getByRole('searchbox', { name: 'Search' }).fill('swan');
    await page.locator(`tr[data-id="${other.id}"]`).waitFor({ state: 'detached' });
    await page.locator(`tr[data-id="${wanted.id}"]`).waitFor();
    expect(new URL(page.url()).searchParams.get('q')).toBe('swan');
  });

  test('filters - one is saved under a name in this browser, and found again', async () => {
    const page = await signedIn('Filter Keeper', 'operator');
    await page.goto(`${base}/tickets?department=water&severity=critical`);
    await page.getByRole('button', { name: 'Save filter' }).click();
    await page.getByLabel('Name of the filter').fill('Water, urgent');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.goto(`${base}/tickets`);
    await page.getByRole('combobox', { name: 'Saved filters' }).click();
    await page.getByRole('option', { name: 'Water, urgent' }).click();
    await page.waitForURL('**department=water**');
    expect(new URL(page.url()).searchParams.get('severity')).toBe('critical');
  });

  test('tickets - one is opened by hand with a pin, and a part of it is made for another department', async () => {
    const page = await signedIn('Hand Opener', 'operator');
    await page.goto(`${base}/tickets`);
    await page.locator('#counts').waitFor();
    await page.keyboard.press('n');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Title').fill('Sofa in the reeds');
    await dialog.getByRole('combobox', { name: 'Service' }).fill('Waste');
    await page.getByRole('option').first().click();
    await dialog.locator('.map.pin canvas').click();
    const latitude = dialog.getByLabel('Latitude');
    await until(async () => (await latitude.inputValue()) !== '', 'a pin', 50);
    // The middle of the city; the pin says the district.
    expect(await dialog.getByRole('combobox', { name: 'District' }).inputValue()).not.toBe('');
    await dialog.getByRole('button', { name: 'Open the ticket' }).click();
    await page.waitForURL(/\/tickets\/[^/?]+$/);
    const id = page.url().split('/').at(-1)!;
    const { location } = await ticketOf(id);
    expect(location?.lat).toBeGreaterThan(32);
    await page.getByRole('button', { name: 'Part for another department' }).click();
    await dialog.getByRole('combobox', { name: 'Department' }).fill('Water');
    await page.getByRole('option', { name: 'Water Affairs Bureau' }).click();
    await dialog.getByLabel('What they have to do').fill('lift it out with your boat');
    await dialog.getByRole('button', { name: 'Part for another department' }).click();
    const part = page.getByRole('region', { name: 'Parts and reports' }).getByRole('link');
    await part.waitFor();
    await page.getByRole('button', { name: 'Resolve' }).click();
    await page.locator('#refusal', { hasText: 'Parts of the ticket are still open' }).waitFor();
    await part.click();
    await page.getByText('Part of', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Resolve' }).click();
    await until(async () => (await ticketOf(page.url().split('/').at(-1)!)).status === 'resolved', 'a done part', 50);
  });

  test('roles - who works for a department has buttons on its tickets, and on others only what is theirs', async () => {
    const [own, other] = [await open('Of the department'), await open('Was of the department')];
    await server.post(`/api/v1/tickets/${other.id}/hand-over`, { to: 'water' });
    const page = await signedIn('Waste Worker', 'operator', 'waste');
    await page.goto(`${base}/tickets/${own.id}`);
    await page.getByRole('button', { name: 'Acknowledge' }).waitFor();
    await page.getByRole('button', { name: 'Hand over' }).waitFor();
    await page.goto(`${base}/tickets/${other.id}`);
    await page.getByRole('button', { name: 'Comment' }).waitFor();
    expect(await page.getByRole('button', { name: 'Acknowledge' }).count()).toBe(0);
    expect(await page.getByRole('button', { name: 'Hand over' }).count()).toBe(0);
  });

  test('rules - the editor completes and marks mistakes, versions are compared, and the list says how often each fired', async () => {
    const rule = (above: number) => `id: bin-early
title: Early bin
where: { profile: waste-bin }
when: { metric: fill, last: true, above: ${above} }
for: 0s
severity: low
ticket: { service: waste }
`;
    await server.post('/api/v1/rules', { text: rule(70), note: 'first' });
    await fetch(`${base}/api/v1/rules/bin-early`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ text: rule(50), note: 'earlier' }),
    });
    const { secret } = await server.post<{ secret: string }>('/api/v1/devices', {
      id: 'early',
      profile: 'waste-bin',
      district: 'harbour',
    });
    await fetch(`${base}/ingest/early`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ metrics: { fill: 75 } }),
    });
    const fired = async () =>
      (await server.get<{ counts: { rule: string; fired: number }[] }>('/api/v1/alerts/fired')).counts;
    await until(async () => (await fired()).some((one) => one.rule === 'bin-early'), 'a rule that fired', 50);
    const page = await signedIn('Rule Writer', 'rule-author');
    await page.goto(`${base}/rules`);
    await page.locator('td[data-fired="bin-early"]', { hasText: /^1$/ }).waitFor();
    await page.goto(`${base}/rules/bin-early`);
    const text = page.locator('.editor [contenteditable=true]');
    await text.click();
    await page.keyboard.press('Control+a');
    await page.keyboard.type('id: bin-early\nwhen: { met');
    await page.locator('.cm-tooltip-autocomplete', { hasText: 'metric' }).waitFor();
    await page.keyboard.press('Control+a');
    await page.keyboard.insertText(rule(60).replace('metric: fill', 'metric: fil'));
    await page.locator('.cm-lint-marker-error').waitFor();
    await page.keyboard.press('Control+a');
    // Bins send each 15 minutes: of what can never decide, it is said, too.
    const never = rule(60).replace('last: true, above: 60', 'jump: { by: 5, within: 5m }');
    await page.keyboard.insertText(never);
    await page.locator('.cm-lint-marker-warning').waitFor();
    await page.keyboard.press('Control+a');
    await page.keyboard.insertText(rule(60));
    await page.locator('.cm-lint-marker-warning').waitFor({ state: 'detached' });
    await page.locator('.cm-lint-marker-error').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Save as a new version' }).click();
    await page.getByText('bin-early is in force').waitFor();
    await page.getByRole('button', { name: 'What changed' }).first().click();
    await page.locator('.difference .cm-deletedChunk').waitFor();
    await page.getByRole('button', { name: 'Test on the past' }).click();
    await page.locator('#backtest-result .uplot').waitFor();
    expect(await axeFaults(page)).toEqual([]);
  });

  test('devices - a file is imported, what is refused is said, and an installer gets a code to photograph', async () => {
    const page = await signedIn('Device Keeper', 'device-manager');
    await page.goto(`${base}/devices`);
    await page.getByRole('button', { name: 'Import devices' }).click();
    const rows = ['in-1,waste-bin,harbour,32.01,118.75', 'in-2,no-such-kind,harbour,,', 'in-3,waste-bin,harbour,,'];
    const buffer = Buffer.from(['id,profile,district,lat,lon', ...rows].join('\n'));
    await page.locator('input[type=file]').setInputFiles({ name: 'bins.csv', mimeType: 'text/csv', buffer });
    await page.getByRole('button', { name: 'Register 3' }).click();
    await page.locator('#import-progress', { hasText: '3 of 3: 2 registered, 1 refused' }).waitFor();
    await page.locator('.results li', { hasText: 'in-2' }).waitFor();
    const secrets = decodeURIComponent((await page.getByText('Download the new secrets').getAttribute('href'))!);
    expect(secrets).toMatch(/id,secret\nin-1,.{20,}\nin-3,.{20,}\n$/);
    await page.goto(`${base}/devices/in-1`);
    await page.getByRole('button', { name: 'Claim code' }).click();
    await page.locator('#claim svg.qr').waitFor();
    const code = (await page.locator('#claim pre').textContent())!;
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.locator('#claim').getByRole('button', { name: 'Copy' }).click();
    await page.locator('#claim').getByRole('button', { name: 'Copied' }).waitFor();
    const link = await page.evaluate<string>('navigator.clipboard.readText()');
    expect(link).toBe(`${base}/claim#device=in-1&code=${code}`);
    // The installer's phone.
    const phone = await browser.visit(link.slice(base.length), { viewport: { width: 390, height: 800 } });
    expect(phone.url(), 'no history has the code').toBe(`${base}/claim`);
    await phone.getByRole('button', { name: 'Show the secret' }).click();
    const secret = (await phone.getByRole('status').textContent())!;
    expect(await axeFaults(phone)).toEqual([]);
    const sent = await fetch(`${base}/ingest/in-1`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ metrics: { fill: 5 } }),
    });
    expect(sent.ok).toBe(true);
    await phone.goto(`${base}/claim`);
    await phone.getByLabel('Device', { exact: true }).fill('in-1');
    await phone.getByLabel('Claim code').fill(code);
    await phone.getByRole('button', { name: 'Show the secret' }).click();
    await phone.getByRole('alert').filter({ hasText: 'was used' }).waitFor();
    // The installer changed the device.
    await page.reload();
    await page.getByRole('button', { name: 'Change', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('Bin at the pier');
    await dialog.getByLabel('Longitude').fill('118.79');
    await dialog.getByRole('button', { name: 'Change', exact: true }).click();
    await page.locator('h1', { hasText: 'Bin at the pier' }).waitFor();
    expect(await server.get<Device>('/api/v1/devices/in-1')).toMatchObject({ district: 'riverside' });
    await page.getByRole('button', { name: 'Replace the hardware' }).click();
    await dialog.getByRole('button', { name: 'Replace the hardware' }).click();
    await page.locator('#secret pre').first().waitFor();
    await dialog.getByRole('button', { name: 'Close' }).click();
    // LoRaWAN hardware, by what its label says; it needs no secret.
    await page.getByRole('button', { name: 'Replace the hardware' }).click();
    await dialog.getByLabel('DevEUI of the hardware').fill('70-B3-D5-7E-D0-00-56-78');
    await dialog.getByRole('button', { name: 'Replace the hardware' }).click();
    await page.locator('dd', { hasText: '70b3d57ed0005678' }).waitFor();
  });

  test('devices - a response that is lost on the way loses no secret: the request is sent again, and done once', async () => {
    const page = await signedIn('Lost Response', 'device-manager');
    await page.goto(`${base}/devices`);
    await page.getByRole('button', { name: 'Import devices' }).click();
    let lost = 0;
    await page.route('**/api/v1/devices', async (route) => {
      if (route.request().method() !== 'POST' || lost++ > 0) return route.continue();
      await route.fetch();
      await route.abort();
    });
    const buffer = Buffer.from('id,profile,district\nlost-1,waste-bin,harbour\nlost-2,waste-bin,harbour\n');
    await page.locator('input[type=file]').setInputFiles({ name: 'bins.csv', mimeType: 'text/csv', buffer });
    await page.getByRole('button', { name: 'Register 2' }).click();
    await page.locator('#import-progress', { hasText: '2 of 2: 2 registered, 0 refused' }).waitFor();
    expect(lost).toBe(2);
    const secrets = decodeURIComponent((await page.getByText('Download the new secrets').getAttribute('href'))!);
    const [, secret] = /^lost-2,(.+)$/m.exec(secrets)!;
    const sent = await fetch(`${base}/ingest/lost-2`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: '{"metrics": {"fill": 1}}',
    });
    expect(sent.status).toBe(200);
  });

  test('lists - the server orders them by a column, and a place or a part of the map limits them', async () => {
    const far = { lat: 32.08, lon: 118.71 };
    const near = { lat: 32.0153, lon: 118.7604 };
    const ticket = { service: 'waste', district: 'harbour' };
    await server.post('/api/v1/tickets', { ...ticket, title: 'Order one', severity: 'info', location: far });
    await server.post('/api/v1/tickets', { ...ticket, title: 'Order two', severity: 'critical', location: near });
    await server.post('/api/v1/tickets', { ...ticket, title: 'Order three', severity: 'low', location: near });
    const page = await signedIn('List Orderer', 'admin');
    await page.goto(`${base}/tickets?q=Order`);
    const titles = () => page.locator('tr[data-id] td.title').allTextContents();
    await expect.poll(titles).toEqual(['Order three', 'Order two', 'Order one']);
    const severity = page.getByRole('columnheader', { name: 'Severity' });
    await severity.getByRole('button').click();
    await expect.poll(titles).toEqual(['Order one', 'Order three', 'Order two']);
    expect(await severity.getAttribute('aria-sort')).toBe('ascending');
    await severity.getByRole('button').click();
    await expect.poll(titles).toEqual(['Order two', 'Order three', 'Order one']);
    expect(new URL(page.url()).searchParams.get('sort')).toBe('-severity');
    await page.getByRole('button', { name: 'Near a place' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Latitude').fill(String(near.lat));
    await dialog.getByLabel('Longitude').fill(String(near.lon));
    await dialog.getByRole('button', { name: 'Show what is near' }).click();
    await expect.poll(titles).toEqual(['Order two', 'Order three']);
    expect(await axeFaults(page)).toEqual([]);
    await page.getByRole('button', { name: 'Anywhere' }).click();
    await expect.poll(titles).toHaveLength(3);

    const device = { profile: 'waste-bin', district: 'harbour', location: near };
    await server.post('/api/v1/devices', [
      { ...device, id: 'ord-1', name: 'Zebra' },
      { ...device, id: 'ord-2', name: 'Ant', location: far },
    ]);
    await page.goto(`${base}/devices?q=ord-`);
    const names = () => page.locator('td.title a').allTextContents();
    await expect.poll(names).toEqual(['Zebra', 'Ant']);
    await page.getByRole('columnheader', { name: 'Device' }).getByRole('button').click();
    await expect.poll(names).toEqual(['Ant', 'Zebra']);
    // The map says which part of it somebody looks at.
    await page.goto(base);
    await page.locator('.map[aria-busy=false]').waitFor();
    await page.locator('.map').hover();
    await page.mouse.wheel(0, -400);
    await page.getByRole('link', { name: 'Devices on this part of the map' }).click();
    await page.waitForURL('**/devices?bbox=*');
    await page.getByRole('button', { name: 'In a part of the map' }).waitFor();
  });

  test('tickets - of more than 200 all are counted, and scrolling, filters, an order and words reach each', async () => {
    const count = 230;
    for (let n = 0; n < count; n += 10)
      await Promise.all(Array.from({ length: 10 }, (_, i) => open(`Numbered ${n + i}`, 'noise')));
    const page = await signedIn('Many Tickets', 'operator');
    // The page that opened with the sign-in reads events, too.
    await page.goto('about:blank');
    const read: number[] = [];
    await page.route('**/api/v1/events?*', async (route) => {
      const response = await route.fetch();
      read.push(((await response.json()) as { items: unknown[] }).items.length);
      await route.fulfill({ response });
    });
    await page.goto(base);
    const { byStatus } = await server.get<{ byStatus: Record<string, number> }>('/api/v1/tickets/counts');
    expect(byStatus.open).toBeGreaterThanOrEqual(count);
    const counter = page.getByRole('link', { name: /open$/ }).locator('b');
    await expect.poll(() => counter.textContent()).toBe(String(byStatus.open));
    // The feed begins with what it shows, not with all that there ever was.
    await page.locator('#feed li', { hasText: `Numbered ${count - 1}` }).waitFor();
    expect(read.length).toBeGreaterThan(0);
    expect(read.reduce((sum, items) => sum + items, 0)).toBeLessThanOrEqual(100);
    await page.unroute('**/api/v1/events?*');
    // A page that somebody only looks at asks for little: here between two questions whether the server is ready.
    const isReady = (response: Response) => response.url().endsWith('/ready');
    const idle: Response[] = [];
    await page.waitForResponse(isReady);
    page.on('response', (response) => idle.push(response));
    await page.waitForResponse(isReady);
    const sizes = await Promise.all(idle.map((response) => response.request().sizes()));
    expect(sizes.reduce((sum, { responseBodySize }) => sum + responseBodySize, 0)).toBeLessThan(20_000);

    await page.goto(`${base}/tickets?service=noise`);
    await page.locator('#counts', { hasText: `${count} need work` }).waitFor();
    const rows = page.locator('tr[data-id]');
    const first = rows.filter({ hasText: /Numbered 0(?!\d)/ });
    await rows.first().waitFor();
    expect(await rows.count()).toBeLessThan(count);
    await until(
      async () => {
        await page.evaluate('document.querySelector("main").scrollTo(0, 1e9)');
        return (await rows.count()) === count;
      },
      'all tickets',
      50,
    );
    expect(await first.count()).toBe(1);
    await page.goto(`${base}/tickets?service=noise&sort=opened`);
    await expect.poll(() => rows.first().locator('td.title').textContent()).toMatch(/^Numbered \d$/);
    await page.goto(`${base}/tickets`);
    await page.getByRole('searchbox', { name: 'Search' }).fill('numbered 117');
    await expect.poll(() => rows.locator('td.title').allTextContents()).toEqual(['Numbered 117']);
    // On a tablet everything is on the screen.
    await page.setViewportSize({ width: 820, height: 1180 });
    const due = (await rows.locator('td[data-label=Due]').boundingBox())!;
    expect(due.width).toBeGreaterThan(0);
    expect(due.x + due.width).toBeLessThanOrEqual(820);
  });

  test('api - its page finds a route, sends it with the values of the form, and shows it as a command', async () => {
    const page = await browser.visit('/docs');
    await page.getByLabel('Key, to try requests').fill(ADMIN_KEY);
    await page.getByRole('searchbox', { name: 'Search' }).fill('registers device array');
    await page.getByText('1 found').waitFor();
    await page.locator('#docs details:visible summary').first().click();
    await page.locator('#docs details pre:visible', { hasText: 'the-secret-of-bin-1' }).waitFor();
    const form = page.getByRole('form', { name: 'POST /api/v1/devices' });
    const body = JSON.stringify({ id: 'tried-1', profile: 'waste-bin', district: 'harbour' });
    await form.getByRole('textbox').last().fill(body);
    const command = form.locator('pre').first();
    expect(await command.textContent()).toContain(`--data-binary '${body}'`);
    expect(await command.textContent()).not.toContain(ADMIN_KEY);
    await form.getByRole('button', { name: 'Send (it changes this server)' }).click();
    await form.locator('pre.good', { hasText: '201' }).waitFor();
    expect((await server.get<Device>('/api/v1/devices/tried-1')).profile).toBe('waste-bin');
    await form.getByRole('button', { name: 'Send (it changes this server)' }).click();
    await form.locator('pre.bad', { hasText: 'tried-1' }).waitFor();
    expect(await axeFaults(page)).toEqual([]);
  });

  test('commands - a device is told something, which waits for it; what it should be stands beside what it is', async () => {
    await server.post('/api/v1/devices', { id: 'lamp-9', profile: 'streetlight', district: 'harbour' });
    const page = await signedIn('Lamp Keeper', 'admin');
    await page.goto(`${base}/devices/lamp-9`);
    const panel = page.getByRole('region', { name: 'Commands and desired state' });
    await panel.getByLabel('level').fill('400');
    await panel.getByRole('button', { name: 'Send' }).click();
    await panel.getByRole('alert').waitFor();
    await panel.getByLabel('level').fill('40');
    await panel.getByRole('button', { name: 'Send' }).click();
    await panel.locator('[data-command]', { hasText: 'waits for the device' }).waitFor();
    await panel.getByLabel('Desired state (JSON)').fill('{"schedule": "dusk"}');
    await panel.getByRole('button', { name: 'Save' }).click();
    await panel.getByText('Not as desired: /schedule').waitFor();
    await panel.getByRole('button', { name: 'Cancel' }).click();
    await panel.locator('[data-command]', { hasText: 'cancelled' }).waitFor();
  });

  test('silences - one that recurs is made from a ticket in two clicks, and stands in the weeks', async () => {
    const page = await signedIn('Silence Maker', 'operator', 'waste');
    await page.goto(`${base}/silences?rule=bin-full`);
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('combobox', { name: 'Only during' }).click();
    await page.getByRole('option', { name: 'Night' }).click();
    await dialog.getByRole('combobox', { name: 'For how long' }).click();
    await page.getByRole('option', { name: '7 d' }).click();
    await dialog.getByLabel('Why').fill('night market');
    await dialog.getByRole('button', { name: 'New silence' }).click();
    await page.locator('td .pill', { hasText: 'Night' }).waitFor();
    await page.getByText('Weeks', { exact: true }).click();
    const bars = page.locator('.week .silence', { hasText: 'night market' }).locator('.on');
    await bars.first().waitFor();
    // Eight nights at most, whatever time it is now.
    expect(await bars.count()).toBeGreaterThanOrEqual(7);
    expect(await axeFaults(page)).toEqual([]);
  });

  test('pages - none of all these wrote an error, broke its policy or asked another host', () => {
    expect(browser.faults()).toEqual([]);
  });
});

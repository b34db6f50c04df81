import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from '../../../domain/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
  api.incidents(25);
  for (let i = 0; i < 20; i++) api.register(`p${String(i).padStart(2, '0')}`);
});
afterAll(() => api.stop());

type Item = Record<string, unknown>;

async function page(path: string): Promise<Page<Item>> {
  const response = await api.fetch(path);
  expect(response.status, path).toBe(200);
  return (await response.json()) as Page<Item>;
}

/** Follows `next` to the end; `between` happens after each page. */
async function follow(path: string, limit: number, between: () => void = () => {}): Promise<Item[]> {
  const items: Item[] = [];
  const query = `${path}${path.includes('?') ? '&' : '?'}limit=${limit}`;
  for (let after: string | null = ''; after !== null; ) {
    const found: Page<Item> = await page(after === '' ? query : `${query}&after=${encodeURIComponent(after)}`);
    expect(found.items.length).toBeLessThanOrEqual(limit);
    if (found.next !== null) expect(found.items).toHaveLength(limit);
    items.push(...found.items);
    after = found.next;
    between();
  }
  return items;
}

const LISTS = [
  ['/api/v1/devices', 22],
  ['/api/v1/devices?profile=bin&district=east', 22],
  ['/api/v1/quarantine', 26],
  ['/api/v1/quarantine?device=d1', 24],
  ['/api/v1/quarantine?reason=unknown-metric', 12],
  ['/api/v1/alerts?state=firing', 25],
  ['/api/v1/tickets?department=environment', 25],
  ['/api/v1/events', 50],
  ['/api/v1/events?type=city.lamppost.ticket.opened', 25],
] as const;

describe('lists', () => {
  test.each(LISTS)('%s - pages of any size have all items, each once, in the same order', async (path, count) => {
    const whole = await follow(path, 1_000);
    expect(whole).toHaveLength(count);
    expect(new Set(whole.map((item) => JSON.stringify(item))).size).toBe(count);
    for (const limit of [1, 5, count - 1, count, count + 1]) expect(await follow(path, limit)).toEqual(whole);
  });

  test.each(LISTS)('%s - a page that ends with the last item has no next', async (path, count) => {
    expect((await page(`${path}${path.includes('?') ? '&' : '?'}limit=${count}`)).next).toBeNull();
  });

  test('items added between two pages neither repeat nor hide others', async () => {
    const before = await follow('/api/v1/tickets', 1_000);
    expect(await follow('/api/v1/tickets', 4, () => api.incidents(1))).toEqual(before);
    const events = await follow('/api/v1/events?type=city.lamppost.ticket.opened', 1_000);
    let more = 3;
    const grown = await follow('/api/v1/events?type=city.lamppost.ticket.opened', 5, () => {
      if (more-- > 0) api.incidents(1);
    });
    expect(grown.slice(0, events.length)).toEqual(events);
    expect(grown).toHaveLength(events.length + 3);
  });

  test('a filter without a match is an empty page', async () => {
    for (const path of [
      '/api/v1/devices?profile=x',
      '/api/v1/alerts?rule=x',
      '/api/v1/tickets?group=x',
      '/api/v1/events?ticket=x',
    ])
      expect(await page(path)).toEqual({ items: [], next: null });
  });
});

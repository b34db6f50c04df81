import { expect, test } from 'vitest';
import { type Page, SEVERITIES, TICKET_STATUSES, type Ticket } from '../../../domain/index.ts';
import {
  createTicketReader,
  createTicketStore,
  TICKET_ORDERS,
  TICKET_SCHEMA,
  type TicketQuery,
} from '../../../tickets/index.ts';
import { openMigrated } from '../../kit/store/new-state.ts';
import { ticketOf } from '../../kit/tickets/scene.ts';

/** A file with `count` tickets; every thousandth, from the oldest on, is of another department. */
function openTickets(count: number) {
  const db = openMigrated(':memory:', [TICKET_SCHEMA]);
  createTicketStore(db).insert(ticketOf('1.0', { group: 'g1' }));
  const columns = db
    .prepare("select name from pragma_table_info('tickets') where name not in ('n', 'id', 'department')")
    .all()
    .map(({ name }) => `"${name}"`)
    .join();
  db.exec(`
    with recursive more(i) as (select 2 union all select i + 1 from more where i < ${count})
    insert into tickets (n, id, department, ${columns})
      select i, 't-' || i, case when i % 1000 = 2 then 'rare' else department end, ${columns}
      from more, (select * from tickets where n = 1)`);
  return { db, reader: createTicketReader(db) };
}

const idsOf = (items: readonly { readonly id: string }[]) => items.map(({ id }) => id);

test('ticket pages - a page is the same at once and in turns; other work of the thread runs in between', async () => {
  const { reader } = openTickets(9_000);
  const pages: TicketQuery[] = [
    { limit: 10 },
    { limit: 1_000, after: '5000' },
    { limit: 5, department: 'rare' },
    { limit: 100, department: 'rare', after: '4002' },
    { limit: 3, seenBy: ['rare'] },
    { limit: 3, department: 'nobody' },
  ];
  for (const query of pages) expect(await reader.listInTurns(query)).toEqual(reader.list(query));
  expect(idsOf(reader.list({ limit: 5, department: 'rare' }).items)).toEqual(
    [8_002, 7_002, 6_002, 5_002, 4_002].map((n) => `t-${n}`),
  );
  expect(reader.list({ limit: 9, department: 'rare' }).next).toBeNull();
  expect(reader.list({ limit: 8, department: 'rare' }).next).toBe('1002');
  let turns = 0;
  let running = true;
  const other = (): void => {
    turns++;
    if (running) setImmediate(other);
  };
  setImmediate(other);
  await reader.listInTurns({ limit: 10, seenBy: ['nobody'] });
  running = false;
  expect(turns).toBeGreaterThanOrEqual(5);
});

test('ticket pages - a page ends after a megabyte of text, and its next leads to every other ticket, once each', () => {
  const { db, reader } = openTickets(40);
  db.exec(`update tickets set description = printf('%.*c', 100000, 'x')`);
  const sizes: number[] = [];
  const seen: string[] = [];
  let after: string | null = null;
  do {
    const page: ReturnType<typeof reader.list> = reader.list({ limit: 30, after });
    sizes.push(page.items.length);
    seen.push(...idsOf(page.items));
    after = page.next;
  } while (after !== null);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(11);
  expect(seen).toHaveLength(40);
  expect(new Set(seen).size).toBe(40);
  db.exec(`update tickets set description = printf('%.*c', 2000000, 'x')`);
  expect(reader.list({ limit: 30 }).items, 'one ticket at least').toHaveLength(1);
});

test('ticket pages - no statement of a list scans the table, whatever it is filtered by', () => {
  const { db, reader } = openTickets(100);
  const prepared: string[] = [];
  const prepare = db.prepare.bind(db);
  db.prepare = (sql) => {
    prepared.push(sql);
    return prepare(sql);
  };
  const one = ['status', 'origin', 'service', 'department', 'party', 'district', 'severity', 'rule', 'group', 'parent'];
  for (const name of one) reader.list({ limit: 10, [name]: 'x' });
  for (const sort of TICKET_ORDERS) reader.list({ limit: 10, sort });
  reader.list({ limit: 10, seenBy: ['x'], department: ['x', 'y'], status: 'open' });
  reader.list({ limit: 10, after: '50' });
  expect(prepared.length).toBeGreaterThan(20);
  for (const sql of prepared.filter((text) => !text.includes('max(n)'))) {
    const plan = prepare(`explain query plan ${sql}`)
      .all()
      .map(({ detail }) => String(detail));
    const scans = plan.filter((detail) => /^SCAN (?!json_each|CONSTANT)/.test(detail));
    expect(scans, sql).toEqual([]);
  }
});

/** What each order compares of a ticket, as a text that is compared by characters. */
const RANKED: Readonly<Record<string, (ticket: Ticket) => string>> = {
  opened: ({ id }) => String(Number.parseInt(id.slice(2), 10)).padStart(9, '0'),
  updated: ({ updatedAt }) => updatedAt,
  due: ({ dueAt }) => dueAt,
  severity: ({ severity }) => String(SEVERITIES.indexOf(severity)),
  status: ({ status }) => String(TICKET_STATUSES.indexOf(status)),
};

/** 5,000 tickets that differ in all that they are ordered by; many have the same key. */
function mixedTickets() {
  const { db, reader } = openTickets(5_000);
  db.exec(`
    update tickets set severity = json_extract('${JSON.stringify(SEVERITIES)}', '$[' || (n % 5) || ']'),
      status = json_extract('${JSON.stringify(['open', 'acknowledged', 'assigned', 'in_progress'])}', '$[' || (n % 4) || ']'),
      rule = null, "group" = null,
      due_at = strftime('%Y-%m-%dT%H:%M:%fZ', 1750000000 + (n * 7919) % 977, 'unixepoch'),
      updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 1750000000 + (n * 104729) % 1009, 'unixepoch')`);
  return reader;
}

test.each(TICKET_ORDERS)('ticket pages - in the order %s every ticket comes once, page by page', async (sort) => {
  const reader = mixedTickets();
  const seen: Ticket[] = [];
  let after: string | null = null;
  do {
    const page: Page<Ticket> = await reader.listInTurns({ limit: 900, sort, severity: ['low', 'high'], after });
    seen.push(...page.items);
    after = page.next;
  } while (after !== null);
  const of = RANKED[sort.replace('-', '')]!;
  const keyOf = (ticket: Ticket) => `${of(ticket)} ${RANKED.opened!(ticket)}`;
  expect(seen).toHaveLength(2_000);
  expect(new Set(idsOf(seen)).size).toBe(2_000);
  const sorted = seen.map(keyOf).sort();
  expect(seen.map(keyOf)).toEqual(sort.startsWith('-') ? sorted.reverse() : sorted);
});

test('ticket pages - an order refuses the next of another one', () => {
  const { reader } = openTickets(3);
  const { next } = reader.list({ limit: 1 });
  expect(() => reader.list({ limit: 1, sort: 'due', after: next })).toThrow('is not the next of a page in this order');
  const other = reader.list({ limit: 1, sort: 'due' }).next;
  expect(() => reader.list({ limit: 1, after: other })).toThrow('is not the next of a page');
});

import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStateFile } from '../../../../app/threads/state.ts';
import { CITIZENS_FILE, type CitizenStore, createCitizenStore, createShown } from '../../../../citizens/index.ts';
import { createRequestReader, createTicketReader } from '../../../../tickets/index.ts';
import { testDir } from '../../../kit/ingest/intake.ts';

let dir: string;
beforeEach(() => {
  dir = testDir();
});
afterEach(() => rmSync(dir, { recursive: true }));

const AT = '2026-01-01T00:00:00.000Z';
const WORD = 'zephyrquill';

/** Writes a ticket as versions before wrote it: the words of its citizen are in its row. */
function writeOld(db: DatabaseSync, given: Readonly<Record<string, string | number | null>>): void {
  const row: Record<string, string | number | null> = {
    ...{ version: 1, origin: 'citizen', status: 'closed', title: 'T', title_zh: '题', service: 's', department: 'd' },
    ...{ district: 'east', severity: 'medium', opened_at: AT, updated_at: AT, due_at: AT, ...given },
  };
  const columns = Object.keys(row);
  const sql = `insert into tickets (${columns.join(', ')}) values (${columns.map(() => '?').join(', ')})`;
  db.prepare(sql).run(...Object.values(row));
}

const WORDS = {
  description: `${WORD} is dark`,
  address: `${WORD} Lane`,
  address_id: `${WORD}-7`,
  media_url: `https://photos.example/${WORD}.jpg`,
  attributes: JSON.stringify({ pole: WORD }),
};

function writeAll(): void {
  const db = openStateFile(dir);
  writeOld(db, { id: 'r-1', ...WORDS, stars: 5, rating_comment: `${WORD} was quick`, rated_at: AT });
  writeOld(db, { id: 'r-1-p1', parent: 'r-1', relation: 'part', address: WORDS.address });
  writeOld(db, { id: 'r-1-p1-p1', parent: 'r-1-p1', relation: 'part', address: WORDS.address });
  writeOld(db, { id: 'r-2', parent: 'r-1', relation: 'report', stars: 3, rating_comment: '', rated_at: AT });
  writeOld(db, { id: 'o-1', origin: 'operator', description: 'by hand', address: 'Town Hall' });
  for (let n = 0; n < 600; n++) writeOld(db, { id: `r-x${n}`, ...WORDS });
  const note = db.prepare(
    "insert into ticket_changes values ('r-1', 0, ?, 'reporter', 'rated', 'closed', 'closed', ?, null)",
  );
  note.run(AT, `5 of 5: ${WORD} was quick`);
  db.close();
}

function openCitizens(): CitizenStore {
  return createCitizenStore({ path: join(dir, CITIZENS_FILE) }).open();
}

/** The files of the folder that hold a text. */
const filesWith = (text: string) => readdirSync(dir).filter((name) => readFileSync(join(dir, name)).includes(text));

function expectMoved(): void {
  const db = openStateFile(dir);
  const store = openCitizens();
  const reader = createTicketReader(db);
  const shown = createShown(store);
  const [whole, part, deeper, report, byHand] = ['r-1', 'r-1-p1', 'r-1-p1-p1', 'r-2', 'o-1'].map(
    (id) => reader.get(id)!,
  );
  expect(whole).toMatchObject({ description: null, address: null, statement: 'r-1', rating: { comment: '' } });
  expect(whole!.history).toMatchObject([{ action: 'rated', note: '5 of 5' }]);
  expect(shown.ticket(whole!)).toMatchObject({
    ...{ description: WORDS.description, address: WORDS.address },
    rating: { stars: 5, comment: `${WORD} was quick` },
  });
  expect(shown.request(createRequestReader(db).get('r-1')!)).toMatchObject({
    ...{ addressId: `${WORD}-7`, mediaUrl: WORDS.media_url, attributes: { pole: WORD } },
  });
  expect([part!.statement, deeper!.statement, report!.statement]).toEqual(['r-1', 'r-1', 'r-2']);
  expect(shown.ticket(deeper!)).toMatchObject({ address: WORDS.address });
  expect(shown.ticket(report!)).toMatchObject({
    description: null,
    rating: { stars: 3, comment: '', statement: null },
  });
  expect(byHand).toMatchObject({ description: 'by hand', address: 'Town Hall', statement: null });
  expect(() => db.exec("update ticket_changes set note = 'x'")).toThrow('never edited');
  expect(shown.ticket(reader.get('r-x599')!)).toMatchObject({ description: WORDS.description });
  expect(filesWith(WORD).every((name) => name.startsWith(CITIZENS_FILE))).toBe(true);
  store.remove(['r-1', 'r-1-rated', ...Array.from({ length: 600 }, (_, n) => `r-x${n}`)]);
  expect(filesWith(WORD)).toEqual([]);
  store.close();
  db.close();
}

test('older tickets - what citizens wrote moves out of them at the next start, and can be removed from every byte', () => {
  writeAll();
  expect(filesWith(WORD)).toContain('state.sqlite');
  openStateFile(dir).close();
  expectMoved();
});

test('older tickets - a move that a crash interrupted is done again, and reporters of before stay', () => {
  const store = openCitizens();
  const reporter = { name: 'Lin', email: null, phone: null, deviceId: null, accountId: null, reportedAt: AT };
  const statement = { description: null, address: null, addressId: null, mediaUrl: null, attributes: {} };
  // Its words were there, but had not left the state; or only the reporter was there.
  store.put({ id: 'r-1', storedMs: 0, statement, reporter, repeat: null });
  store.close();
  writeAll();
  openStateFile(dir).close();
  const again = openCitizens();
  expect(again.reporter('r-1')).toEqual(reporter);
  again.close();
  expectMoved();
});

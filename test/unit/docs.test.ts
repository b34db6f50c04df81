import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { pageOf as settingsPage } from '../../app/settings.ts';
import { fencedBlocks } from '../kit/documents.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MOST = 120;

const below = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name.replaceAll('\\', '/')}`);
const PAGES = ['README.md', 'README.zh.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', ...below];
const ADRS = below.filter((name) => /^docs\/adr\/\d{4}-/.test(name));

const read = (page: string) => readFileSync(join(ROOT, page), 'utf8');

interface Line {
  readonly number: number;
  readonly text: string;
}

/** The lines of a page outside of code fences. */
function prose(page: string): Line[] {
  let fenced = false;
  return read(page)
    .split('\n')
    .map((text, i) => ({ number: i + 1, text }))
    .filter(({ text }) => {
      const fence = /^\s*(```|~~~)/.test(text);
      if (fence) fenced = !fenced;
      return !fenced && !fence;
    });
}

/** `a/{b,c}.ts` as `a/b.ts` and `a/c.ts`. */
function expand(path: string): string[] {
  const [, before, list, after] = /^(.*?)\{(.*?)\}(.*)$/.exec(path) ?? [];
  if (list === undefined) return [path];
  return list.split(',').flatMap((part) => expand(`${before}${part}${after}`));
}

test.each(PAGES)('docs - %s has no line of text over 120 characters', (page) => {
  const long = prose(page).filter(({ text }) => text.length > MOST && !/^\s*\|/.test(text));
  expect(long.map(({ number, text }) => `${page}:${number} has ${text.length}`)).toEqual([]);
});

test.each(PAGES)('docs - no code block of %s has a line over 120 characters', (page) => {
  const lines = fencedBlocks(page).flatMap(({ line, text }) =>
    text.split('\n').map((one, i) => [line + i, one] as const),
  );
  expect(lines.filter(([, one]) => one.length > MOST).map(([n, one]) => `${page}:${n} has ${one.length}`)).toEqual([]);
});

test.each(PAGES)('docs - every relative link of %s leads to a file', (page) => {
  const links = [
    ...prose(page)
      .map(({ text }) => text)
      .join('\n')
      .matchAll(/\]\(([^)\s]+)\)/g),
  ].map(([, to]) => to!);
  const files = links.filter((to) => !/^([a-z]+:|#)/.test(to)).map((to) => to.split('#')[0]!);
  expect(files.filter((file) => !existsSync(join(ROOT, dirname(page), file)))).toEqual([]);
});

test('docs - every path in the table of promises of the README exists', () => {
  const [, section] = /^## Promises.*?\n(.*?)^## /ms.exec(read('README.md'))!;
  const rows = section!.split('\n').filter((line) => /^\| \d/.test(line));
  const paths = rows.map((row) => [...row.matchAll(/`(test\/[^`]+)`/g)].flatMap(([, path]) => expand(path!)));
  expect(rows).toHaveLength(7);
  expect(paths.flat().length).toBeGreaterThan(15);
  expect(paths.flat().filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

/** Pages whose paths are those of today; a decision or a line of the changelog keeps the names of its time. */
const CURRENT = PAGES.filter((page) => page !== 'CHANGELOG.md' && !page.startsWith('docs/adr/'));
/** `city/` is left out: a city may have files that the sample city does not have. */
const FOLDERS = readdirSync(ROOT, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);

/** A topic that looks like a file of the room. */
const TOPIC = 'events/clock';

test.each(CURRENT)('docs - every file and folder of ours that %s names exists', (page) => {
  const text = prose(page).map((line) => line.text);
  const named = [...text.join('\n').matchAll(/`([a-z][\w-]*)(\/[\w./-]*[\w/])`/g)];
  const ours = named
    .filter(([, folder, rest]) => FOLDERS.includes(folder!) && folder !== 'city' && `${folder}${rest}` !== TOPIC)
    .map(([, folder, rest]) => `${folder}${rest}`);
  expect(ours.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

test('docs - docs/README.md leads to every page', () => {
  const text = read('docs/README.md');
  const pages = below.filter((page) => /^docs\/[\w.-]+\.md$/.test(page) && page !== 'docs/README.md');
  expect(pages.length).toBeGreaterThan(30);
  expect(pages.filter((page) => !text.includes(`](${page.slice('docs/'.length)})`))).toEqual([]);
});

test('docs - the tables of settings.md are those of the settings ("--update=all" writes them anew)', async () => {
  const page = 'docs/settings.md';
  await expect(settingsPage(read(page))).toMatchFileSnapshot(join(ROOT, page));
});

test.each(ADRS)('docs - %s has a status, a date and what was not taken', (page) => {
  const text = read(page);
  expect(text).toMatch(/^Status: \S/m);
  expect(text).toMatch(/\bDate: \d{4}-\d{2}-\d{2}\b/);
  expect(text).toMatch(/^Not taken\b/m);
});

test('docs - the Chinese README has the commands of the English one', () => {
  const commands = (page: string) =>
    fencedBlocks(page)
      .filter(({ language }) => language === 'sh')
      .map(({ text }) => text.replaceAll(/ +# .*$/gm, ''));
  expect(commands('README.md').length).toBeGreaterThan(2);
  expect(commands('README.zh.md')).toEqual(commands('README.md'));
});

/** Words that say less than the terms of the field; what outside programs or stored tables lean on keeps them. */
const AVOIDED = new Set([
  ...['told', 'tell', 'tells', 'telling', 'hear', 'hears', 'heard', 'hearing', 'deed', 'deeds', 'desk', 'desks'],
  ...['keeper', 'keepers', 'mend', 'mends', 'mended', 'mending', 'befell', 'ladder', 'ladders', 'harden', 'hardened'],
  ...['office', 'offices', 'book', 'books', 'answer', 'answers', 'answered', 'answering', 'figure', 'figures'],
  ...['harder', 'acceptance', 'acceptances', 'remember', 'remembers', 'remembered', 'remembering'],
  ...['befall', 'befalls', 'hearer', 'hearers'],
]);
/** Right uses of such words, file by file. */
const RIGHT: Readonly<Record<string, readonly string[]>> = {
  // Citizens answer the questions of a service.
  'api/open311/submission.ts': ['answer', 'answers'],
  'api/responses/citizens.ts': ['answer', 'answers'],
  'api/routes/citizens.ts': ['answer', 'answers'],
  'console/src/api/schema.ts': ['answer', 'answers'],
  'console/src/pages/ticket/Report.tsx': ['answer', 'answers'],
  'console/src/public/Report.tsx': ['answer'],
  'console/src/texts/refusals.ts': ['answer'],
  'docs/adr/0021-what-citizens-write-stands-apart.md': ['answers'],
  'docs/open311.md': ['answer', 'answers'],
  'docs/tickets.md': ['answer', 'answers'],
  'domain/errors.ts': ['answer'],
  'domain/service.ts': ['answer', 'answers'],
  // Steps of a schema stay as they were.
  'events/outbox.ts': ['deed', 'hearers'],
  'tickets/schema.ts': ['deed', 'deeds', 'told'],
  'notify/schema.ts': ['answer'],
  // The name of a department.
  'city/departments.yaml': ['office'],
  // The element of HTML.
  'console/src/pages/ticket/Evidence.tsx': ['figure'],
};
const TEXTS = /\.(ts|tsx|js|ya?ml)$/;

/** Returns the words of a text, those of names such as `openDesk` among them. */
const wordsOf = (text: string) => new Set(text.match(/[A-Z]?[a-z]+/g)?.map((word) => word.toLowerCase()));

const avoidedIn = (path: string) =>
  [...wordsOf(read(path))].filter((word) => AVOIDED.has(word) && !RIGHT[path]?.includes(word));

function codeIn(folder: string): string[] {
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => TEXTS.test(name)).map((name) => `${folder}/${name.replaceAll('\\', '/')}`);
}

const ROOMS = FOLDERS.filter((name) => existsSync(join(ROOT, name, 'index.ts')));
const CODE = [...ROOMS, 'bin', 'city', 'console/src', 'console/build', 'release'].flatMap(codeIn);

test('docs - no comment of the code has a line over 120 characters', () => {
  const long = CODE.filter((path) => path.endsWith('.ts') || path.endsWith('.tsx')).flatMap((path) => {
    const comments = read(path).matchAll(/^ *(?:\/\*\*|\*|\/\/) .*$/gm);
    return [...comments].filter(([line]) => line.length > MOST).map(([line]) => `${path}: ${line}`);
  });
  expect(long).toEqual([]);
});

test('docs - the words of code, texts and pages are terms of the field', () => {
  const files = [...CODE, ...PAGES];
  expect(files.length).toBeGreaterThan(800);
  const found = files.filter((page) => page !== 'CHANGELOG.md').map((path) => [path, avoidedIn(path)] as const);
  expect(found.filter(([, words]) => words.length > 0)).toEqual([]);
  const unused = Object.entries(RIGHT).flatMap(([path, words]) =>
    words.filter((word) => !wordsOf(read(path)).has(word)).map((word) => `${path}: ${word}`),
  );
  expect(unused).toEqual([]);
  expect([...wordsOf('openDesk whoTold')].filter((word) => AVOIDED.has(word))).toEqual(['desk', 'told']);
});

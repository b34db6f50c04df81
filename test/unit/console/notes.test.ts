import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type NoteWords, noteInChinese } from '../../../console/src/texts/notes.ts';
import { END_CAUSES } from '../../../domain/index.ts';
import { LEFT } from '../../../tickets/alert-changes.ts';

const words: NoteWords = {
  severity: (id) => ({ high: '高', low: '低' })[id] ?? id,
  department: (id) => ({ waste: '环境卫生处' })[id] ?? id,
  metric: (id) => ({ fill: '装满程度' })[id] ?? id,
  fn: (id) => ({ mean: '平均值' })[id] ?? id,
  op: (id) => ({ above: '高于' })[id] ?? id,
  time: (iso) => iso.slice(0, 10),
};

test.each([
  ['opened: mean of fill is 95 (alert above 90)', '已建立：装满程度的平均值为 95（高于 90 触发告警）'],
  [
    'fired again, escalated from low to high: fill is 99 (alert above 90)',
    '再次触发，级别由低升为高：装满程度为 99（高于 90 触发告警）',
  ],
  [
    'alert resolved, confirm on site: fill is 5 (alert above 90)',
    '告警已解除，需现场确认：装满程度为 5（高于 90 触发告警）',
  ],
  ['opened: fill is open (alert where it is open or stuck)', '已建立：装满程度为 open（是 open 或 stuck 时触发告警）'],
  ['opened: fill is open (alert where it is not shut)', '已建立：装满程度为 open（不是 shut 时触发告警）'],
  ['offered to waste until 2026-11-29T10:00:00.000Z', '已派给环境卫生处，请在 2026-11-29 前接单'],
  ['to waste: bring a ladder', '交给环境卫生处：bring a ladder'],
  ['severity from low to high', '级别由低改为高'],
  ['escalated from low to high: the rule was changed', '级别由低升为高：规则已修改'],
])('notes - "%s" is shown in Chinese', (note, zh) => {
  expect(noteInChinese(note, words)).toBe(zh);
});

test('notes - what a person wrote stays as it is', () => {
  expect(noteInChinese('the crew is on its way', words)).toBe('the crew is on its way');
});

/** The notes in the sources of the tickets, with an example in place of each value. */
function notesInSources(): string[] {
  const EXAMPLES: readonly (readonly [RegExp, string])[] = [
    [/^verb$/, 'resolved'],
    [/^missing$/, 'it is not resolved'],
    [/severity/, 'high'],
    [/describe|value/, 'fill is 1 (alert above 0)'],
    [/endingOf/, 'the rule is gone'],
    [/^to$/, 'from waste to roads'],
    [/^what/, 'fired again'],
    [/^more$/, ''],
  ];
  const example = (inner: string) => EXAMPLES.find(([pattern]) => pattern.test(inner))?.[1] ?? 'x';
  return globSync('tickets/*.ts').flatMap((file) => {
    const text = readFileSync(file, 'utf8');
    const quoted = text.matchAll(/(?:\bnote(?::| =)|updated\() ?(?:`([^`]+)`|'([^']+)')/g);
    const found = [...quoted].map(([, template, plain]) => template ?? plain!);
    return found.map((note) => note.replace(/\$\{([^{}]+)\}/g, (_, inner: string) => example(inner)));
  });
}

test('notes - every note that the tickets write has its Chinese', () => {
  const notes = notesInSources();
  expect(notes.length).toBeGreaterThan(20);
  expect(
    [...notes, ...Object.values(END_CAUSES)].filter((note) => !/[\u4e00-\u9fff]/.test(noteInChinese(note, words))),
  ).toEqual([]);
});

test('notes - why a ticket stays open has its Chinese', () => {
  for (const left of Object.values(LEFT))
    expect(noteInChinese(`alert resolved, ${left}: fill is 1 (alert above 0)`, words), left).toMatch(
      /^告警已解除，[^a-z]+：装满程度为 1/,
    );
});

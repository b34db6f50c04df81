import { expect, test } from 'vitest';
import { filterWords } from '../../../console/src/pages/receivers/filterWords.ts';
import { wordsOf } from '../../../console/src/pages/silences/words.ts';
import type { Says } from '../../../console/src/texts/says.ts';
import { zh } from '../../../console/src/texts/zh.ts';
import { MATCH_KEYS } from '../../../domain/index.ts';

const texts: Readonly<Record<string, string>> = zh;
const words: Says = {
  t: (key) => texts[key]!,
  term: (group: string, name: string) => texts[`${group}.${name}`] ?? name,
};
const name = (kind: string, id: string) => `${kind}的${id}`;

test('silences - what one is about is in Chinese, with the names of the city', () => {
  const matchers = { rule: ['r1'], severity: ['high', 'low'], department: ['d'], tags: { street: 'Pier' } };
  expect(wordsOf(matchers, words, name)).toBe('规则: r1 · 严重程度: 高, 低 · 部门: departments的d · street = Pier');
  for (const key of MATCH_KEYS) expect(wordsOf({ [key]: ['x'] }, words, name), key).not.toMatch(new RegExp(`^${key}`));
});

test('receivers - a filter is in Chinese, with the names of the city', () => {
  const filter = {
    types: ['city.lamppost.ticket.closed' as const],
    districts: ['east'],
    severities: ['high' as const],
  };
  expect(filterWords(filter, words, name)).toBe('工单 · 关闭; 区域: districts的east; 严重程度: 高');
  const all = { departments: ['d'], districts: ['d'], severities: ['info' as const], rules: ['r'], parties: ['p'] };
  expect(filterWords(all, words, name)).not.toMatch(/departments:|districts:|severities:|rules:|parties:/);
  expect(filterWords({}, words, name)).toBe('');
});

import { expect, test } from 'vitest';
import { axisLabels } from '../../../console/src/parts/axis.ts';

/** Epoch s of a local time: labels are in the zone of the browser. */
const at = (month: number, day: number, hour = 0, minute = 0, second = 0, year = 2026) =>
  new Date(year, month - 1, day, hour, minute, second).getTime() / 1_000;

test('axis - hours of a day have 24, with the day first and where another one begins', () => {
  const hours = [at(11, 29, 13), at(11, 29, 21), at(11, 30, 5)];
  expect(axisLabels(hours, 'zh-CN')).toEqual(['11月29日 13:00', '21:00', '11月30日 05:00']);
  expect(axisLabels(hours, 'en-GB')).toEqual(['29 Nov, 13:00', '21:00', '30 Nov, 05:00']);
});

test('axis - times nearer than a minute have seconds', () => {
  expect(axisLabels([at(1, 2, 3, 4, 0), at(1, 2, 3, 4, 30)], 'zh-CN')).toEqual(['1月2日 03:04:00', '03:04:30']);
});

test('axis - days have no time, and their year where there are several; the day is before the month in English', () => {
  expect(axisLabels([at(3, 4), at(3, 5)], 'en-GB')).toEqual(['4 Mar', '5 Mar']);
  expect(axisLabels([at(3, 4), at(3, 5)], 'zh-CN')).toEqual(['3月4日', '3月5日']);
  const years = [at(12, 1), at(1, 1, 0, 0, 0, 2027)];
  expect(axisLabels(years, 'en-GB')).toEqual(['1 Dec 2026', '1 Jan 2027']);
  expect(axisLabels(years, 'zh-CN')).toEqual(['2026年12月1日', '2027年1月1日']);
});

test('axis - none and one time', () => {
  expect(axisLabels([], 'zh-CN')).toEqual([]);
  expect(axisLabels([at(1, 2, 3, 4, 5)], 'en-GB')).toEqual(['2 Jan, 03:04:05']);
});

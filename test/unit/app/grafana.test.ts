import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { everyMetric, expectKnown, namesIn } from '../../kit/app/metrics.ts';

const textOf = (file: string) => readFileSync(new URL(`../../../docs/grafana/${file}`, import.meta.url), 'utf8');
/** The expressions of all panels. */
const queriesIn = (file: string, key: 'expr' | 'query') => {
  const { panels } = JSON.parse(textOf(file)) as { panels: { targets: Record<string, string>[] }[] };
  return panels.flatMap(({ targets }) => targets.map((target) => target[key] ?? ''));
};

test('grafana - every metric and label of the dashboard is one of /metrics', async () => {
  const { samples, names } = await everyMetric();
  const expressions = queriesIn('lamppost.json', 'expr');
  expect(expressions.flatMap(namesIn).length).toBeGreaterThan(20);
  expectKnown(expressions, { samples, names });
});

test('grafana - the dashboard of readings asks for metrics of the sample city', () => {
  const metrics = readFileSync(new URL('../../../city/metrics.yaml', import.meta.url), 'utf8');
  const asked = queriesIn('readings.json', 'query').map((query) => /mean\("(\w+)"\)/.exec(query)?.[1]);
  expect(asked.length).toBeGreaterThan(5);
  for (const metric of asked) expect(metrics).toMatch(new RegExp(`^${metric}:`, 'm'));
});

test('grafana - no dashboard names a data source, and its panels do not lie on each other', () => {
  for (const file of ['lamppost.json', 'readings.json']) {
    const text = textOf(file);
    const sources = Array.from(
      text.matchAll(/"type": "(?:prometheus|influxdb)",\s*"uid": "([^"]+)"/g),
      ([, uid]) => uid,
    );
    expect(new Set(sources), file).toEqual(new Set(['$' + '{datasource}']));
    const { panels } = JSON.parse(text) as { panels: { gridPos: { x: number; y: number; w: number; h: number } }[] };
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size, file).toBe(cells.length);
  }
});

import { expect, test } from 'vitest';
import { parseCity } from '../../../city-model/index.ts';
import { cityControl } from '../../kit/ingest/intake.ts';

const control = cityControl();
const title = { en: 'T', zh: '题' };

/** Returns the mistakes of a city with a changed service or inhibition, one per line. */
function mistakes(path: string, text: string): string[] {
  const files = [...control.files.filter((file) => file.path !== path), { path, text }];
  return parseCity({ version: 'changed', files }).problems.map(({ line, message }) => `${line} ${message}`);
}

const service = (more: string) =>
  `repair:\n  title: ${JSON.stringify(title)}\n  department: care\n  deadline: 1h\n  ${more}\n`;

test.each([
  ['warn: 80', /5 repair\.warn: not a share; write 80%/],
  ['warn: 120%', /5 repair\.warn: a share is between 1% and 99%/],
  ['calendar: weekend', /5 unknown calendar "weekend"/],
  ['escalate: [{ on: acknowledge, to: care }]', /5 .*the service sets no time to acknowledge; add "acknowledge: 30m"/],
  ['escalate: [{ on: resolve, to: caer }]', /5 unknown department "caer": did you mean "care"\?/],
  ['offer: [{ to: nobody, for: 1h }]', /5 unknown department "nobody"/],
  ['resolution: maybe', /5 repair\.resolution: "maybe" is not possible here/],
  ['gather: { by: [street], wait: 30s }', /5 repair\.gather\.by\.0: "street" is not possible here/],
  ['attributes: [{ code: a b, title: { en: A, zh: A }, datatype: text }]', /5 .*a code has letters/],
  ['attributes: [{ code: a, title: { en: A, zh: A }, datatype: singlevaluelist }]', /5 .*a list needs values/],
  [
    'attributes: [{ code: a, title: { en: A, zh: A }, datatype: text, values: { x: { en: X, zh: X } } }]',
    /5 .*only singlevaluelist/,
  ],
  ['cap: { category: env }', /5 repair\.cap\.category: "env" is not possible here: did you mean "Env"\?/],
  ['cap: { category: Pollution }', /5 repair\.cap\.category: .*known: Geo, Met, Safety, .*CBRNE, Other/],
  ['reopne: 1h', /5 repair\.reopne: unknown key: did you mean "reopen"\?/],
])('services - %s is a mistake that is reported at its place', (more, expected) => {
  expect(mistakes('services.yaml', service(more))).toEqual([expect.stringMatching(expected)]);
});

test('services - a category of CAP is optional', () => {
  const cityOf = (more: string) => {
    const files = control.files.filter(({ path }) => path !== 'services.yaml');
    return parseCity({ version: 'changed', files: [...files, { path: 'services.yaml', text: service(more) }] }).city;
  };
  expect(cityOf('cap: { category: Env }')?.services.get('repair')?.cap).toEqual({ category: 'Env' });
  expect(cityOf('reopen: 1h')?.services.get('repair')).not.toHaveProperty('cap');
});

test('inhibitions - they are optional; the names in them must be known', () => {
  expect(parseCity(control).city?.inhibitions).toEqual([]);
  expect(mistakes('inhibitions.yaml', '- source: { district: east }\n  target: {}\n')).toEqual([
    expect.stringMatching(/source\.rule: is missing/),
  ]);
  expect(
    mistakes('inhibitions.yaml', '- source: { rule: a }\n  target: { service: repiar, district: [east, moon] }\n'),
  ).toEqual([
    expect.stringMatching(/^2 unknown service "repiar": did you mean "repair"\?/),
    expect.stringMatching(/^2 unknown district "moon"/),
  ]);
});

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseCity, readCityFolder } from '../../../city-model/index.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const doc = readFileSync(`${ROOT}/docs/tickets.md`, 'utf8');
const blocks = [...doc.matchAll(/^( *)```yaml\n([\s\S]*?)^ *```/gm)].map(([, indent, text]) =>
  text!.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
);

test('docs - the service and the inhibition of docs/tickets.md are valid for the sample city', async () => {
  const [service, inhibition] = blocks as [string, string];
  const control = await readCityFolder(`${ROOT}/city`);
  const kept = control.files.filter(({ path }) => path !== 'inhibitions.yaml');
  const services = kept.find(({ path }) => path === 'services.yaml')!;
  const merged = { ...parse(services.text), ...parse(service) };
  const files = [
    ...kept.filter((file) => file !== services),
    { path: 'services.yaml', text: JSON.stringify(merged) },
    { path: 'inhibitions.yaml', text: inhibition },
  ];
  const { city, problems } = parseCity({ version: 'docs', files });
  expect(problems).toEqual([]);
  expect(city!.services.get('flood')).toMatchObject({
    deadlineMs: 14_400_000,
    acknowledgeMs: 1_800_000,
    calendar: 'working-hours',
    warnPercent: 80,
    recheckMs: 14_400_000,
    remindMs: 86_400_000,
    resolution: 'confirm',
    gathering: { by: ['district'], waitMs: 30_000 },
    offers: [{ to: 'maintenance', forMs: 1_800_000 }],
    escalation: [
      { on: 'acknowledge', afterMs: 0 },
      { on: 'resolve', afterMs: 7_200_000, to: 'environment' },
    ],
  });
  expect(city!.inhibitions).toEqual([
    {
      source: { rule: ['gateway-silent'] },
      target: { rule: ['device-silent'] },
      equal: [],
      via: 'gateway',
      lateMs: 3_600_000,
    },
  ]);
});

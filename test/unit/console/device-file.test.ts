import { expect, test } from 'vitest';
import { newSecret, secretsCsv } from '../../../console/src/pages/devices/deviceFile.ts';
import { en } from '../../../console/src/texts/en.ts';
import { devicesInFile, withSecrets } from '../../../domain/index.ts';

test('import - reads CSV with quotes, places and tags, and a JSON list', () => {
  const csv =
    '\uFEFFid,profile,district,name,lat,lon,tags,gateway,asset,devEui\nb-1,bin,east,"Bin, at the ""pier""",32.1,118.7,row=4;col=2,gw-1,bin-001,70b3d57ed0005678\n\n';
  expect(devicesInFile('bins.CSV', csv)).toEqual([
    {
      id: 'b-1',
      profile: 'bin',
      district: 'east',
      name: 'Bin, at the "pier"',
      location: { lat: 32.1, lon: 118.7 },
      tags: { row: '4', col: '2' },
      gateway: 'gw-1',
      asset: 'bin-001',
      devEui: '70b3d57ed0005678',
    },
  ]);
  const one = { id: 'b-2', profile: 'bin', district: 'east' };
  expect(devicesInFile('bins.json', JSON.stringify([one]))).toEqual([one]);
});

test.each([
  ['a.csv', 'id,profile\nb,bin\n', 'no-columns', { names: 'district' }],
  ['a.csv', 'id,profile,district\nb,bin\n', 'wrong-row', { line: 2, found: 2, wanted: 3 }],
  ['a.csv', 'id,profile,district,lat,lon\nb,bin,east,32,\n', 'no-place', { line: 2 }],
  ['a.csv', 'id,profile,district,tags\nb,bin,east,x\n', 'no-tag', { line: 2, tag: 'x' }],
  ['a.json', 'id,profile', 'no-json', {}],
  ['a.json', '[null]', 'no-json', {}],
])('import - of %s with %j it says what would be right', (name, text, kind, values) => {
  expect(() => devicesInFile(name, text)).toThrow(expect.objectContaining({ kind, values }));
  expect(en).toHaveProperty([`import.${kind}`]);
});

test('import - the secrets are a file of two columns', () => {
  expect(secretsCsv([{ id: 'b-1', secret: 's3' }])).toBe('id,secret\nb-1,s3\n');
});

test('import - each device without a secret gets one of its own before it is sent', () => {
  const devices = [{ id: 'b-1' }, { id: 'b-2', secret: 'known' }, { id: 'b-3', secretHash: 'h' }];
  const [first, ...others] = withSecrets(devices, newSecret);
  expect(first!.secret).toMatch(/^[\w-]{43}$/);
  expect(newSecret()).not.toBe(newSecret());
  expect(others).toEqual(devices.slice(1));
});

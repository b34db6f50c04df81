import { expect, test } from 'vitest';
import { formatProblems, parseCity } from '../../../city-model/index.ts';
import { withFile } from '../../kit/city-model/kit.ts';

/** Returns the mistakes of a text of formats.yaml. */
function mistakesIn(text: string): string {
  const { version, files } = withFile('formats.yaml', text);
  const proto = { path: 'meter.proto', text: 'syntax = "proto3"; package p; message M { double t = 1; }' };
  return formatProblems(parseCity({ version, files: [...files, proto] }).problems);
}

test.each([
  ['a: { topic: "x/{device}", metrics: { t: a } }', 'formats.yaml:1:27 a.metrics: unknown key; did you mean "values"?'],
  ['a: { topics: "x/{device}", values: { t: a } }', 'did you mean "topic"?'],
  ['a: { topic: "x/{device}", content: jsn, values: { t: a } }', 'did you mean "json"?'],
  ['a:\n  topic: x/{device}\n  values:\n    t: a.[', 'formats.yaml:4:5 a.values.t: "a.[": it is no JMESPath'],
  ['a: { topic: "x/{device}", values: { t: a.PM2.5 } }', 'quote a key that has other characters'],
  ['a: { topic: "x/{device}" }', 'a.values: is missing; write values, entries, or flatten'],
  ['a: { topic: "devices/{device}/x", flatten: "@" }', 'topics below devices/ have a meaning of their own'],
  ['a: { topic: "x/{device}/#", flatten: "@" }', '# is not possible'],
  ['a: { topic: "{device}/{x}", flatten: "@" }', 'at least one level is a fixed text'],
  ['a: { topic: "x/{dev}", device: "{device}", flatten: "@" }', 'has no part {device}; known: dev'],
  [
    'a: { topic: "x/{device}", flatten: "@" }\nb: { topic: "x/{id}", flatten: "@" }',
    'formats.yaml:2:6 x/{id} is also x/{device} of a',
  ],
  ['readings: { flatten: "@" }', "a name of Lamppost's own topics"],
  ['a: { time: { at: t, unit: sec }, flatten: "@" }', '"sec" is none of iso, epoch, s, ms, us, ns'],
  ['a: { time: { at: t, zone: Europe/Berln }, flatten: "@" }', 'did you mean "Europe/Berlin"'],
  ['a: { values: { t: { at: t, unit: Celsius2 } } }', 'unknown unit "Celsius2"'],
  ['a: { content: bytes }', 'bytes needs a layout'],
  ['a: { content: protobuf, flatten: "@" }', 'content: protobuf and proto'],
  ['a: { content: protobuf, proto: { file: meter.prot, message: x }, flatten: "@" }', 'did you mean "meter.proto"?'],
  [
    'a: { content: protobuf, proto: { file: meter.proto, message: Payload }, flatten: "@" }',
    'unknown message "Payload"',
  ],
  ['a: { content: sparkplug-b, device: id, flatten: values }', 'the topic names the device'],
  ['a: { topic: [x/config, "x/{device}"], content: home-assistant, flatten: "@" }', 'topics are all it takes'],
  ['a: { topic: "x/{device}", content: home-assistant }', 'name the topics of discovery messages'],
  [
    'a: { content: hex, layout: { fields: [{ name: x, type: u8, when: { field: y, bit: 0 } }] } }',
    'no field "y" comes before',
  ],
])('formats.yaml - a mistake is reported with its place and what is right: %s', (text, message) => {
  expect(mistakesIn(text)).toContain(message);
});

test('formats.yaml - a folder without it goes on working', () => {
  const { city } = parseCity(withFile('formats.yaml', null));
  expect(city!.formats.size).toBe(0);
});

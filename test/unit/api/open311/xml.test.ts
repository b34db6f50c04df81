import fc from 'fast-check';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { expect, test } from 'vitest';
import { elementOf, type Value } from '../../../../api/open311/protocol.ts';
import { xmlOf } from '../../../../domain/index.ts';
import { runs } from '../../../kit/runs.ts';

const documentOf = (root: string, value: Value) => xmlOf(elementOf(root, value));
const parser = new XMLParser({ parseTagValue: false, trimValues: false, htmlEntities: true });

test('xml - writes documents as in the examples of GeoReport v2', () => {
  const services = [{ service_code: '001', metadata: true, keywords: null, price: 1.5 }];
  expect(documentOf('services', services)).toBe(
    '<?xml version="1.0" encoding="UTF-8"?>\n' +
      '<services><service><service_code>001</service_code><metadata>true</metadata><keywords/><price>1.5</price></service></services>\n',
  );
  expect(documentOf('services', [])).toContain('<services/>');
});

test('xml - whatever a citizen writes stays text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      const document = documentOf('errors', [{ code: 400, description: text }]);
      expect(XMLValidator.validate(document)).toBe(true);
      const { errors } = parser.parse(document);
      expect(Object.keys(errors)).toEqual(['error']);
      expect(Object.keys(errors.error)).toEqual(['code', 'description']);
    }),
    { numRuns: runs(2_000) },
  );
});

test.each([
  ['<script>&amp;"\'', '<script>&amp;"\''],
  [']]>', ']]>'],
  ['灯 🏮', '灯 🏮'],
  ['line\nline\ttab', 'line\nline\ttab'],
  ['\u0000\u0008\u000b\u001f\ufffe', '\ufffd\ufffd\ufffd\ufffd\ufffd'],
  ['half \ud83c of one', 'half \ufffd of one'],
])('xml - %j comes back as %j', (text, expected) => {
  expect(parser.parse(documentOf('a', text)).a).toBe(expected);
});

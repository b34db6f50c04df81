import type { City } from '../../domain/index.ts';
import type { Language } from './answer.ts';
import type { Value } from './xml.ts';

/** When what stands here, or behind it, last changed its form. */
const CHANGESET = '2026-11-28T00:00:00Z';

/** Open311 Service Discovery: where the endpoint is, and whom to ask for a key. */
export function discoveryOf({ name, open311 }: City, endpoint: string, language: Language): Value {
  return {
    changeset: CHANGESET,
    contact: open311.contact?.[language] ?? name[language],
    key_service: open311.keyService?.[language] ?? null,
    endpoints: [
      {
        specification: 'http://wiki.open311.org/GeoReport_v2',
        url: endpoint,
        changeset: CHANGESET,
        type: 'production',
        formats: ['text/xml', 'application/json'],
      },
    ],
  };
}

import type { City, Service } from '../../domain/index.ts';
import type { Language } from './answer.ts';
import type { Value } from './xml.ts';

/** The services that citizens may ask for, by code. */
export function publicServices({ services }: Pick<City, 'services'>): ReadonlyMap<string, Service> {
  return new Map([...services].filter(([, { open311 }]) => open311));
}

/** GeoReport v2, GET Service List. `group` is the department that answers for it. */
export function listedService(service: Service, { departments }: Pick<City, 'departments'>, language: Language): Value {
  const { id, title, description, attributes, keywords, department } = service;
  return {
    service_code: id,
    service_name: title[language],
    description: (description ?? title)[language],
    metadata: attributes.length > 0,
    type: 'realtime',
    keywords: keywords.join(', '),
    group: departments.get(department)?.title[language] ?? department,
  };
}

/** GeoReport v2, GET Service Definition. */
export function definitionOf({ id, attributes }: Service, language: Language): Value {
  return {
    service_code: id,
    attributes: attributes.map(({ code, title, datatype, required, hint, values }, i) => ({
      variable: true,
      code,
      datatype,
      required,
      datatype_description: hint?.[language] ?? null,
      order: i + 1,
      description: title[language],
      ...(values.length === 0 ? {} : { values: values.map((one) => ({ key: one.key, name: one.title[language] })) }),
    })),
  };
}

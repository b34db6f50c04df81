/** The address of a rule that is not stored yet; no rule has this id. */
export const NEW_RULE = '~new';

/** What a new rule begins with. */
export const DRAFT = `id: my-rule
title:
  en: "Waste bin nearly full: {{device.name}}, {{value}} %"
  zh: "垃圾桶将满：{{device.name}}，{{value}} %"
for_each: device
where: { profile: waste-bin }
when: { metric: fill, last: true, above: 80, clear: 60 }
for: 10m
severity: low
ticket: { service: waste, deadline: 24h }
`;

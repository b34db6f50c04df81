const PLACE = { lat: 32.0151, lon: 118.7602 };
const RULE = `id: bin-nearly-full
title: "Waste bin nearly full: {{device.name}}"
for_each: device
where: { profile: waste-bin }
when: { metric: fill, last: true, above: 80, clear: 60 }
severity: low
ticket: { service: waste, deadline: 24h }
`;
const FILTER = { types: ['city.lamppost.ticket.opened'], departments: ['waste'] };
const DEVICE = { id: 'bin-1', profile: 'waste-bin', district: 'harbour', name: 'Bin at the pier', location: PLACE };

/** A body of each operation that takes JSON, of the sample city. A test checks them against their schemas. */
export const BODY_EXAMPLES: Readonly<Record<string, unknown>> = {
  'post /api/v1/quarantine/replay': { reason: 'unknown-metric' },
  'post /api/v1/quarantine/discard': { ids: ['1024'], note: 'a test of the manufacturer' },
  'post /api/v1/devices': DEVICE,
  'patch /api/v1/devices/{id}': { name: 'Bin at the ferry', tags: { street: 'Pier Road' } },
  'post /api/v1/devices/{id}/rotate': { overlap: '24h' },
  'post /api/v1/devices/{id}/replace': { devEui: '70b3d57ed0041abd', tags: { serial: 'B-2041' } },
  'post /api/v1/devices/{id}/calibrations': { metric: 'fill', gain: 1, offset: -2.5, note: 'measured on site' },
  'post /api/v1/devices/{id}/recompute': { metric: 'fill', from: '2026-06-01T00:00:00Z', to: '2026-06-02T00:00:00Z' },
  'post /api/v1/devices/{id}/claim-code': { hours: 48 },
  'post /claim': { device: 'bin-1', code: 'the-code-of-the-label' },
  'post /api/v1/devices/{id}/commands': { command: 'dim', parameters: { level: 40 } },
  'put /api/v1/devices/{id}/desired': { level: 40 },
  'patch /api/v1/devices/{id}/desired': { level: 40 },
  'post /api/v1/keys': { name: 'Dashboard of the harbour', role: 'viewer', department: null },
  'patch /api/v1/keys/{id}': { note: 'renewed for a year', expiresAt: '2027-06-01T00:00:00Z' },
  'post /api/v1/keys/{id}/rotate': { overlap: '24h' },
  'post /api/v1/users': {
    ...{ name: 'Chen Mei', email: 'mei@city.example', language: 'zh' },
    roles: [{ role: 'operator', department: 'waste' }],
  },
  'patch /api/v1/users/{id}': { roles: [{ role: 'viewer', department: null }] },
  'post /api/v1/rules/check': { text: RULE },
  'post /api/v1/rules': { text: RULE, note: 'agreed with the department' },
  'put /api/v1/rules/{id}': { text: RULE, note: 'less often at night' },
  'post /api/v1/rules/try': { rule: 'bin-full', device: 'bin-1', readings: [{ metrics: { fill: 95 } }] },
  'post /api/v1/rules/suggest': { metric: 'fill', profile: 'waste-bin', from: '2026-05-01T00:00:00Z' },
  'post /api/v1/rules/backtest': { rule: 'bin-full', from: '2026-05-01T00:00:00Z', to: '2026-06-01T00:00:00Z' },
  'post /api/v1/tickets': {
    ...{ service: 'waste', title: 'Sofa in the reeds', district: 'harbour', severity: 'low', location: PLACE },
  },
  'post /api/v1/tickets/{id}/{action}': { note: 'a crew is on its way' },
  'post /api/v1/tickets/{id}/parts': { department: 'maintenance', note: 'the lid is loose' },
  'post /api/v1/tickets/{id}/run-command': { command: 'reset' },
  'post /api/v1/silences': {
    matchers: { device: ['bin-1'] },
    endsAt: '2026-07-01T00:00:00Z',
    comment: 'works in the street',
  },
  'post /api/v1/tickets/{id}/rate': { token: 'the-token-of-the-request', stars: 5, comment: 'fast' },
  'post /api/v1/formats/try': {
    profile: 'waste-bin',
    topic: 'devices/bin-1/readings',
    payload: { metrics: { fill: 42 } },
  },
  'post /api/v1/backup': { to: '/backups/2026-06-01' },
  'post /api/v1/webhooks': { url: 'https://hooks.city.example/lamppost', filter: FILTER },
  'patch /api/v1/webhooks/{id}': { filter: FILTER },
  'post /api/v1/webhooks/{id}/enable': { missed: 'deliver' },
  'post /api/v1/webhooks/{id}/redeliver': { from: '2026-06-01T00:00:00Z', to: '2026-06-02T00:00:00Z' },
  'post /api/v1/subscriptions': { channel: 'email', to: 'mei@city.example', party: 'waste', filter: FILTER },
  'patch /api/v1/subscriptions/{id}': { filter: FILTER },
  'post /api/v1/subscriptions/{id}/enable': { missed: 'skip' },
  'post /auth/login': { email: 'mei@city.example', password: 'a lantern in the harbour' },
  'post /auth/link': { token: 'the-token-of-the-link' },
  'post /auth/password': { password: 'another lantern at sea', current: 'a lantern in the harbour' },
  'put /auth/totp': { secret: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ', code: '123456' },
  'delete /auth/totp': { password: 'a lantern in the harbour' },
  'post /public/requests/{token}/comment': { text: 'It is there again.' },
  'post /public/requests/{token}/not-fixed': { text: 'The bin is still full.' },
  'post /public/requests/{token}/rate': { stars: 4, comment: 'thank you' },
  'post /public/requests/{token}/follow': { channel: 'email', to: 'wei@mail.example', language: 'en' },
};

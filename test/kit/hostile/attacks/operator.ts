import { pause } from '../../wait.ts';
import { BOMBS } from '../photos.ts';
import { type Attack, lanes, type Target } from '../target.ts';
import { ask, formOf } from '../wire.ts';

const RULE = 'id: tried\ntitle: "A test"\nwhere: { profile: air-quality }\nseverity: low\n';
const ALIASES = {
  'aliases of a scalar': (count: number) => `${RULE}x: &a one\nwhen: [${'*a, '.repeat(count)}*a]\n`,
  'aliases of aliases': (count: number) =>
    `${RULE}${Array.from({ length: Math.min(count, 200) }, (_, i) => `k${i}: &k${i} [${i === 0 ? '1' : `*k${i - 1}, *k${i - 1}`}]`).join('\n')}\n`,
  'anchors without an alias': (count: number) =>
    `${RULE}when: [${Array.from({ length: count }, (_, i) => `&a${i} 1`).join(', ')}]\n`,
  'merge keys': (count: number) => `${RULE}base: &b { metric: pm25 }\nwhen:\n${'  <<: *b\n'.repeat(count)}`,
  'flow lists in flow lists': (count: number) => `${RULE}when: ${'['.repeat(count)}${']'.repeat(count)}\n`,
  'maps in maps': (count: number) => `${RULE}when: ${'{a: '.repeat(count)}1${'}'.repeat(count)}\n`,
  'block maps in block maps': (count: number) =>
    `${RULE}${Array.from({ length: Math.min(count, 300) }, (_, i) => `${' '.repeat(i)}k:`).join('\n')}\n`,
  'conditions in conditions': (count: number) =>
    `${RULE}when: ${'{ all: ['.repeat(count)}{ metric: pm25, above: 1 }${'] }'.repeat(count)}\n`,
  documents: (count: number) => `${RULE}${'---\na: 1\n'.repeat(count)}`,
  'long lines': (count: number) => `${RULE}when: "${'\\u0041'.repeat(count * 3)}"\n`,
  'comments and blank lines': (count: number) => `${RULE}${'# x\n\n'.repeat(count * 4)}`,
  'wrong names': (count: number) => `${RULE}${Array.from({ length: count }, (_, i) => `wrong-${i}: 1`).join('\n')}\n`,
  placeholders: (count: number) =>
    `id: tried\ntitle: "${'{{device.nam'.repeat(count)}"\nwhere: { profile: air-quality }\nwhen: { metric: pm25, above: 1 }\nseverity: low\n`,
};

/** Sends a body to a path in several lanes until the time is over; counts what came back. */
async function post(
  target: Target,
  signal: AbortSignal,
  count: number,
  bodies: readonly string[],
  { path, key, type = 'application/json' }: { path: string; key: string; type?: string },
) {
  const found = { sent: 0, refused: 0, failed: 0, longestMs: 0 };
  await lanes(count, signal, async (lane, round) => {
    const body = bodies[(lane + count * round) % bodies.length]!;
    const { status, ms } = await ask(target, {
      method: 'POST',
      path,
      key,
      headers: { 'content-type': type },
      body,
      signal,
    });
    found.sent++;
    if (status >= 400 && status < 500) found.refused++;
    if (status === 500) found.failed++;
    found.longestMs = Math.max(found.longestMs, Math.round(ms));
    if (status === 429 || status === 0) await pause(100);
  });
  return found;
}

const no500 = ({ failed }: Readonly<Record<string, number>>) => (failed === 0 ? [] : [`${failed} responses are 500`]);
const aTry = (rule: unknown) => JSON.stringify({ rule, device: 'attacker-0', readings: [{ metrics: { pm25: 1 } }] });

/** Attacks with the key of an operator, an admin or an app of citizens. */
export const OPERATOR: Readonly<Record<string, Attack>> = {
  'rule-yaml': {
    title: 'rules of YAML that cost more to read than to write stop nobody',
    leastMs: 6_000,
    run: (target, signal) => {
      const bodies = [1_000, 5_000].flatMap((count) =>
        Object.values(ALIASES).map((make) => aTry(make(count).slice(0, 100_000))),
      );
      return post(target, signal, 4, bodies, { path: '/api/v1/rules/try', key: target.keys.operator[0].secret });
    },
    judge: no500,
  },
  'rule-yaml-stored': {
    title: 'rules of YAML that are stored are bounded in the same way',
    run: (target, signal) => {
      const bodies = Object.values(ALIASES).map((make) => make(3_000).slice(0, 100_000));
      return post(target, signal, 2, bodies, {
        path: '/api/v1/rules',
        key: target.keys.admin[0].secret,
        type: 'application/yaml',
      });
    },
    judge: no500,
  },
  'rule-json': {
    title: 'JSON that is nested as deep as it can be is refused, by every route that takes rules',
    async run(target, signal) {
      const deep = (count: number, open: string, close: string) =>
        open.repeat(count) + (open.endsWith('[') ? '' : '1') + close.repeat(count);
      const nested = [1_000, 10_000, 50_000].flatMap((count) => [
        deep(count, '[', ']'),
        deep(Math.min(count, 20_000), '{"a":', '}'),
        deep(Math.min(count, 10_000), '{"all":[', ']}'),
      ]);
      const bodies = nested.map(
        (one) => `{"rule":{"when":${one}},"device":"attacker-0","readings":[{"a":${one}}],"text":1}`,
      );
      const paths = [
        '/api/v1/rules/try',
        '/api/v1/rules',
        '/api/v1/rules/backtest',
        '/api/v1/tickets',
        '/api/v1/silences',
      ];
      const all = { sent: 0, refused: 0, failed: 0, longestMs: 0 };
      await Promise.all(
        paths.map(async (path) => {
          const found = await post(target, signal, 1, bodies, { path, key: target.keys.admin[0].secret });
          for (const name of ['sent', 'refused', 'failed'] as const) all[name] += found[name];
          all.longestMs = Math.max(all.longestMs, found.longestMs);
        }),
      );
      return all;
    },
    judge: no500,
  },
  'rule-tries': {
    title: 'tries of a rule on a thousand readings, twenty at a time, stop nobody',
    run: (target, signal) => {
      const readings = Array.from({ length: 1_000 }, (_, i) => ({
        ts: Date.now() - i * 60_000,
        metrics: { pm25: i % 100, pm10: i % 50 },
      }));
      const rule = {
        id: 'tried',
        title: 'A test',
        where: { profile: 'air-quality' },
        when: { metric: 'pm25', p95: '30d', above: 1 },
        severity: 'low',
      };
      return post(target, signal, 20, [JSON.stringify({ rule, device: 'load-1', readings })], {
        path: '/api/v1/rules/try',
        key: target.keys.operator[0].secret,
      });
    },
    judge: no500,
  },
  backtests: {
    title: 'twenty backtests at a time stop nobody',
    run: (target, signal) => {
      const rule = {
        id: 'tried',
        title: 'A test',
        where: { profile: 'air-quality' },
        when: { metric: 'pm25', mean: '1h', above: 1 },
        severity: 'low',
      };
      const body = JSON.stringify({
        rule,
        from: new Date(Date.now() - 30 * 86_400_000).toISOString(),
        to: new Date().toISOString(),
      });
      return post(target, signal, 20, [body], { path: '/api/v1/rules/backtest', key: target.keys.operator[0].secret });
    },
    judge: no500,
  },
  'silence-tags': {
    title: 'silences with 30,000 tags are refused and stop nobody',
    async run(target, signal) {
      const tags = Object.fromEntries(Array.from({ length: 30_000 }, (_, i) => [`tag-${i}`, 'x']));
      const names = Array.from({ length: 30_000 }, (_, i) => `name-${i}`);
      const body = (matchers: object) =>
        JSON.stringify({ matchers, endsAt: new Date(Date.now() + 3_600_000).toISOString(), comment: 'an attack' });
      const bodies = [
        body({ tags }),
        body({ device: names }),
        body({ rule: names, tags: { one: 'x' } }),
        body({ tags: { long: 'x'.repeat(500_000) } }),
      ];
      return post(target, signal, 4, bodies, { path: '/api/v1/silences', key: target.keys.operator[0].secret });
    },
    judge: (figures) => [
      ...no500(figures),
      ...(figures.sent! - figures.refused! <= 4
        ? []
        : [`${figures.sent! - figures.refused!} of ${figures.sent} silences were not refused`]),
    ],
  },
  'photos-with-key': {
    title: 'photos of an app of citizens that cost minutes to parse stop nobody',
    async run(target, signal) {
      const forms = Object.values(BOMBS).map((bomb) =>
        formOf({ service_code: 'waste', lat: '32.06', long: '118.79' }, [bomb(5 * 2 ** 20 - 1_000)]),
      );
      const [{ secret: key }] = target.keys['citizen-app'];
      const found = { sent: 0, refused: 0, stored: 0, failed: 0 };
      await lanes(4, signal, async (lane, round) => {
        const form = forms[(lane + round * 4) % forms.length]!;
        const { status } = await ask(target, {
          method: 'POST',
          path: `/open311/v2/requests.json?api_key=${key}`,
          key,
          ...form,
          signal,
        });
        found.sent++;
        if (status === 200) found.stored++;
        else if (status === 500) found.failed++;
        else found.refused++;
        if (status === 429 || status === 0) await pause(100);
      });
      return found;
    },
    judge: no500,
  },
  'one-sender': {
    title: 'a citizen who sends without end does not keep out the other citizens of that app',
    // It ends by itself: the others come after the two hundred, however long these take.
    async run(target) {
      const [{ secret: api_key }] = target.keys['citizen-app'];
      const send = (device_id: string, from: string, n: number) => {
        const fields = {
          api_key,
          service_code: 'waste',
          lat: '32.06',
          long: '118.79',
          device_id,
          description: `report ${n}`,
        };
        const body = new URLSearchParams(fields).toString();
        const headers = { 'content-type': 'application/x-www-form-urlencoded' };
        return ask(target, { method: 'POST', path: '/open311/v2/requests.json', headers, body, from });
      };
      const found = { sent: 0, refused: 0, others: 0, othersRefused: 0 };
      for (let n = 0; n < 200; n++) {
        const { status } = await send('the-same', '127.66.6.6', n);
        found.sent++;
        if (status !== 200) found.refused++;
      }
      for (let n = 0; n < 10; n++) {
        const { status } = await send(`another-${n}`, `127.3.0.${n + 1}`, n);
        if (status === 200) found.others++;
        else if (status !== 0) found.othersRefused++;
      }
      return found;
    },
    judge: ({ othersRefused, others, refused }) => [
      ...(othersRefused === 0 && others! > 0
        ? []
        : [`other citizens: ${others} are taken, ${othersRefused} are refused`]),
      ...(refused! > 0 ? [] : ['200 requests of one sender in a few seconds were all taken']),
    ],
  },
  replays: {
    title: 'an operator who replays, discards and reloads all the time stops nobody',
    async run(target, signal) {
      const paths = ['/api/v1/quarantine/replay', '/api/v1/city/reload', '/api/v1/backup'];
      const found = { sent: 0, refused: 0, failed: 0 };
      await lanes(6, signal, async (lane) => {
        const { status } = await ask(target, {
          method: 'POST',
          path: paths[lane % paths.length]!,
          key: target.keys.admin[0].secret,
          signal,
        });
        found.sent++;
        if (status >= 400 && status < 500) found.refused++;
        if (status === 500) found.failed++;
        await pause(20);
      });
      return found;
    },
    judge: no500,
  },
};

import { beforeEach, describe, expect, test } from 'vitest';
import type { Outcome } from '../../../../ingest/index.ts';
import { textOf } from '../../../kit/city-model/kit.ts';
import { cityControl, intakeBench, type Sent } from '../../../kit/ingest/intake.ts';
import { type SparkplugMetric, sparkplug } from '../../../kit/ingest/sparkplug.ts';

const NOW = Date.UTC(2026, 10, 29, 12);
const title = { en: 'A', zh: '甲' };
const control = (() => {
  const { version, files } = cityControl({
    metrics: { t: { min: -50_000, max: 50_000 }, h: { min: 0, max: 100 }, online: { min: 0, max: 1 } },
    files: {
      'profiles.yaml': {
        probe: { title, metrics: ['t', 'h'], interval: '1m', fields: { temperature: { metric: 't' }, '*': 'ignore' } },
        edge: { title, kind: 'gateway', metrics: ['t'], interval: '1m', fields: { '*': 'ignore' } },
      },
    },
  });
  return { version, files: [...files, { path: 'formats.yaml', text: textOf('formats.yaml') }] };
})();
const DEVICES = [
  { id: 'edge', profile: 'edge', district: 'east' },
  { id: 'pump', profile: 'probe', district: 'east', gateway: 'edge' },
  { id: 'tank', profile: 'probe', district: 'east', gateway: 'edge' },
];

let bench: ReturnType<typeof intakeBench>;
beforeEach(() => {
  bench = intakeBench();
  bench.city(control, NOW);
  bench.devices(DEVICES, [], NOW);
});

let clock = 0;
const at = () => NOW + ++clock * 1_000;
const B = (kind: string, device: string | null, payload: Buffer, identity = 'edge'): Sent => ({
  identity,
  topic: `spBv1.0/city/${kind}/edge${device === null ? '' : `/${device}`}`,
  payload,
  receivedAt: at(),
});
const bdSeq = (value: number): SparkplugMetric => ({ name: 'bdSeq', type: 'Int64', value });
const nbirth = (session = 0) => B('NBIRTH', null, sparkplug([bdSeq(session)], 0));
const T: SparkplugMetric = { name: 't', alias: 1, type: 'Int16', value: 20 };
const dbirth = (seq: number, device = 'pump', metrics: readonly SparkplugMetric[] = [T]) =>
  B('DBIRTH', device, sparkplug(metrics, seq, NOW - 60_000 + clock));
const byAlias = (value: number, alias = 1): SparkplugMetric => ({ alias, value, type: 'Int16', untyped: true });
const ddata = (seq: number, value: number, device = 'pump') =>
  B('DDATA', device, sparkplug([byAlias(value)], seq, NOW + 100 + clock));

const valuesOf = (outcome: Outcome) =>
  bench.rows(outcome).map(([device, metric, , value]) => `${device}.${metric}=${value}`);
const faultsOf = ({ refusals }: Outcome) => refusals.map(({ reason, path, detail }) => [reason, path, detail]);

describe('sparkplug - births, deaths and numbers are read as of their place in the log', () => {
  test('aliases and types of a birth hold for the data after it, also below zero', () => {
    const outcome = bench.send([nbirth(), dbirth(1), ddata(2, 21), ddata(3, -7)]);
    expect(valuesOf(outcome)).toEqual(['pump.t=20', 'pump.t=21', 'pump.t=-7']);
    expect(faultsOf(outcome)).toEqual([]);
  });

  test.each(['rows', 'rows_with_online'])(
    'an alias without a birth is refused, and stored by a replay after it: %s',
    (list) => {
      const files = control.files.map(({ path, text }) => ({
        path,
        text: text.replace('  rows: rows\n', `  rows: ${list}\n`),
      }));
      bench.city({ version: list, files }, at());
      const [message] = [ddata(9, 33)];
      const refused = bench.send([message]);
      expect(faultsOf(refused)).toEqual([
        ['not-announced', `$.${list}[0].alias_1`, expect.stringContaining('no birth of pump came before it')],
      ]);
      bench.send([nbirth(), dbirth(1)]);
      const entries = refused.refusals.map(({ reading, path }, ordinal) => ({
        ordinal,
        scope: 'reading' as const,
        reading: reading ?? null,
        path,
      }));
      const item = { position: 0, device: 'pump', topic: message!.topic, receivedAt: message!.receivedAt };
      const payload = (message!.payload as Buffer).toString('base64');
      const replayed = bench.replay({ items: [{ ...item, payload, entries }] }, at());
      expect(valuesOf(replayed)).toEqual(['pump.t=33']);
    },
  );

  test('after a death, of the device or its node, aliases are void until the next birth; names go on', () => {
    const dead = bench.send([nbirth(), dbirth(1), B('DDEATH', 'pump', sparkplug([], 2)), ddata(3, 5)]);
    expect(faultsOf(dead)[0]![2]).toContain('pump was not born again after its death');
    expect(valuesOf(bench.send([dbirth(4), ddata(5, 6)]))).toEqual(['pump.t=20', 'pump.t=6']);
    const death = B('NDEATH', null, sparkplug([bdSeq(0)], null));
    const named = B('DDATA', 'pump', sparkplug([{ name: 't', type: 'Double', value: 8 }], 7, NOW + 9_000_000));
    const after = bench.send([death, ddata(6, 7), named]);
    expect(faultsOf(after)[0]![2]).toContain('after the death of edge');
    expect(valuesOf(after)).toEqual([]);
  });

  test('the death of an earlier connection ends nothing', () => {
    const late = B('NDEATH', null, sparkplug([bdSeq(4)], null));
    expect(valuesOf(bench.send([nbirth(5), dbirth(1), late, ddata(2, 9)]))).toEqual(['pump.t=20', 'pump.t=9']);
  });

  test('a node that is born again takes the births of its devices with it', () => {
    const outcome = bench.send([nbirth(1), dbirth(1), nbirth(2), ddata(1, 9)]);
    expect(faultsOf(outcome)[0]![2]).toContain('pump was not born again after edge was');
  });

  test('a missing message is said, and aliases are not believed until the next birth', () => {
    const outcome = bench.send([nbirth(), dbirth(1), dbirth(2, 'tank'), ddata(5, 30), ddata(6, 31, 'tank')]);
    expect(faultsOf(outcome).map(([reason, , detail]) => [reason, detail])).toEqual([
      ['missing-messages', expect.stringContaining('2 of the messages of edge before number 5 are missing')],
      ['not-announced', expect.stringContaining('messages of edge are missing since its birth')],
      ['not-announced', expect.stringContaining('messages of edge are missing since its birth')],
    ]);
    const again = bench.send([dbirth(7), ddata(8, 32), ddata(9, 33, 'tank')]);
    expect(valuesOf(again)).toEqual(['pump.t=20', 'pump.t=32']);
    expect(faultsOf(again)).toHaveLength(1);
  });

  test('numbers go round after 255, and the same number again is a repetition', () => {
    const some = Array.from({ length: 300 }, (_, i) => ddata((i + 2) % 256, i));
    const last = { ...some.at(-1)!, receivedAt: at() };
    const outcome = bench.send([nbirth(), dbirth(1), ...some, last]);
    expect(faultsOf(outcome)).toEqual([]);
    expect(valuesOf(outcome)).toHaveLength(301);
  });

  test('what a device says in the name of its node counts for nobody', () => {
    bench.send([nbirth(), dbirth(1)]);
    const own = B('DDATA', 'tank', sparkplug([byAlias(1)], 77), 'tank');
    expect(faultsOf(bench.send([own])).map(([reason]) => reason)).toEqual(['not-announced']);
    const forged = bench.send([B('NBIRTH', null, sparkplug([bdSeq(9)], 0), 'tank')]);
    expect(faultsOf(forged)[0]![0]).toBe('not-your-device');
    expect(valuesOf(bench.send([ddata(2, 12)]))).toEqual(['pump.t=12']);
  });

  test('stored values have their own times, and text, null and control metrics are no readings', () => {
    const metrics: SparkplugMetric[] = [
      { name: 't', type: 'Double', value: 1.5, timestamp: NOW - 5_000 },
      { name: 't', type: 'Double', value: 2.5 },
      { name: 'h', value: null },
      { name: 'model', type: 'String', value: 'x' },
      { name: 'Device Control/Reboot', type: 'Boolean', value: false },
    ];
    const outcome = bench.send([B('DDATA', 'pump', sparkplug(metrics, 1, NOW))]);
    expect(bench.rows(outcome)).toEqual([
      ['pump', 't', NOW - 5_000, 1.5],
      ['pump', 't', NOW, 2.5],
    ]);
    expect(faultsOf(outcome)).toEqual([]);
  });

  test('a birth larger than what is kept is read, and its aliases are refused rather than guessed', () => {
    const many = Array.from({ length: 6_000 }, (_, i) => ({
      name: `x${String(i).padStart(60, '0')}`,
      alias: i,
      value: 1,
    }));
    const outcome = bench.send([nbirth(), dbirth(1), dbirth(2, 'pump', many), ddata(3, 1)]);
    expect(faultsOf(outcome).map(([reason, path]) => [reason, path])).toEqual([
      ['wrong-shape', '$.metrics'],
      ['wrong-shape', expect.stringContaining('$.rows[0].values.x')],
      ['not-announced', '$.rows[0].alias_1'],
    ]);
  });
});

describe('past - the same blocks lead to the same readings', () => {
  const resultOf = (outcome: Outcome) => JSON.stringify([bench.rows(outcome), faultsOf(outcome), outcome.tallies]);
  /** Blocks among which everything that is remembered changes. */
  const story = () => [
    () => bench.send([nbirth(1), dbirth(1), ddata(2, 1)]),
    () => bench.send([ddata(4, 2), dbirth(5), ddata(6, 3)]),
    () =>
      bench.send([
        dbirth(7, 'pump', [
          { ...T, alias: 2 },
          { name: 'h', alias: 1, type: 'Int16', value: 5 },
        ]),
      ]),
    () => bench.send([ddata(8, 50), B('NDEATH', null, sparkplug([bdSeq(1)], null)), ddata(9, 51)]),
    () => bench.send([nbirth(2), ddata(1, 52), dbirth(2), ddata(3, 53)]),
  ];

  test('read again later, each block finds what was known at its place', () => {
    const first = story().map((block) => resultOf(block()));
    const seqs = bench.blocks.map(({ seq }) => seq).slice(2);
    bench.persist();
    bench.restart();
    expect(seqs.map((seq) => resultOf(bench.again(seq)))).toEqual(first);
  });

  test('a crash loses nothing: what was not persisted is read once more', () => {
    const blocks = story();
    const first = blocks.map((block) => resultOf(block()));
    for (let kept = 0; kept <= first.length; kept++) {
      const others = intakeBench();
      others.city(control, NOW);
      others.devices(DEVICES, [], NOW);
      const feed = (from: number, to: number) =>
        bench.blocks.slice(2 + from, 2 + to).map((block) => others.blocks.push(block) && others.again(block.seq));
      feed(0, kept);
      others.persist();
      feed(kept, first.length);
      expect(others.restart()).toBe(2 + kept);
      const rest = bench.blocks.slice(2 + kept).map(({ seq }) => resultOf(others.again(seq)));
      expect(rest).toEqual(first.slice(kept));
    }
  });

  test('what no consumer needs is forgotten, and what holds now stays', () => {
    for (let i = 0; i < 50; i++) bench.send([nbirth(i), dbirth(1), ddata(2, i)]);
    bench.persist();
    expect(bench.count('context_past')).toBe(100);
    bench.prune();
    expect(bench.count('context_past')).toBe(2);
    expect(valuesOf(bench.send([ddata(3, 77)]))).toEqual(['pump.t=77']);
  });

  test('a device that is revoked is forgotten: another one of its name begins anew', () => {
    bench.send([nbirth(), dbirth(1)]);
    bench.devices([], ['pump'], at());
    bench.devices([DEVICES[1]!], [], at());
    expect(faultsOf(bench.send([ddata(2, 5)]))[0]![2]).toContain('no birth of pump came before it');
    bench.persist();
    bench.prune();
    expect(bench.count('context_past')).toBe(1);
  });
});

describe('home-assistant - discovery says where states have their values', () => {
  const discovery = (object: string, body: object, identity = 'pump'): Sent => ({
    ...{ identity, topic: `homeassistant/sensor/${object}/config`, receivedAt: at() },
    payload: JSON.stringify(body),
  });
  const state = (payload: unknown, identity = 'pump', device = 'pump'): Sent => ({
    ...{ identity, topic: `homeassistant/sensor/${device}/state`, receivedAt: at() },
    payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
  });
  const TOPIC = 'homeassistant/sensor/pump/state';
  const TEMPERATURE = {
    ...{ state_topic: TOPIC, device_class: 'temperature', unit_of_measurement: 'u' },
    value_template: "{{ value_json['bme']['temperature'] | round(1) }}",
  };

  test('a state is read by what was announced before it, under the name or the class that the profile knows', () => {
    const outcome = bench.send([
      discovery('pump_t', TEMPERATURE),
      discovery('h', { stat_t: TOPIC, val_tpl: '{{ value_json.hum }}' }),
      state({ bme: { temperature: 21.5 }, hum: '40' }),
    ]);
    expect(valuesOf(outcome)).toEqual(['pump.t=21.5', 'pump.h=40']);
    expect(faultsOf(outcome)).toEqual([]);
  });

  test('a plain state, ~ in topics, and a device with its components', () => {
    const whole = {
      '~': 'homeassistant/sensor/pump',
      cmps: { h: { p: 'sensor', stat_t: '~/state' }, b: { p: 'button' } },
    };
    const outcome = bench.send([{ ...discovery('x', whole), topic: 'homeassistant/device/x/config' }, state('55')]);
    expect(valuesOf(outcome)).toEqual(['pump.h=55']);
  });

  test('before its discovery a state is refused; a template that computes and a topic of nobody are, too', () => {
    expect(faultsOf(bench.send([state('1')]))).toEqual([['not-announced', '$', expect.stringContaining(TOPIC)]]);
    const computes = { state_topic: TOPIC, value_template: '{{ value_json.a * 2 }}' };
    expect(faultsOf(bench.send([discovery('a', computes)]))).toEqual([
      ['wrong-shape', '$.value_template', expect.stringContaining('only a path')],
    ]);
    const elsewhere = { state_topic: 'somewhere/else' };
    expect(faultsOf(bench.send([discovery('a', elsewhere)]))).toEqual([
      ['unknown-topic', '$.state_topic', expect.stringContaining('add its pattern to formats.yaml')],
    ]);
  });

  test('nobody announces for another device, but a gateway for those under it', () => {
    const foreign = bench.send([discovery('t', TEMPERATURE, 'tank'), state({ bme: { temperature: 1 } })]);
    expect(faultsOf(foreign).map(([reason]) => reason)).toEqual(['not-your-device', 'not-announced']);
    const carried = bench.send([discovery('t', TEMPERATURE, 'edge'), state({ bme: { temperature: 2 } }, 'edge')]);
    expect(valuesOf(carried)).toEqual(['pump.t=2']);
  });
});

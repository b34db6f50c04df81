import { Parser } from '@asyncapi/parser';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EVENT_TYPES } from '../../../domain/index.ts';
import { publicationsOf } from '../../../events/index.ts';
import { openApi, type TestApi } from '../../kit/api/kit.ts';
import { type AsyncApiDocument, asyncApiChecker } from '../../kit/asyncapi.ts';
import { openState } from '../../kit/events/state.ts';
import { transition } from '../../kit/tickets/scene.ts';

let api: TestApi;
let document: AsyncApiDocument;
beforeAll(async () => {
  api = await openApi();
  document = (await (await api.fetch('/asyncapi.json', { key: null })).json()) as AsyncApiDocument;
});
afterAll(() => api.stop());

test('asyncapi - is a valid document of AsyncAPI 3, without a warning', async () => {
  const { document: parsed, diagnostics } = await new Parser().parse(JSON.stringify(document));
  // That there is a newer version of the specification is no fault of the document.
  expect(diagnostics.filter(({ code }) => code !== 'asyncapi-latest-version')).toEqual([]);
  expect(parsed!.version()).toBe('3.0.0');
  expect(parsed!.allOperations().all()).toHaveLength(Object.keys(document.channels).length);
});

test('asyncapi - has the topics of the contract', () => {
  const topics = Object.values(document.operations).map(({ action, channel, bindings }) => {
    const { address } = document.channels[channel.$ref.split('/').at(-1)!]!;
    return `${action} ${address} qos ${bindings.mqtt.qos}${bindings.mqtt.retain ? ' retained' : ''}`;
  });
  expect(topics).toEqual([
    'receive devices/{device}/readings qos 1',
    'receive devices/{device}/senml qos 1',
    'receive devices/{device}/senml-cbor qos 1',
    'receive devices/{device}/sensor-community qos 1',
    'receive devices/{device}/results qos 1',
    'receive devices/{device}/reported qos 1',
    'receive application/{application}/device/{devEui}/event/up qos 1',
    'receive v3/{application}/devices/{name}/up qos 1',
    'send devices/{device}/rejections qos 0',
    'send devices/{device}/commands qos 1',
    'send devices/{device}/desired qos 1 retained',
    'send devices/{device}/status qos 0 retained',
    'send live/{district}/{device} qos 0',
    'send events/alerts/{rule}/{group} qos 1',
    'send events/tickets/{department}/{ticket} qos 1',
    'send events/silences/{silence} qos 1',
    'send events/sessions/{key} qos 0',
    'send events/logins/{source} qos 1',
    'send events/clock qos 1',
    'send events/commands/{device}/{command} qos 1',
    'send events/desired/{device} qos 1',
    'send tickets/{department}/{ticket} qos 1 retained',
  ]);
});

test('asyncapi - every operation says what happens and who takes part, every parameter what it is, by an example', () => {
  const operations = Object.entries(document.operations);
  for (const [name, { description }] of operations) expect(description, name).toMatch(/^Lamppost \w+ .* Who may \w+: /);
  expect(document.operations.receiveReadings!.description).toBe(
    'Lamppost receives it with QoS 1. Who may publish: The device itself.',
  );
  for (const { address, parameters } of Object.values(document.channels)) {
    expect(Object.keys(parameters).toSorted()).toEqual(
      [...address.matchAll(/\{(\w+)\}/g)].map(([, it]) => it).toSorted(),
    );
    for (const { description, examples } of Object.values(parameters)) {
      expect([description.length > 0, examples[0]!.length > 0]).toEqual([true, true]);
    }
  }
});

test('asyncapi - every event type is on a channel, and every reference resolves', () => {
  const reply = Object.values(document.channels).flatMap(({ messages }) => Object.keys(messages));
  const summaries = reply.map((name) => document.components.messages[name]!.summary);
  expect(summaries).toEqual(expect.arrayContaining([...EVENT_TYPES]));
  const text = JSON.stringify(document);
  for (const [, path] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const found = path!.split('/').reduce<unknown>((value, key) => (value as Record<string, unknown>)?.[key], document);
    expect(found, path).toBeDefined();
  }
});

test('asyncapi - its examples are messages of their channels', () => {
  const check = asyncApiChecker(document);
  let examples = 0;
  for (const { address, messages } of Object.values(document.channels)) {
    for (const name of Object.keys(messages)) {
      for (const { payload } of document.components.messages[name]!.examples ?? []) {
        const topic = address.replace(/\{\w+\}/g, 'x');
        expect(
          check({ topic, payload: typeof payload === 'string' ? payload : JSON.stringify(payload) }),
          name,
        ).toEqual([]);
        examples++;
      }
    }
  }
  expect(examples).toBeGreaterThan(8);
});

test('asyncapi - what is published for events is on its channels, with their quality of service', () => {
  const state = openState();
  state.apply(transition('1.0', 'firing'));
  state.apply(transition('2.0', 'firing', { from: 'firing', severity: 'critical' }));
  state.apply(transition('3.0', 'resolved'));
  const published = state.events.page({ after: 0, limit: 100 }).items.flatMap(({ event }) => publicationsOf(event));
  const check = asyncApiChecker(document);
  expect(published.length).toBeGreaterThan(6);
  for (const publication of published) expect(check(publication), publication.topic).toEqual([]);
  const [first] = published as [(typeof published)[number]];
  expect(check({ ...first, qos: 0 })).not.toEqual([]);
  expect(check({ ...first, topic: 'events/other/x/y' })).toEqual(['events/other/x/y is not in the document']);
  expect(check({ ...first, payload: '{}' })).not.toEqual([]);
});

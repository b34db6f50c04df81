import { compilePath, type Path } from '../../city-model/index.ts';
import type { Rejection } from '../../domain/index.ts';
import type { Codec } from '../codecs/index.ts';
import { type Decoded, type Format, isObject, type Past, type RawReading, readJson, shown } from '../decode/format.ts';
import { shownPath } from './values.ts';

/** Where a state topic has one value, as discovery messages announce it. */
interface Entity {
  /** JMESPath in the state; null: the state is the value. */
  readonly at: string | null;
  readonly unit: string | null;
  /** A name that the profile may know in place of the entity's own (`device_class`). */
  readonly kind: string | null;
  /** Numbers that texts stand for, of a binary sensor. */
  readonly map: Readonly<Record<string, number>>;
}

/** The entities of one state topic, by the discovery topic and the id of the component, and their names. */
type Announced = Readonly<Record<string, Entity & { readonly name: string }>>;

const LONGEST = 256;
const MOST_ENTITIES = 64;
/**
 * The short names of keys
 * (https://www.home-assistant.io/integrations/mqtt/#supported-abbreviations-in-mqtt-discovery-messages).
 */
const SHORT: Readonly<Record<string, string>> = {
  ...{ stat_t: 'state_topic', unit_of_meas: 'unit_of_measurement', val_tpl: 'value_template', cmps: 'components' },
  ...{ dev_cla: 'device_class', pl_on: 'payload_on', pl_off: 'payload_off', p: 'platform' },
};
const STEP = String.raw`(?:\.[A-Za-z_]\w*|\[(?:'[^'\\]+'|"[^"\\]+"|\d+)\])`;
const FILTER = String.raw`(?:\s*\|\s*(?:float|int|round|is_defined)(?:\([^()]*\))?)`;
const TEMPLATE = new RegExp(String.raw`^\{\{-?\s*(value|value_json)(${STEP}*)${FILTER}*\s*-?\}\}$`);

/**
 * Home Assistant's MQTT discovery, on one topic: `…/config` announces where a state topic has a value and its unit, and
 * the states are read by what was announced before them. The state topics are those that the city declares.
 */
export class HomeAssistantDecoder implements Format {
  readonly name: string;
  readonly #topic: string;
  readonly #namedBy: (topic: string) => string | null | undefined;
  /** Of discovery only: the device is that of the state topic. */
  readonly deviceOf?: (payload: Buffer) => string | null;

  /**
   * `namedBy` returns the device that a state topic names: null where it names none, undefined where it is not
   * declared.
   */
  constructor(name: string, topic: string, namedBy: (topic: string) => string | null | undefined) {
    this.name = name;
    this.#topic = topic;
    this.#namedBy = namedBy;
    if (!topic.endsWith('/config')) return;
    this.deviceOf = (payload) => {
      const found = componentsOf(payload);
      if ('reason' in found) return null;
      const named = found.map(([, one]) => namedBy(textOf(one.state_topic) ?? '') ?? null);
      return named.find((device) => device !== null) ?? null;
    };
  }

  decode(payload: Buffer, _receivedAt = 0, _codec: Codec | null = null, past: Past | null = null): Decoded | Rejection {
    return this.deviceOf === undefined ? this.#stateOf(payload, past) : this.#announce(payload, past);
  }

  #announce(payload: Buffer, past: Past | null): Decoded | Rejection {
    // An empty one takes the entity back. Whose it was is not in it, so nothing is taken back: it only sends no more.
    if (payload.length === 0) return { readings: [], rejections: [] };
    const components = componentsOf(payload);
    if ('reason' in components) return components;
    const rejections: Rejection[] = [];
    for (const [id, one] of components.slice(0, MOST_ENTITIES)) {
      const path = id === '' ? '$' : `$.components.${id}`;
      const topic = textOf(one.state_topic);
      const entity = topic === null ? null : entityOf(one, path, this.#component(one));
      if (entity === null) continue;
      if ('reason' in entity) rejections.push(entity);
      else if (this.#namedBy(topic!) === undefined) rejections.push(undeclared(topic!, this.name, path));
      else if (
        past !== null &&
        !announce(past, topic!, `${this.#topic} ${id}`, { ...entity, name: nameOf(this.#topic, id) })
      )
        rejections.push({ reason: 'wrong-shape', path, detail: 'more entities than are kept for a device (256 KiB)' });
    }
    return { readings: [], rejections };
  }

  /** `homeassistant/sensor/…` or, of a device with components, what each says. */
  #component({ platform }: Body): string {
    return (
      textOf(platform) ?? this.#topic.split('/').find((level) => level === 'sensor' || level === 'binary_sensor') ?? ''
    );
  }

  #stateOf(payload: Buffer, past: Past | null): Decoded | Rejection {
    const announced = past?.recall(past.device, stateName(this.#topic))?.body as Announced | undefined;
    if (announced === undefined) {
      const detail = `no discovery message announced ${this.#topic}; publish its config once more, then replay`;
      return { reason: 'not-announced', path: '$', detail };
    }
    const text = payload.toString('utf8').trim();
    const json = Object.values(announced).some(({ at }) => at !== null) ? readJson(text) : null;
    if (json !== null && 'reason' in json) return json;
    const fields = createFields();
    for (const { name, at, unit, kind, map } of Object.values(announced)) {
      const path = at === null ? null : pathOf(at);
      const value = path === null ? text : path.read(json!.value);
      if (value === null || value === undefined || Object.hasOwn(fields.metrics, name)) continue;
      fields.metrics[name] = Object.hasOwn(map, String(value)) ? map[String(value)] : value;
      fields.paths[name] = path === null ? '$' : shownPath(path, '$');
      if (unit !== null) fields.units[name] = unit;
      if (kind !== null) fields.aliases[name] = [kind];
    }
    if (Object.keys(fields.metrics).length === 0) {
      const looked = Object.values(announced).map(({ at }) => at ?? '@');
      return {
        reason: 'wrong-shape',
        path: '$',
        detail: `no value found; announced are ${looked.slice(0, 5).join(', ')}`,
      };
    }
    return { readings: [{ path: '$', ts: undefined, ...fields, numbersAsTexts: true }], rejections: [] };
  }
}

type Body = Readonly<Record<string, unknown>>;

const stateName = (topic: string) => `state ${topic}`;

/** Adds an entity to those of its state topic. Returns false where it is too much. */
function announce(past: Past, topic: string, key: string, entity: Announced[string]): boolean {
  const before = (past.recall(past.device, stateName(topic))?.body ?? {}) as Announced;
  // Discovery comes again with each connection.
  if (JSON.stringify(before[key]) === JSON.stringify(entity)) return true;
  if (Object.keys(before).length >= MOST_ENTITIES && !Object.hasOwn(before, key)) return false;
  return past.learn(stateName(topic), { ...before, [key]: entity });
}

/** Returns the components of a discovery message by their ids; one without a list is its own. */
function componentsOf(payload: Buffer): [id: string, component: Body][] | Rejection {
  const json = readJson(payload);
  if ('reason' in json) return json;
  if (!isObject(json.value))
    return { reason: 'wrong-shape', path: '$', detail: `${shown(json.value)} is no discovery` };
  const whole = spelled(json.value);
  if (!isObject(whole.components)) return [['', whole]];
  const { components, ...shared } = whole;
  return Object.entries(components as Body).flatMap(([id, one]) =>
    isObject(one) ? [[id, { ...shared, ...spelled(one, textOf(whole['~'])) }] as [string, Body]] : [],
  );
}

/** Returns a discovery message with its long names, and topics without `~`. */
function spelled(body: Body, outer: string | null = null): Body {
  const entries = Object.entries(body).map(([key, value]) => [SHORT[key] ?? key, value] as const);
  const long: Record<string, unknown> = Object.fromEntries(entries);
  const base = textOf(long['~']) ?? outer;
  const topic = textOf(long.state_topic);
  if (base !== null && topic?.startsWith('~')) long.state_topic = base + topic.slice(1);
  else if (base !== null && topic?.endsWith('~')) long.state_topic = topic.slice(0, -1) + base;
  return long;
}

/** Returns null where it is no sensor. */
function entityOf(body: Body, path: string, component: string): Entity | Rejection | null {
  if (component !== 'sensor' && component !== 'binary_sensor') return null;
  const template = body.value_template ?? null;
  const at = template === null ? null : pathIn(template);
  if (at === 'unknown') {
    const detail = `${shown(template)} computes; only a path such as {{ value_json.temperature }} is read`;
    return { reason: 'wrong-shape', path: `${path}.value_template`, detail };
  }
  const isBinary = component === 'binary_sensor';
  const [on, off] = [textOf(body.payload_on) ?? 'ON', textOf(body.payload_off) ?? 'OFF'];
  return {
    at,
    unit: textOf(body.unit_of_measurement),
    kind: textOf(body.device_class),
    map: isBinary ? { [on]: 1, [off]: 0 } : {},
  };
}

/** The path of a Jinja template that is nothing but one; null: the whole state. */
function pathIn(template: unknown): string | null | 'unknown' {
  const found = typeof template === 'string' && template.length <= LONGEST ? TEMPLATE.exec(template.trim()) : null;
  if (found === null) return 'unknown';
  const [, root, steps = ''] = found;
  if (root === 'value') return steps === '' ? null : 'unknown';
  const names = steps.match(new RegExp(STEP, 'g')) ?? [];
  const parts = names.map((step) => {
    if (/^\[\d/.test(step)) return step;
    return `.${JSON.stringify(step.startsWith('.') ? step.slice(1) : step.slice(2, -2))}`;
  });
  const path = parts.join('').replace(/^\./, '') || '@';
  return typeof compilePath(path) === 'string' ? 'unknown' : path;
}

const compiled = new Map<string, Path>();
const MOST_COMPILED = 4_096;

/** The same path comes with every state. */
function pathOf(text: string): Path {
  let path = compiled.get(text);
  if (path === undefined) {
    if (compiled.size >= MOST_COMPILED) compiled.clear();
    path = compilePath(text) as Path;
    compiled.set(text, path);
  }
  return path;
}

/** The name of an entity: the id of its component, or the level before `config`. */
function nameOf(topic: string, id: string): string {
  return id !== '' ? id : (topic.split('/').at(-2) ?? '');
}

function undeclared(topic: string, format: string, path: string): Rejection {
  const detail = `${shown(topic)} is no topic of the format ${format}; add its pattern to formats.yaml`;
  return { reason: 'unknown-topic', path: `${path}.state_topic`, detail };
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= LONGEST ? value : null;
}

interface Fields {
  readonly metrics: Record<string, unknown>;
  readonly paths: Record<string, string>;
  readonly units: Record<string, string>;
  readonly aliases: Record<string, readonly string[]>;
}

/** Names are chosen by senders. */
function createFields(): Fields & Pick<RawReading, 'metrics'> {
  const none = <T>() => Object.create(null) as Record<string, T>;
  return { metrics: none(), paths: none(), units: none(), aliases: none() };
}

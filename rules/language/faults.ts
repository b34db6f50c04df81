import { type City, GROUPINGS, type Grouping, SEVERITIES, suggest, unknownName } from '../../domain/index.ts';
import { conditionFaults, metricsOf } from './conditions.ts';
import { type Fault, mapAt, namesAt, nodesOf, numberAt, type Raw, shapeOf, textAt } from './raw.ts';

const PLACEHOLDERS: Readonly<Record<Grouping, readonly string[]>> = {
  device: ['device.name', 'device.id', 'district', 'value'],
  district: ['district', 'value'],
  city: ['value'],
};

/** The grouping of a rule, as far as it can be read. */
function groupingOf(rule: Raw): Grouping {
  const written = textAt(rule, 'for_each') ?? textAt(mapAt(mapAt(rule, 'when'), 'quorum'), 'of');
  return GROUPINGS.find((one) => one === written) ?? 'device';
}

/**
 * Yields the mistakes of a rule that its schema does not find: names that the city does not know, and conditions that
 * cannot work.
 */
export function* faultsOf(rule: Raw, city: City): Generator<Fault> {
  const [where, when] = [mapAt(rule, 'where'), mapAt(rule, 'when')];
  const grouping = groupingOf(rule);
  yield* titleFaults(rule, PLACEHOLDERS[grouping]);
  yield* unknown(['where', 'profile'], 'profile', namesAt(where, 'profile'), city.profiles);
  yield* unknown(['where', 'district'], 'district', namesAt(where, 'district'), city.districts);
  yield* unknown(['ticket', 'service'], 'service', namesAt(mapAt(rule, 'ticket'), 'service'), city.services);
  yield* unknown(['active'], 'calendar', namesAt(rule, 'active'), city.calendars);
  yield* measuredFaults(where, when, city);
  yield* conditionFaults(when, city, grouping !== 'device' && when.quorum === undefined);
  yield* quorumFaults(rule, when);
  yield* stepFaults(rule, when);
  yield* silenceFaults(rule, when);
}

function* titleFaults({ title }: Raw, known: readonly string[]): Generator<Fault> {
  const texts = typeof title === 'string' ? { '': title } : ((title ?? {}) as Record<string, unknown>);
  for (const [language, text] of Object.entries(texts)) {
    if (typeof text !== 'string') continue;
    for (const [, written] of text.matchAll(/\{\{([^{}]*)\}\}/g)) {
      const name = written!.trim();
      if (known.includes(name)) continue;
      yield [['title', language], `unknown placeholder {{${name}}}${suggest(name, known)}`];
    }
  }
}

function* unknown(
  path: readonly string[],
  what: string,
  names: readonly string[] | undefined,
  known: ReadonlyMap<string, unknown>,
): Generator<Fault> {
  for (const [i, name] of (names ?? []).entries()) {
    const fault = unknownName(what, name, known);
    if (fault !== null) yield [[...path, i], fault];
  }
}

/** At least one profile of the rule must measure all its metrics. */
function* measuredFaults(where: Raw, when: Raw, city: City): Generator<Fault> {
  const metrics = metricsOf(when);
  if (metrics.some((metric) => !city.metrics.has(metric))) return;
  const named = (namesAt(where, 'profile') ?? [...city.profiles.keys()]).flatMap((id) => city.profiles.get(id) ?? []);
  if (named.length === 0 || named.some((profile) => metrics.every((metric) => profile.metrics.includes(metric))))
    return;
  const first = [...nodesOf(when)].find((node) => textAt(node.when, 'metric') !== undefined)?.path ?? ['when'];
  const measured = [...new Set(named.flatMap((profile) => profile.metrics))];
  const lacking = metrics.filter((metric) => !measured.includes(metric));
  yield lacking.length > 0
    ? [[...first, 'metric'], `no profile of this rule measures "${lacking[0]}"; they measure ${measured.join(', ')}`]
    : [[...first, 'metric'], `no profile of this rule measures all of ${metrics.join(', ')}`];
}

function* quorumFaults(rule: Raw, when: Raw): Generator<Fault> {
  const quorum = mapAt(when, 'quorum');
  if (when.quorum === undefined) return;
  if (rule.for_each !== undefined && rule.for_each !== quorum.of) {
    yield [['for_each'], `a quorum of a ${quorum.of} is for_each: ${quorum.of}; leave for_each out, or write the same`];
  }
  if (quorum.at_least === '0%') yield [['when', 'quorum', 'at_least'], 'a share is from 1% to 100%'];
}

function* stepFaults(rule: Raw, when: Raw): Generator<Fault> {
  if (typeof rule.severity !== 'object' || rule.severity === null) return;
  const shape = shapeOf(when);
  const op = ['above', 'below'].find((one) => numberAt(when, one) !== undefined);
  if (op === undefined || (shape !== 'threshold' && shape !== 'forecast') || when.quorum !== undefined) {
    yield [['severity'], 'steps need one condition with above or below, and no quorum'];
    return;
  }
  const steps = SEVERITIES.flatMap((name) => numberAt(mapAt(rule, 'severity'), name) ?? []);
  const direction = op === 'above' ? 1 : -1;
  if (steps[0] !== when[op]) yield [['severity'], `the lowest step must be the threshold: ${op}: ${when[op]}`];
  if (steps.some((at, i) => i > 0 && direction * (at - steps[i - 1]!) <= 0)) {
    yield [['severity'], `a higher severity needs a step further ${op}`];
  }
}

function* silenceFaults(rule: Raw, when: Raw): Generator<Fault> {
  const keep = rule.on_no_data === undefined || rule.on_no_data === 'keep';
  if (keep && rule.no_data_after !== undefined) {
    yield [['no_data_after'], 'it is about on_no_data: resolve or alert, which is missing'];
  }
  for (const key of ['no_data_for', 'no_data_grace'] as const) {
    if (rule[key] !== undefined && rule.on_no_data !== 'alert') {
      yield [[key], 'it is about on_no_data: alert, which is missing'];
    }
  }
  if (!keep && [...nodesOf(when)].some((node) => shapeOf(node.when) === 'absent')) {
    yield [['on_no_data'], 'a condition with absent is about silence itself; leave on_no_data out'];
  }
}

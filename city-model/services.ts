import { z } from 'zod';
import {
  CAP_CATEGORIES,
  DAY_MS,
  GROUP_KEYS,
  HOUR_MS,
  type Inhibition,
  MATCH_KEYS,
  type Matchers,
  ParametersSchema,
  type Service,
} from '../domain/index.ts';
import { Duration, Id, Positive, strict, Text } from './schema.ts';
import { unless } from './wording.ts';

const Percent = z
  .string({ error: unless('not a share; write 80%') })
  .regex(/^([1-9]|[1-9]\d)%$/, 'a share is between 1% and 99%, such as 80%')
  .transform((text) => Number.parseInt(text, 10));

const LISTS = ['singlevaluelist', 'multivaluelist'] as const;

/** Open311 names an attribute's code in form fields: `attribute[CODE]`. */
const Code = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'a code has letters, digits, - and _, and at most 64 of them');

const Attribute = strict({
  code: Code,
  title: Text,
  datatype: z.enum(['string', 'number', 'datetime', 'text', ...LISTS, 'asset']),
  required: z.boolean().default(false),
  identifies: z.boolean().default(false),
  hint: Text.nullable().default(null),
  values: z.record(Code, Text).default({}),
}).superRefine(({ datatype, identifies, values }, context) => {
  if (identifies && datatype !== 'string' && datatype !== 'number') {
    context.addIssue({ code: 'custom', path: ['identifies'], message: 'only a string or a number identifies a thing' });
  }
  const isList = LISTS.some((list) => list === datatype);
  if (isList === Object.keys(values).length > 0) return;
  const message = isList ? 'a list needs values to choose from' : `only ${LISTS.join(' and ')} have values`;
  context.addIssue({ code: 'custom', path: ['values'], message });
});

const Escalation = strict({ on: z.enum(['acknowledge', 'resolve']), after: Duration.default(0), to: z.string() });

/** A citizen finds out in two weeks whether it is fixed. */
const NOT_FIXED_MS = 14 * DAY_MS;

/** `services.yaml`. */
export const ServicesSchema = z.record(
  Id,
  strict({
    title: Text,
    description: Text.nullable().default(null),
    department: z.string(),
    open311: z.boolean().default(true),
    keywords: z.array(z.string().min(1)).default([]),
    attributes: z.array(Attribute).default([]),
    deadline: Positive,
    acknowledge: Positive.nullable().default(null),
    calendar: z.string().nullable().default(null),
    warn: Percent.nullable().default(null),
    escalate: z.array(Escalation).default([]),
    resolution: z.enum(['auto', 'confirm']).default('auto'),
    reopen: Duration.default(0),
    close: Positive.nullable().default(null),
    recheck: Positive.nullable().default(null),
    remind: Positive.refine((ms) => ms >= HOUR_MS, 'a reminder comes at most once an hour')
      .nullable()
      .default(null),
    not_fixed: Duration.default(NOT_FIXED_MS),
    offer: z.array(strict({ to: z.string(), for: Positive })).default([]),
    command: strict({ name: Id, parameters: ParametersSchema.default({}) })
      .nullable()
      .default(null),
    asset: strict({
      kind: z.union([Id.transform((kind) => [kind]), z.array(Id).min(1)]),
      within: z.number().min(1).max(500),
    })
      .nullable()
      .default(null),
    measured: z.record(Code, z.array(Code).min(1)).default({}),
    gather: strict({ by: z.array(z.enum(GROUP_KEYS)).default([]), wait: Positive })
      .nullable()
      .default(null),
    cap: strict({ category: z.enum(CAP_CATEGORIES) }).exactOptional(),
  }).superRefine(({ acknowledge, escalate, attributes, measured, asset }, context) => {
    for (const [code, keys] of Object.entries(measured)) {
      const values = attributes.find((one) => one.code === code)?.values ?? {};
      const unknown = keys.find((key) => !Object.hasOwn(values, key));
      if (unknown === undefined) continue;
      const message = `the question "${code}" has no value "${unknown}"`;
      context.addIssue({ code: 'custom', path: ['measured', code], message });
    }
    attributes.forEach(({ datatype }, i) => {
      if (datatype !== 'asset' || asset !== null) return;
      const message = 'the service names no kind of asset; add "asset: { kind: pole, within: 30 }"';
      context.addIssue({ code: 'custom', path: ['attributes', i, 'datatype'], message });
    });
    escalate.forEach(({ on }, i) => {
      if (on !== 'acknowledge' || acknowledge !== null) return;
      const message = 'the service sets no time to acknowledge; add "acknowledge: 30m"';
      context.addIssue({ code: 'custom', path: ['escalate', i, 'on'], message });
    });
  }),
);

const Names = z.union([z.string().transform((name) => [name]), z.array(z.string()).min(1)]);
const matchers = (keys: readonly string[]) =>
  Object.fromEntries(keys.map((key) => [key, Names.optional()])) as Record<string, z.ZodOptional<typeof Names>>;

/** `inhibitions.yaml`, which is optional. */
export const InhibitionsSchema = z.array(
  strict({
    source: strict(matchers(['rule', 'district', 'severity'])),
    target: strict({ ...matchers(MATCH_KEYS), tags: z.record(z.string(), z.string()).optional() }),
    equal: z.array(z.enum(['district', 'device'])).default([]),
    via: z.string().min(1).nullable().default(null),
    late: Duration.default(HOUR_MS),
  }).refine(({ source }) => source.rule !== undefined, { path: ['source', 'rule'], message: 'is missing' }),
);

/** Compiles a service from its entry in `services.yaml`. */
export function serviceOf(written: z.output<typeof ServicesSchema>[string]): Omit<Service, 'id'> {
  const {
    deadline,
    acknowledge,
    warn,
    escalate,
    reopen,
    close,
    recheck,
    remind,
    not_fixed,
    offer,
    gather,
    attributes,
    asset,
    measured,
    ...service
  } = written;
  return {
    ...service,
    attributes: attributes.map(({ values, ...attribute }) => ({
      ...attribute,
      values: Object.entries(values).map(([key, title]) => ({ key, title })),
    })),
    deadlineMs: deadline,
    acknowledgeMs: acknowledge,
    warnPercent: warn,
    escalation: escalate.map(({ on, after, to }) => ({ on, afterMs: after, to })),
    reopenMs: reopen,
    closeMs: close,
    recheckMs: recheck,
    remindMs: remind,
    notFixedMs: not_fixed,
    offers: offer.map(({ to, for: forMs }) => ({ to, forMs })),
    gathering: gather === null ? null : { by: gather.by, waitMs: gather.wait },
    asset: asset === null ? null : { kinds: asset.kind, withinM: asset.within },
    measured: new Map(Object.entries(measured)),
  };
}

/** Compiles the inhibitions from `inhibitions.yaml`. */
export function inhibitionsOf(written: z.output<typeof InhibitionsSchema>): Inhibition[] {
  return written.map(({ source, target, equal, via, late }) => ({
    source: source as Inhibition['source'],
    target: target as Matchers,
    equal,
    via,
    lateMs: late,
  }));
}

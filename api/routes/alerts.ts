import { z } from 'zod';
import { boundTo, DAY_MS, isoOf, type Reach } from '../../domain/index.ts';
import { explained } from '../../rules/index.ts';
import { rulesOf } from '../departments.ts';
import type { ApiDeps } from '../deps.ts';
import { AlertInFull, AlertResponse, DeviceExplained } from '../responses/alerts.ts';
import { found, Id, Name, Paged, pageOf, partOf, SeveritySchema, Short } from '../schema.ts';
import type { App } from './routes.ts';

const text = Name.exactOptional();

/** `/api/v1/alerts`: the alerts, and why each fires or does not. */
export function alertRoutes(
  app: App,
  deps: Pick<ApiDeps, 'alerts' | 'rules' | 'devices' | 'held' | 'city' | 'events' | 'clock'>,
): void {
  const { alerts, rules, devices, held, city } = deps;
  const tags = ['alerts'];
  /** Why the alert's ticket waits; null where it does not. */
  const waitOf = (alert: { readonly rule: string; readonly group: string }) => {
    const waiting = held.of(alert);
    return waiting && { reason: waiting.reason, cause: waiting.cause, opensAt: waiting.opensAt };
  };
  /** The rules whose alerts a request reaches; undefined: all. */
  const ownRules = (reach: Reach) => {
    const own = boundTo(reach);
    return own === null ? undefined : rulesOf(own, rules, city());
  };
  firedRoute(app, deps, ownRules);
  app.get(
    '/api/v1/alerts',
    {
      config: { permission: 'alerts.read' },
      schema: {
        tags,
        summary: 'Lists alerts, the latest change first',
        querystring: Paged.extend({
          state: z.enum(['pending', 'firing', 'resolved']).exactOptional(),
          rule: text,
          district: text,
          severity: SeveritySchema.exactOptional(),
        }),
        response: { 200: pageOf(AlertResponse) },
      },
    },
    async ({ query, reach }) => {
      const { items, next } = alerts.list({ ...query, rules: ownRules(reach) });
      return { items: items.map((alert) => ({ ...alert, waits: waitOf(alert) })), next };
    },
  );
  app.get(
    '/api/v1/alerts/:rule/:group',
    {
      config: { permission: 'alerts.read' },
      schema: {
        tags,
        summary:
          'Explains one alert: its state clause by clause, since when, and what comes next; also if it never fired',
        params: z.object({ rule: Name, group: Name }),
        response: { 200: AlertInFull },
      },
    },
    async ({ params: { rule, group }, reach }) => {
      if (ownRules(reach)?.includes(rule) === false) found(null, `alert of rule "${rule}" for "${group}"`);
      const explanation = await rules.explain(rule, group);
      const alert = alerts.get(rule, group) ?? (explanation && { rule, group, state: 'inactive' });
      const shown = found(alert, `alert of rule "${rule}" for "${group}"`);
      return { ...shown, waits: waitOf(shown), explanation: explanation && explained(explanation) };
    },
  );
  app.get(
    '/api/v1/devices/:id/explain',
    {
      config: { permission: 'alerts.read' },
      schema: {
        tags,
        summary: 'Lists every rule about a device, its district and the city: whether its alert fires, and why',
        params: Id,
        querystring: Short,
        response: { 200: pageOf(DeviceExplained) },
      },
    },
    async ({ params: { id }, query, reach }) => {
      found(devices.get(id), `device "${id}"`);
      const titles = new Map(rules.list().map((rule) => [rule.id, rule]));
      const own = ownRules(reach);
      const explanations = await rules.explainDevice(id);
      const items = explanations
        .filter(({ rule }) => own?.includes(rule) !== false)
        .map((explanation) => {
          const { title, titleZh, severity } = titles.get(explanation.rule) ?? {};
          return { title, titleZh, severity, ...explained(explanation) };
        });
      return partOf(items, query);
    },
  );
}

const MOST_DAYS = 31;
const RuleFired = z
  .object({ since: z.iso.datetime(), counts: z.array(z.object({ rule: z.string(), fired: z.int() })) })
  .meta({ id: 'RuleFired', description: 'How often alerts of each rule fired; rules that never did are left out' });

/** Not under `/api/v1/rules`, where it would hide a rule of this name. */
function firedRoute(
  app: App,
  { events, clock }: Pick<ApiDeps, 'events' | 'clock'>,
  ownRules: (reach: Reach) => readonly string[] | undefined,
): void {
  app.get(
    '/api/v1/alerts/fired',
    {
      config: { permission: 'alerts.read', concurrency: 'queries' },
      schema: {
        tags: ['alerts'],
        summary: 'Counts the alerts that fired in the last days, by rule, as far back as events are kept',
        querystring: z.object({ days: z.coerce.number().int().min(1).max(MOST_DAYS).default(7) }),
        response: { 200: RuleFired },
      },
    },
    async ({ query: { days }, reach }) => {
      const since = isoOf(clock.now() - days * DAY_MS);
      const own = ownRules(reach);
      const fired = [...(await events.firedSince(since))].filter(([rule]) => own?.includes(rule) !== false);
      return { since, counts: fired.map(([rule, count]) => ({ rule, fired: count })) };
    },
  );
}

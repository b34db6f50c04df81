import { z } from 'zod';
import { explained } from '../../rules/index.ts';
import { AlertAnswer, AlertInFull, DeviceExplained } from '../answers/alerts.ts';
import type { ApiDeps } from '../deps.ts';
import { found, given, Paged, pageOf, SeveritySchema } from '../schema.ts';
import type { App } from './routes.ts';

const text = z.string().optional();

/** `/api/v1/alerts`, and why an alert fires or does not. */
export function alertRoutes(app: App, { alerts, rules, devices, held }: ApiDeps): void {
  const tags = ['alerts'];
  /** What keeps its ticket back, or null. */
  const waitOf = (alert: { readonly rule: string; readonly group: string }) => {
    const waiting = held.of(alert);
    return waiting && { reason: waiting.reason, cause: waiting.cause, opensAt: waiting.opensAt };
  };
  app.get(
    '/api/v1/alerts',
    {
      schema: {
        tags,
        summary: 'Alerts and their states',
        querystring: Paged.extend({
          state: z.enum(['pending', 'firing', 'resolved']).optional(),
          rule: text,
          district: text,
          severity: SeveritySchema.optional(),
        }),
        response: { 200: pageOf(AlertAnswer) },
      },
    },
    async ({ query }) => {
      const { items, next } = alerts.list(given(query));
      return { items: items.map((alert) => ({ ...alert, waits: waitOf(alert) })), next };
    },
  );
  app.get(
    '/api/v1/alerts/:rule/:group',
    {
      schema: {
        tags,
        summary:
          'One alert and why it stands so: clause by clause, since when, and what comes next; also of one that never fired',
        params: z.object({ rule: z.string(), group: z.string() }),
        response: { 200: AlertInFull },
      },
    },
    async ({ params: { rule, group } }) => {
      const explanation = await rules.explain(rule, group);
      const alert = alerts.get(rule, group) ?? (explanation && { rule, group, state: 'inactive' });
      const shown = found(alert, `alert of rule "${rule}" for "${group}"`);
      return { ...shown, waits: waitOf(shown), explanation: explanation && explained(explanation) };
    },
  );
  app.get(
    '/api/v1/devices/:id/explain',
    {
      schema: {
        tags,
        summary: 'Every rule about a device, its district and the city: whether its alert fires, and the reason',
        params: z.object({ id: z.string() }),
        response: { 200: pageOf(DeviceExplained) },
      },
    },
    async ({ params: { id } }) => {
      found(devices.get(id), `device "${id}"`);
      const titles = new Map(rules.list().map((rule) => [rule.id, rule]));
      const items = (await rules.explainDevice(id)).map((explanation) => {
        const { title, titleZh, severity } = titles.get(explanation.rule) ?? {};
        return { title, titleZh, severity, ...explained(explanation) };
      });
      return { items, next: null };
    },
  );
}

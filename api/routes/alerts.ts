import { z } from 'zod';
import { explained } from '../../rules/index.ts';
import type { ApiDeps } from '../deps.ts';
import { AlertInFull, AlertResponse, DeviceExplained } from '../responses/alerts.ts';
import { found, Id, Name, Paged, pageOf, SeveritySchema } from '../schema.ts';
import type { App } from './routes.ts';

const text = Name.exactOptional();

/** `/api/v1/alerts`: the alerts, and why each fires or does not. */
export function alertRoutes(
  app: App,
  { alerts, rules, devices, held }: Pick<ApiDeps, 'alerts' | 'rules' | 'devices' | 'held'>,
): void {
  const tags = ['alerts'];
  /** Why the alert's ticket waits; null where it does not. */
  const waitOf = (alert: { readonly rule: string; readonly group: string }) => {
    const waiting = held.of(alert);
    return waiting && { reason: waiting.reason, cause: waiting.cause, opensAt: waiting.opensAt };
  };
  app.get(
    '/api/v1/alerts',
    {
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
    async ({ query }) => {
      const { items, next } = alerts.list(query);
      return { items: items.map((alert) => ({ ...alert, waits: waitOf(alert) })), next };
    },
  );
  app.get(
    '/api/v1/alerts/:rule/:group',
    {
      schema: {
        tags,
        summary:
          'Explains one alert: its state clause by clause, since when, and what comes next; also if it never fired',
        params: z.object({ rule: Name, group: Name }),
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
        summary: 'Lists every rule about a device, its district and the city: whether its alert fires, and why',
        params: Id,
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

import type { FastifyReply } from 'fastify';
import { stringify } from 'yaml';
import { z } from 'zod';
import { CityProblemSchema } from '../../domain/index.ts';
import type { ListedRule, RuleDraft } from '../../rules/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { etagOf, versionsOf } from '../if-match.ts';
import { RuleResponse, RuleVersionResponse } from '../responses/rules.ts';
import { found, Id, Paged, pageOf, partOf, Short } from '../schema.ts';
import type { App, SchemaTypes } from './routes.ts';

const YAML = ['application/yaml', 'application/x-yaml', 'text/yaml', 'text/x-yaml'];
export const RULE_BODY_LIMIT = 256 * 1024;
const tags = ['rules'];

const Text = z.string().min(1).max(100_000);
const Note = z.string().max(1_000);

/** A rule in a request: its id or its text (YAML), or the rule itself as an object. */
export const RuleReference = z.union([Text, z.looseObject({})]);

/** A rule to store: YAML as the body, `{text, note}` with the YAML in it, or the rule itself as an object. */
const RuleBody = z.union([
  Text,
  z.strictObject({ text: Text, note: Note.default('') }),
  z.looseObject({ text: z.never().optional() }),
]);

/** `?note=`, for bodies that have no note. */
const Noted = z.object({ note: Note.default('') });

/** `/api/v1/rules`. Rules from files are read-only here; rules made here have versions, authors and a history. */
export function ruleRoutes(app: App, { rules }: Pick<ApiDeps, 'rules'>): void {
  checkRoute(app, rules);
  app.get(
    '/api/v1/rules',
    {
      config: { permission: 'rules.read' },
      schema: {
        tags,
        summary:
          'Lists all rules by id, from files and from the API: where each comes from, and what keeps it out of force',
        querystring: Paged,
        response: { 200: pageOf(RuleResponse) },
      },
    },
    async ({ query: { limit, after } }) => {
      const items = rules.list().filter(({ id }) => after === null || id > after);
      return { items: items.slice(0, limit), next: items.length > limit ? items[limit - 1]!.id : null };
    },
  );
  app.get(
    '/api/v1/rules/:id',
    {
      config: { permission: 'rules.read' },
      schema: { tags, summary: 'Returns a rule with its source', params: Id, response: { 200: RuleResponse } },
    },
    async ({ params: { id } }, reply) => {
      const rule = found(rules.get(id), `rule "${id}"`);
      return reply.header('etag', etagOf(rule.version)).send(rule);
    },
  );
  app.get(
    '/api/v1/rules/:id/history',
    {
      config: { permission: 'rules.read' },
      schema: {
        tags,
        summary: 'Lists the versions of a rule, newest first: by whom, when, why, and the text (null: deleted)',
        params: Id,
        querystring: Short,
        response: { 200: pageOf(RuleVersionResponse) },
      },
    },
    async ({ params: { id }, query }) => partOf(found(rules.history(id), `rule "${id}"`), query),
  );
  void app.register(async (scope) => {
    scope.addContentTypeParser(YAML, { parseAs: 'string' }, (_request, body, done) => done(null, body));
    changeRoutes(scope.withTypeProvider<SchemaTypes>() as App, rules);
  });
}

const RuleCheck = z
  .object({ problems: z.array(CityProblemSchema).readonly(), warnings: z.array(CityProblemSchema).readonly() })
  .meta({ id: 'RuleCheck', description: 'Every mistake of a rule, and why it could never decide' });

function checkRoute(app: App, rules: ApiDeps['rules']): void {
  app.post(
    '/api/v1/rules/check',
    {
      config: { permission: 'rules.read', audited: 'no' },
      bodyLimit: RULE_BODY_LIMIT,
      schema: {
        tags,
        summary: 'Lists the mistakes of the text of a rule with line and column, for editors. It changes nothing',
        body: z.strictObject({ text: Text }),
        response: { 200: RuleCheck },
      },
    },
    async ({ body }) => rules.check(body.text),
  );
}

function changeRoutes(app: App, rules: ApiDeps['rules']): void {
  const config = { permission: 'rules.write', audited: 'action' } as const;
  const input = { body: RuleBody, querystring: Noted };
  app.post(
    '/api/v1/rules',
    {
      config,
      bodyLimit: RULE_BODY_LIMIT,
      schema: {
        tags,
        summary:
          'Creates a rule from its YAML, from {text, note}, or from the rule as an object. The response follows once it is in force',
        ...input,
        response: { 201: RuleResponse },
      },
    },
    async (request, reply) => {
      const rule = await rules.create(draftOf(request.body, request.query), callerOf(request));
      reply.code(201).header('location', `/api/v1/rules/${rule.id}`);
      return changedRule(reply, rule);
    },
  );
  app.put(
    '/api/v1/rules/:id',
    {
      config,
      bodyLimit: RULE_BODY_LIMIT,
      schema: {
        tags,
        summary: 'Creates a new version of a rule. If-Match limits the change to the versions listed',
        params: Id,
        ...input,
        response: { 200: RuleResponse },
      },
    },
    async (request, reply) => {
      const { params, body, query, headers } = request;
      const versions = versionsOf(headers['if-match']);
      return changedRule(reply, await rules.change(params.id, draftOf(body, query), versions, callerOf(request)));
    },
  );
  app.delete(
    '/api/v1/rules/:id',
    {
      config,
      schema: {
        tags,
        summary: 'Deletes a rule that was made here; its alerts end. If-Match limits this to the versions listed',
        params: Id,
        querystring: Noted,
      },
    },
    async (request, reply) => {
      const { params, query, headers } = request;
      await rules.remove(params.id, query.note, versionsOf(headers['if-match']), callerOf(request));
      return reply.code(204).send();
    },
  );
}

/** Returns the text of a rule that was sent as YAML or as an object. */
export function textOf(rule: z.infer<typeof RuleReference>): string {
  return typeof rule === 'string' ? rule : stringify(rule);
}

function draftOf(body: z.infer<typeof RuleBody>, query: z.infer<typeof Noted>): RuleDraft {
  if (typeof body === 'object' && typeof body.text === 'string') {
    return { text: body.text, note: 'note' in body ? String(body.note) : query.note };
  }
  return { text: textOf(body), note: query.note };
}

/** Sets the ETag of a changed rule and returns the body. */
function changedRule(reply: FastifyReply, rule: ListedRule): ListedRule {
  reply.header('etag', etagOf(rule.version));
  return rule;
}

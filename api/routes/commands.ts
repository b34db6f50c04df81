import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import {
  COMMAND_REFUSALS,
  DeviceCommandSchema,
  type DeviceState,
  DeviceStateSchema,
  type DeviceTwin,
  DeviceTwinSchema,
  ParametersSchema,
} from '../../domain/index.ts';
import { callerOf } from '../caller.ts';
import type { ApiDeps } from '../deps.ts';
import { etagOf, versionIn } from '../if-match.ts';
import { found, Id, Instant, Name, Paged, pageOf } from '../schema.ts';
import type { App } from './routes.ts';

type Deps = Pick<ApiDeps, 'commands' | 'devices' | 'city'>;

const tags = ['devices'];
const reads = { permission: 'devices.read' } as const;
const writes = { permission: 'commands.write', audited: 'action' } as const;
const OneOf = Id.extend({ command: Name });

const CommandBody = z.strictObject({
  command: Name.describe('One that the profile of the device declares'),
  parameters: ParametersSchema.default({}),
  validUntil: Instant.nullish().describe('When it is over; absent: as long as the profile says'),
  qos: z
    .union([z.literal(0), z.literal(1)])
    .default(1)
    .describe('0: only a device that is connected gets it'),
});

/** `/api/v1/devices/{id}/commands` and `/api/v1/devices/{id}/desired`: the way back to a device. */
export function commandRoutes(app: App, deps: Deps): void {
  readRoutes(app, deps);
  sendRoutes(app, deps);
  desiredRoutes(app, deps);
}

function readRoutes(app: App, { commands, devices }: Deps): void {
  app.get(
    '/api/v1/devices/:id/commands',
    {
      config: reads,
      schema: {
        tags,
        summary:
          'Lists the commands to a device, newest first: those it has not responded to, and the last hundred others',
        params: Id,
        querystring: Paged,
        response: { 200: pageOf(DeviceCommandSchema) },
      },
    },
    async ({ params: { id }, query }) => {
      found(devices.get(id), `device "${id}"`);
      return commands.list(id, query);
    },
  );
  app.get(
    '/api/v1/devices/:id/commands/:command',
    {
      config: reads,
      schema: {
        tags,
        summary: 'Returns a command and what became of it',
        params: OneOf,
        response: { 200: DeviceCommandSchema },
      },
    },
    async ({ params: { id, command } }) => found(commands.get(id, command), `command "${command}" to "${id}"`),
  );
}

function sendRoutes(app: App, { commands, devices }: Deps): void {
  app.post(
    '/api/v1/devices/:id/commands',
    {
      config: writes,
      schema: {
        tags,
        summary: 'Queues a command for a device; it supersedes an open one of the same name',
        params: Id,
        body: CommandBody,
        response: { 201: DeviceCommandSchema },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      found(devices.get(id), `device "${id}"`);
      const { command, parameters, validUntil, qos } = request.body;
      const asked = { device: id, command, parameters, validUntilMs: validUntil ?? null, qos, ticket: null };
      const sent = await commands.send(asked, callerOf(request));
      return reply.code(201).header('location', `/api/v1/devices/${id}/commands/${sent.id}`).send(sent);
    },
  );
  app.delete(
    '/api/v1/devices/:id/commands/:command',
    {
      config: writes,
      schema: {
        tags,
        summary: 'Cancels a command that the device has not responded to; it may have it already',
        params: OneOf,
        response: { 200: DeviceCommandSchema },
      },
    },
    async (request) => {
      const { id, command } = request.params;
      found(devices.get(id), `device "${id}"`);
      return commands.cancel({ device: id, id: command }, callerOf(request));
    },
  );
}

type Desiring = FastifyRequest<{ Params: { id: string }; Body: DeviceState }>;

const CHANGED = ['desired-changed', COMMAND_REFUSALS['desired-changed']] as const;

function desiredRoutes(app: App, { commands, devices, city }: Deps): void {
  const response = { 200: DeviceTwinSchema };
  const twinOf = (id: string) => {
    const { profile } = found(devices.get(id), `device "${id}"`);
    return commands.twin(id, city().profiles.get(profile)?.departments ?? []);
  };
  app.get(
    '/api/v1/devices/:id/desired',
    {
      config: reads,
      schema: {
        tags,
        summary: 'Returns what a device is wanted to be, what it says that it is, and where both differ',
        params: Id,
        response,
      },
    },
    async ({ params: { id } }, reply) => tagged(reply, twinOf(id)),
  );
  const change = (summary: string) => ({
    config: writes,
    schema: { tags, summary, params: Id, body: DeviceStateSchema, response },
  });
  const desire = async (request: Desiring, reply: FastifyReply, patch: boolean) => {
    const { id } = request.params;
    const version = versionIn(request.headers, twinOf(id).version, CHANGED);
    await commands.desire({ device: id, set: request.body, patch, version }, callerOf(request));
    return tagged(reply, twinOf(id));
  };
  app.put(
    '/api/v1/devices/:id/desired',
    change('Sets what a device is wanted to be. `If-Match` limits it to a version'),
    async (request, reply) => desire(request, reply, false),
  );
  app.patch(
    '/api/v1/devices/:id/desired',
    change('Changes what a device is wanted to be (merge patch, RFC 7396). `If-Match` limits it to a version'),
    async (request, reply) => desire(request, reply, true),
  );
}

function tagged(reply: FastifyReply, twin: DeviceTwin): DeviceTwin {
  reply.header('etag', etagOf(twin.version));
  return twin;
}

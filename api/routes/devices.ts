import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import {
  DevEuiSchema,
  DeviceSchema,
  LamppostError,
  NewCalibrationSchema,
  PlaceSchema,
  REGISTRY_REFUSALS,
  unknownName,
} from '../../domain/index.ts';
import { RecomputedSchema, recompute } from '../../ingest/index.ts';
import {
  DEVICE_ORDERS,
  type DeviceChange,
  type DeviceReplacement,
  hashSecret,
  type RegisteredDevice,
} from '../../registry/index.ts';
import { callerOf } from '../caller.ts';
import { devicesCsv } from '../csv.ts';
import type { ApiDeps } from '../deps.ts';
import { etagOf, versionIn } from '../if-match.ts';
import { DeviceResponse, DeviceWithConnection, DeviceWithSecret, NewDevice } from '../responses/registry.ts';
import { found, Id, Name, OverlapBody, overlapOf, Paged, pageOf, sendRaw } from '../schema.ts';
import { Search } from '../search.ts';
import { claimRoutes } from './claims.ts';
import type { App } from './routes.ts';

const MAX_DEVICES = 5_000;

type Deps = Pick<ApiDeps, 'devices' | 'history' | 'imports' | 'ledger' | 'queries' | 'city'>;

const HASH = /^(?:[0-9a-fA-F]{64}|[A-Za-z0-9_-]{43})$/;
const tags = ['devices'];
const admin = { permission: 'devices.write', audited: 'action' } as const;

/** A device to register. One that has a secret already brings it, or its SHA-256, and keeps it. */
const DeviceBody = DeviceSchema.extend({
  secret: z.string().min(16).max(512).exactOptional().describe('The one that it has already, instead of a new one'),
  secretHash: z
    .string()
    .regex(HASH, 'a SHA-256 has 64 hexadecimal digits, or 43 characters of base64url')
    .exactOptional()
    .describe('SHA-256 of the secret that it has already'),
}).refine(({ secret, secretHash }) => secret === undefined || secretHash === undefined, 'either secret or secretHash');

const ChangeBody = z
  .strictObject({
    profile: Name.optional(),
    district: Name.optional(),
    name: z.string().min(1).max(200).nullish(),
    location: PlaceSchema.nullish(),
    gateway: Name.nullish(),
    asset: Name.nullish(),
    tags: z.record(z.string().max(64), z.string().max(200).nullable()).meta({ maxProperties: 100 }).nullish(),
  })
  .describe('A merge patch (RFC 7396): null removes, what is absent stays');

const ReplaceBody = ChangeBody.extend({
  devEui: DevEuiSchema.nullish().describe(
    'The DevEUI of the new LoRaWAN hardware; null: the id of the device; absent: as it is',
  ),
}).describe('A merge patch (RFC 7396): null removes, what is absent stays');

/** `/api/v1/devices`. */
export function deviceRoutes(app: App, deps: Deps): void {
  const { devices } = deps;
  registerRoute(app, devices);
  readRoutes(app, devices);
  changeRoutes(app, devices);
  secretRoutes(app, devices);
  calibrationRoutes(app, devices);
  recomputeRoute(app, deps);
  claimRoutes(app, devices);
}

function registerRoute(app: App, devices: Deps['devices']): void {
  app.post(
    '/api/v1/devices',
    {
      config: admin,
      bodyLimit: 8 * 1024 * 1024,
      schema: {
        tags,
        summary: 'Registers one device or an array of devices, all or none; returns each new secret once',
        body: z.union([DeviceBody, z.array(DeviceBody).min(1).max(MAX_DEVICES)]),
        response: { 201: z.union([NewDevice, z.array(NewDevice)]) },
      },
    },
    async (request, reply) => {
      const { body } = request;
      const registered = await devices.register([body].flat().map(withHash), callerOf(request));
      return reply.code(201).send(Array.isArray(body) ? registered : registered[0]!);
    },
  );
}

/** From here on there is no secret. */
function withHash({ secret, secretHash, ...device }: z.output<typeof DeviceBody>) {
  if (secret !== undefined) return { ...device, secretHash: hashSecret(secret).toString('base64url') };
  if (secretHash === undefined) return device;
  const bytes = Buffer.from(secretHash, secretHash.length === 64 ? 'hex' : 'base64url');
  return { ...device, secretHash: bytes.toString('base64url') };
}

function readRoutes(app: App, devices: Deps['devices']): void {
  app.get(
    '/api/v1/devices',
    {
      config: { permission: 'devices.read' },
      schema: {
        tags,
        summary: 'Lists registered devices, by their names, place or words. JSON or CSV',
        querystring: Paged.extend({
          profile: Name.exactOptional(),
          district: Name.exactOptional(),
          ...Search,
          sort: z.enum(DEVICE_ORDERS).exactOptional().describe('The order; with `-` the largest first; absent: by id'),
          /** Takes precedence over the Accept header. */
          format: z.enum(['json', 'csv']).optional(),
        }),
        response: { 200: pageOf(DeviceResponse) },
      },
    },
    async ({ query: { format, ...query }, headers, url }, reply) => {
      const { q, bbox, near, sort } = query;
      const searches = [q, bbox, near, sort].some((one) => one !== undefined);
      const page = searches ? await devices.find(query) : devices.list(query);
      if ((format ?? (headers.accept?.includes('text/csv') ? 'csv' : 'json')) === 'json') return page;
      const next = new URL(url, 'http://localhost').searchParams;
      for (const [name, value] of [
        ['after', page.next ?? ''],
        ['format', 'csv'],
      ] as const)
        next.set(name, value);
      if (page.next !== null) reply.header('link', `</api/v1/devices?${next}>; rel="next"`);
      return sendRaw(reply, 'text/csv; charset=utf-8; header=present', devicesCsv(page.items));
    },
  );
  app.get(
    '/api/v1/devices/:id',
    {
      config: { permission: 'devices.read' },
      schema: {
        tags,
        summary: 'Returns a device, and what was refused or delayed of its connections',
        params: Id,
        response: { 200: DeviceWithConnection },
      },
    },
    async ({ params: { id } }, reply) => {
      const device = found(devices.get(id), `device "${id}"`);
      return withTag(reply, { ...device, connection: await devices.connection(id), clock: devices.clock(id) });
    },
  );
}

/** Sets the ETag of the device's version and returns the body. */
function withTag<T extends RegisteredDevice>(reply: FastifyReply, device: T): T {
  reply.header('etag', etagOf(device.version));
  return device;
}

const CHANGED = ['device-changed', REGISTRY_REFUSALS['device-changed']] as const;

function changeRoutes(app: App, devices: Deps['devices']): void {
  app.patch(
    '/api/v1/devices/:id',
    {
      config: admin,
      schema: {
        tags,
        summary:
          'Changes profile, district, name, location, gateway, asset or tags of a device. `If-Match` limits it to a version',
        params: Id,
        body: ChangeBody,
        response: { 200: DeviceResponse },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { version } = found(devices.get(id), `device "${id}"`);
      const expected = versionIn(request.headers, version, CHANGED);
      return withTag(reply, await devices.change(id, expected, request.body as DeviceChange, callerOf(request)));
    },
  );
  const stateOf = (summary: string) => ({
    config: admin,
    schema: { tags, summary, params: Id, response: { 200: DeviceResponse } },
  });
  app.post(
    '/api/v1/devices/:id/suspend',
    stateOf('Refuses a device until it is resumed; its connection ends'),
    async (request, reply) => withTag(reply, await devices.suspend(request.params.id, callerOf(request))),
  );
  app.post('/api/v1/devices/:id/resume', stateOf('Lets a suspended device connect again'), async (request, reply) =>
    withTag(reply, await devices.resume(request.params.id, callerOf(request))),
  );
  app.delete(
    '/api/v1/devices/:id',
    { config: admin, schema: { tags, summary: 'Revokes a device and closes its connection', params: Id } },
    async (request: FastifyRequest<{ Params: { id: string } }>, reply) => {
      await devices.revoke(request.params.id, callerOf(request));
      return reply.code(204).send();
    },
  );
}

function secretRoutes(app: App, devices: Deps['devices']): void {
  app.post(
    '/api/v1/devices/:id/rotate',
    {
      config: admin,
      schema: {
        tags,
        summary:
          'Replaces the secret of a device; the new one is shown once. With `overlap` the old one stays valid for a time',
        params: Id,
        body: OverlapBody,
        response: { 200: DeviceWithSecret },
      },
    },
    async (request, reply) =>
      withTag(reply, await devices.rotate(request.params.id, overlapOf(request.body), callerOf(request))),
  );
  app.post(
    '/api/v1/devices/:id/confirm',
    {
      config: admin,
      schema: {
        tags,
        summary: 'Ends the old secret of a device before its time: the device has the new one',
        params: Id,
        response: { 200: DeviceResponse },
      },
    },
    async (request, reply) => withTag(reply, await devices.confirm(request.params.id, callerOf(request))),
  );
  app.post(
    '/api/v1/devices/:id/replace',
    {
      config: admin,
      schema: {
        tags,
        summary:
          'Other hardware takes the place of a device, which keeps id, history and tickets, and gets a new secret, ' +
          'shown once. With `devEui`, messages of that LoRaWAN hardware are those of the device. `If-Match` limits it ' +
          'to a version',
        params: Id,
        body: ReplaceBody.nullish(),
        response: { 200: DeviceWithSecret },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { version } = found(devices.get(id), `device "${id}"`);
      const expected = versionIn(request.headers, version, CHANGED);
      const change = (request.body ?? {}) as DeviceReplacement;
      return withTag(reply, await devices.replace(id, expected, change, callerOf(request)));
    },
  );
}

function calibrationRoutes(app: App, devices: Deps['devices']): void {
  app.post(
    '/api/v1/devices/:id/calibrations',
    {
      config: admin,
      schema: {
        tags,
        summary:
          'Corrects values of a metric of a device, of readings that come from now on and have a time of its span',
        params: Id,
        body: NewCalibrationSchema,
        response: { 200: DeviceResponse },
      },
    },
    async (request, reply) =>
      withTag(reply, await devices.calibrate(request.params.id, request.body, callerOf(request))),
  );
  app.delete(
    '/api/v1/devices/:id/calibrations/:calibration',
    {
      config: admin,
      schema: {
        tags,
        summary: 'Removes a calibration; what was stored with it stays',
        params: Id.extend({ calibration: Name }),
        response: { 200: DeviceResponse },
      },
    },
    async (request, reply) => {
      const { id, calibration } = request.params;
      return withTag(reply, await devices.uncalibrate(id, calibration, callerOf(request)));
    },
  );
}

const SpanBody = z.strictObject({
  metric: Name,
  from: z.iso.datetime({ offset: true }).describe('Time of the first reading'),
  to: z.iso.datetime({ offset: true }).optional().describe('Before this time; absent: now'),
});

function recomputeRoute(app: App, { devices, ledger, history, imports, queries, city }: Deps): void {
  app.post(
    '/api/v1/devices/:id/recompute',
    {
      config: { permission: 'readings.import', audited: 'action', concurrency: 'queries' },
      schema: {
        tags,
        summary:
          'Corrects stored readings of a metric anew, as its calibrations are now. Rules do not see it. Responds when ' +
          'it is stored, with where to go on: one request takes some 100,000 readings',
        params: Id,
        body: SpanBody,
        response: { 200: RecomputedSchema },
      },
    },
    async (request, reply) => {
      const { metric, from, to } = request.body;
      const { id: device } = found(devices.get(request.params.id), `device "${request.params.id}"`);
      const known = city().metrics.get(metric);
      if (known === undefined) throw new LamppostError('invalid', unknownName('metric', metric, city().metrics)!);
      const [fromMs, toMs] = [Date.parse(from), to === undefined ? Date.now() : Date.parse(to)];
      if (fromMs >= toMs) throw new LamppostError('invalid', 'from is not before to');
      const asked = queries.begin(request.key!.id, reply.raw);
      try {
        const span = { device, metric, fromMs, toMs, unit: known.unit };
        return await recompute({ ledger: () => ledger(), history, imports }, span, callerOf(request), asked.options);
      } finally {
        asked.worked();
      }
    },
  );
}

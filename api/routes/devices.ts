import { z } from 'zod';
import { ClientRecordSchema } from '../../broker/index.ts';
import { DeviceSchema } from '../../domain/index.ts';
import type { ApiDeps } from '../deps.ts';
import { found, Id, Name, Paged, pageOf } from '../schema.ts';
import type { App } from './routes.ts';

const MAX_DEVICES = 5_000;

const secret = z.string().describe('Shown once, here');
const DeviceResponse = DeviceSchema.extend({ registeredAt: z.iso.datetime() })
  .strip()
  .meta({ id: 'Device', description: 'A registered device' });
const DeviceWithConnection = DeviceResponse.extend({
  connection: ClientRecordSchema.nullable().describe('Null where it has not connected since the start of the server'),
}).meta({ id: 'DeviceWithConnection' });
const NewDevice = DeviceSchema.extend({ secret }).strip().meta({ id: 'NewDevice' });
const RotatedDevice = DeviceResponse.extend({ secret }).meta({ id: 'RotatedDevice' });

/** `/api/v1/devices`. */
export function deviceRoutes(app: App, { devices }: Pick<ApiDeps, 'devices'>): void {
  const tags = ['devices'];
  app.post(
    '/api/v1/devices',
    {
      config: { role: 'admin' },
      bodyLimit: 8 * 1024 * 1024,
      schema: {
        tags,
        summary: 'Registers one device or an array of devices, all or none; returns each secret once',
        body: z.union([DeviceSchema, z.array(DeviceSchema).min(1).max(MAX_DEVICES)]),
        response: { 201: z.union([NewDevice, z.array(NewDevice)]) },
      },
    },
    async ({ body }, reply) => {
      const registered = await devices.register([body].flat());
      return reply.code(201).send(Array.isArray(body) ? registered : registered[0]!);
    },
  );
  app.get(
    '/api/v1/devices',
    {
      schema: {
        tags,
        summary: 'Lists registered devices',
        querystring: Paged.extend({ profile: Name.exactOptional(), district: Name.exactOptional() }),
        response: { 200: pageOf(DeviceResponse) },
      },
    },
    async ({ query }) => devices.list(query),
  );
  app.get(
    '/api/v1/devices/:id',
    {
      schema: {
        tags,
        summary: 'Returns a device, and what was refused or delayed of its connections',
        params: Id,
        response: { 200: DeviceWithConnection },
      },
    },
    async ({ params: { id } }) => {
      const device = found(devices.get(id), `device "${id}"`);
      return { ...device, connection: await devices.connection(id) };
    },
  );
  app.delete(
    '/api/v1/devices/:id',
    { config: { role: 'admin' }, schema: { tags, summary: 'Revokes a device and closes its connection', params: Id } },
    async ({ params: { id } }, reply) => {
      found((await devices.revoke(id)) || null, `device "${id}"`);
      return reply.code(204).send();
    },
  );
  app.post(
    '/api/v1/devices/:id/rotate',
    {
      config: { role: 'admin' },
      schema: {
        tags,
        summary: 'Replaces the secret of a device; the new one is shown once',
        params: Id,
        response: { 200: RotatedDevice },
      },
    },
    async ({ params: { id } }) => {
      const secret = found(await devices.rotate(id), `device "${id}"`);
      return { ...devices.get(id)!, secret };
    },
  );
}

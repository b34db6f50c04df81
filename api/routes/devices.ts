import { z } from 'zod';
import type { Device } from '../../domain/index.ts';
import { DeviceAnswer, NewDevice, RotatedDevice } from '../answers/devices.ts';
import type { ApiDeps } from '../deps.ts';
import { DeviceSchema, found, given, Paged, pageOf } from '../schema.ts';
import type { App } from './routes.ts';

const Id = z.object({ id: z.string() });
const MOST = 5_000;

/** `/api/v1/devices`. */
export function deviceRoutes(app: App, { devices }: ApiDeps): void {
  const tags = ['devices'];
  app.post(
    '/api/v1/devices',
    {
      config: { role: 'admin' },
      bodyLimit: 8 * 1024 * 1024,
      schema: {
        tags,
        summary: 'Registers one device or an array; answers each secret, once',
        body: z.union([DeviceSchema, z.array(DeviceSchema).min(1).max(MOST)]),
        response: { 201: z.union([NewDevice, z.array(NewDevice)]) },
      },
    },
    async (request, reply) => {
      const several = Array.isArray(request.body);
      const asked = (several ? request.body : [request.body]) as unknown as Device[];
      const registered = await devices.register(asked);
      return reply.code(201).send(several ? registered : registered[0]!);
    },
  );
  app.get(
    '/api/v1/devices',
    {
      schema: {
        tags,
        summary: 'Registered devices',
        querystring: Paged.extend({ profile: z.string().optional(), district: z.string().optional() }),
        response: { 200: pageOf(DeviceAnswer) },
      },
    },
    async (request) => devices.list(given(request.query)),
  );
  app.get(
    '/api/v1/devices/:id',
    { schema: { tags, summary: 'One device', params: Id, response: { 200: DeviceAnswer } } },
    async ({ params: { id } }) => found(devices.get(id), `device "${id}"`),
  );
  app.delete(
    '/api/v1/devices/:id',
    { config: { role: 'admin' }, schema: { tags, summary: 'Revokes a device and cuts its connection', params: Id } },
    async ({ params: { id } }, reply) => {
      found((await devices.revoke(id)) || null, `device "${id}"`);
      return reply.code(204).send();
    },
  );
  app.post(
    '/api/v1/devices/:id/rotate',
    {
      config: { role: 'admin' },
      schema: { tags, summary: 'A new secret, shown once', params: Id, response: { 200: RotatedDevice } },
    },
    async ({ params: { id } }) => {
      const secret = found(await devices.rotate(id), `device "${id}"`);
      return { ...devices.get(id)!, secret };
    },
  );
}

import { z } from 'zod';
import { BackupJobSchema } from '../../store/index.ts';
import type { ApiDeps } from '../deps.ts';
import { found } from '../schema.ts';
import type { App } from './routes.ts';

/** `/api/v1/backup`: copies everything that the server stores into a folder on its disk while it works. */
export function backupRoutes(app: App, { backups }: Pick<ApiDeps, 'backups'>): void {
  const tags = ['system'];
  const body = z.strictObject({ to: z.string().min(1).max(4_096).optional() }).nullish();
  app.post(
    '/api/v1/backup',
    {
      config: { permission: 'backups.write' },
      schema: {
        tags,
        summary:
          'Starts a backup into a new folder in LAMPPOST_BACKUP_DIR: `to`, an absolute path, or one named by the time',
        body,
        response: { 202: BackupJobSchema },
      },
    },
    async (request, reply) =>
      reply.code(202).header('location', '/api/v1/backup').send(backups.begin(request.body?.to)),
  );
  app.get(
    '/api/v1/backup',
    {
      config: { permission: 'backups.read' },
      schema: {
        tags,
        summary: 'Returns the running backup, or the last one since the server started',
        response: { 200: BackupJobSchema },
      },
    },
    async () => found(backups.last(), 'backup since the server started'),
  );
}

import { z } from 'zod';
import { exactly } from '../../events/index.ts';
import type { BackupJob } from '../../store/index.ts';

/** A backup, as it stands. */
export const BackupAnswer = exactly<BackupJob>()(
  z
    .object({
      state: z.enum(['running', 'done', 'failed']),
      path: z.string().describe('The folder, whole once it is done'),
      startedAt: z.iso.datetime(),
      endedAt: z.iso.datetime().nullable(),
      bytes: z.number().nullable().describe('Of all files'),
      error: z.string().nullable(),
    })
    .meta({ id: 'Backup', description: 'A backup, as it stands' }),
);

import { z } from 'zod';
import { StoredReporterSchema } from '../../citizens/index.ts';
import { LocalTextSchema, RatingSchema } from '../../domain/index.ts';

const text = z.string().nullable();

/** A ticket's rating, as its reporter gave it. */
export const RatingResponse = z
  .object({
    id: z.string(),
    rating: RatingSchema.nullable(),
  })
  .meta({ id: 'RatingResponse', description: 'What the citizen who reported it thinks of it' });

/** What a citizen's request says beside its ticket. */
export const RequestResponse = z
  .object({
    ticket: z.string(),
    mediaUrl: text,
    mediaUrls: z.array(z.string()).readonly().describe('All photos'),
    addressId: text,
    answers: z.array(
      z.object({
        code: z.string(),
        title: LocalTextSchema.nullable().describe('Null where the service does not ask it any more'),
        answer: z.union([z.string(), z.array(z.string()).readonly()]),
      }),
    ),
  })
  .meta({ id: 'RequestResponse', description: 'What a request says beside its ticket' });

/** Who reported a ticket. */
export const ReporterResponse = StoredReporterSchema.extend({ ticket: z.string() }).meta({
  id: 'ReporterResponse',
  description: 'Who reported it, for the department that is responsible',
});

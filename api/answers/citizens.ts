import { z } from 'zod';
import { StoredReporterSchema } from '../../citizens/index.ts';
import { RatingSchema } from '../../domain/index.ts';

const text = z.string().nullable();
const LocalText = z.object({ en: z.string(), zh: z.string() });

/** A ticket's rating, as its reporter gave it. */
export const RatingAnswer = z
  .object({
    id: z.string(),
    rating: RatingSchema.nullable(),
  })
  .meta({ id: 'RatingAnswer', description: 'What the citizen who reported it thinks of it' });

/** What a citizen's request says beside its ticket. */
export const RequestAnswer = z
  .object({
    ticket: z.string(),
    mediaUrl: text,
    addressId: text,
    answers: z.array(
      z.object({
        code: z.string(),
        title: LocalText.nullable().describe('Null where the service does not ask it any more'),
        answer: z.union([z.string(), z.array(z.string()).readonly()]),
      }),
    ),
  })
  .meta({ id: 'RequestAnswer', description: 'What a request says beside its ticket' });

/** Who reported a ticket. */
export const ReporterAnswer = StoredReporterSchema.extend({ ticket: z.string() }).meta({
  id: 'ReporterAnswer',
  description: 'Who reported it, for the department that is responsible',
});

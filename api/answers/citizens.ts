import { z } from 'zod';

const text = z.string().nullable();
const LocalText = z.object({ en: z.string(), zh: z.string() });

/** A ticket's rating, as its reporter gave it. */
export const RatingAnswer = z
  .object({
    id: z.string(),
    rating: z.object({ stars: z.int().min(1).max(5), comment: z.string(), at: z.iso.datetime() }).nullable(),
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
export const ReporterAnswer = z
  .object({
    ticket: z.string(),
    name: text,
    email: text,
    phone: text,
    deviceId: text.describe('Open311 `device_id`'),
    accountId: text.describe('Open311 `account_id`'),
    reportedAt: z.iso.datetime(),
  })
  .meta({ id: 'ReporterAnswer', description: 'Who reported it, for the department that answers for it' });

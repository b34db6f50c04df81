import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Received } from '../../citizens/index.ts';
import type { Key } from '../../domain/index.ts';
import type { ApiDeps } from '../deps.ts';
import type { RateLimit } from '../rate-limit.ts';
import { type Asked, answer, type Fault, type Language, languageOf, refuse } from './answer.ts';
import { notHere } from './endpoint.ts';
import { readForm } from './form.ts';
import { JOINED } from './shown.ts';
import { submissionOf } from './submission.ts';

const ROLES: readonly Key['role'][] = ['citizen-app', 'operator', 'admin'];

/** Takes a citizen's request (GeoReport v2, POST Service Request): key, jurisdiction, how many, then what it says. */
export function createReceiver({ city, citizens, keys }: ApiDeps, limit: RateLimit) {
  return async (request: FastifyRequest, reply: FastifyReply, query: z.output<typeof Asked>): Promise<FastifyReply> => {
    const form = await readForm(request);
    const field = (name: 'api_key' | 'jurisdiction_id' | 'locale') => form.fields.get(name) ?? query[name];
    const key = keys.authenticate(field('api_key') ?? bearerOf(request));
    const fault = keyFault(key) ?? notHere(field('jurisdiction_id'), city());
    if (fault !== null) return refuse(reply, [fault]);
    if (!limit.take(key!.id, reply)) return refuse(reply, [TOO_MANY]);
    const { report, faults } = submissionOf(form, city());
    if (report === null) return refuse(reply, faults);
    const received = await citizens.report(report);
    const language = languageOf(request, field('locale'));
    return answer(reply, 'service_requests', [
      {
        service_request_id: received.ticket.id,
        service_notice: noticeOf(received, language),
        account_id: report.reporter?.accountId ?? null,
        reporter_token: received.token,
      },
    ]);
  };
}

const TOO_MANY: Fault = {
  code: 429,
  description: 'too many requests with this api_key; Retry-After says when to go on',
};

function keyFault(key: Key | null): Fault | null {
  if (key === null)
    return { code: 403, description: 'api_key: is missing or not valid; service discovery says how to get one' };
  if (ROLES.includes(key.role)) return null;
  return { code: 403, description: `api_key: takes a key of role ${ROLES.join(', ')}; yours is ${key.role}` };
}

/** Apps that keep their key out of forms send it as other keys are sent. */
function bearerOf({ headers }: FastifyRequest): string {
  return /^bearer (.+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';
}

function noticeOf({ ticket, token }: Received, language: Language): string {
  const joined = ticket.relation === 'report' ? [JOINED[language](ticket.parent!)] : [];
  const kept = {
    en: `Keep this token, it is shown once: ${token}. With it you can rate the work when it is done.`,
    zh: `请保存此凭证（仅显示一次）：${token}。结案后可凭此评价。`,
  };
  return [...joined, kept[language]].join(' ');
}

import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { CHANNELS, type RequestPage, RequestPageSchema, requestPageOf } from '../../citizens/index.ts';
import { escapeXml, LamppostError, type LocalText, type Ticket } from '../../domain/index.ts';
import { hashSecret } from '../../registry/index.ts';
import type { ApiDeps } from '../deps.ts';
import { languageOf } from '../open311/protocol.ts';
import { found, sendRaw } from '../schema.ts';
import { sendBuilt } from './pages.ts';
import type { App } from './routes.ts';

type Deps = Pick<ApiDeps, 'citizens' | 'city' | 'clock'>;

const tags = ['public'];
/** The link is the proof: it has 256 random bits, so there is no limit on attempts but that of all strangers. */
const config = { permission: 'open' } as const;
/** The largest body: a comment has 2,000 characters. */
const MOST_BODY = 16 * 1024;

const Token = z.object({ token: z.string().min(1).max(200) });
const Secret = z.object({ secret: z.string().min(1).max(200) });
const Comment = z.string().trim().max(2_000);

/** A mail address that names one mailbox, and a number as E.164 writes it. */
const CONTACTS = {
  email: [/^[^\s@,;:<>()[\]\\"]{1,64}@[^\s@,;:<>()[\]\\"]{1,190}\.[^\s@,;:<>()[\]\\".]+$/, 'a mail address'],
  sms: [/^\+[1-9]\d{6,14}$/, 'a number such as +8613912345678'],
} as const;

const FollowBody = z
  .strictObject({
    channel: z.enum(CHANNELS),
    // One mailbox is one contact, however it is written.
    to: z.string().trim().toLowerCase().max(254).describe('A mail address, or a telephone number as +8613912345678'),
    language: z.enum(['en', 'zh']).optional().describe('Of the messages; by default that of the request'),
  })
  .superRefine(({ channel, to }, context) => {
    const [pattern, right] = CONTACTS[channel];
    if (!pattern.test(to)) context.addIssue({ code: 'custom', path: ['to'], message: `it must be ${right}` });
  });

const FollowResponse = z
  .object({ channel: z.enum(CHANNELS), confirmed: z.boolean() })
  .meta({ id: 'Follow', description: 'How a request is followed; it is to be confirmed by the link that was sent' });

const html = { content: { 'text/html': { schema: z.string() } } };
const both = <T extends z.ZodType>(schema: T, description: string) => ({
  description,
  content: { 'application/json': { schema }, ...html.content },
});

/**
 * `/public/requests/{token}`: the page of one request, for the citizen who has its link, as JSON or, for a browser, as
 * a page. `/public/follow/{secret}`: where somebody confirms that they follow it, and ends it with one click.
 */
export function requestRoutes(app: App, deps: Deps): void {
  void app.register(async (scope) => {
    // Forms of the pages have no fields.
    const options = { parseAs: 'string', bodyLimit: 1_024 } as const;
    scope.addContentTypeParser('application/x-www-form-urlencoded', options, (_request, _body, done) =>
      done(null, null),
    );
    pageRoute(scope as App, deps);
    sayRoutes(scope as App, deps);
    followRoutes(scope as App, deps);
  });
}

function pageOf(ticket: Ticket, { citizens, city, clock }: Deps): RequestPage {
  const { services, departments } = city();
  const { department, service, relation, parent } = ticket;
  return requestPageOf(ticket, {
    shown: citizens.shown,
    service: services.get(service),
    whole: relation === 'report' ? citizens.requests.get(parent!) : null,
    department: departments.get(department)?.title ?? { en: department, zh: department },
    follow: citizens.progress.channels,
    nowMs: clock.now(),
  });
}

/** Returns the ticket of a link. Throws `not-found`. */
function ticketOf(token: string, { citizens }: Deps): Ticket {
  const id = citizens.requests.idOf(hashSecret(token));
  return found(id === null ? null : citizens.requests.get(id), 'request of this link');
}

const wantsPage = ({ headers }: FastifyRequest) => headers.accept?.includes('text/html') === true;

function sendPage(reply: FastifyReply, body: string): FastifyReply {
  reply.header('content-security-policy', PERSONAL_CSP).header('x-robots-tag', 'noindex').header('vary', 'accept');
  return sendRaw(reply, 'text/html; charset=utf-8', body);
}

/** The link was ended, or is too old. */
function sendGone(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return sendPage(reply.code(404), followerPage('gone', languageOf(request, undefined)));
}

function pageRoute(app: App, deps: Deps): void {
  app.get(
    '/public/requests/:token',
    {
      config,
      schema: {
        tags,
        summary: "A citizen's request, by the link that only they have: JSON, or a page for browsers",
        params: Token,
        response: { 200: both(RequestPageSchema, 'The request') },
      },
    },
    async (request, reply) => {
      reply.header('vary', 'accept').header('x-robots-tag', 'noindex');
      // The page asks for the JSON, and says where there is none.
      if (wantsPage(request)) return sendBuilt(reply, 'public.html', deps.city());
      return pageOf(ticketOf(request.params.token, deps), deps);
    },
  );
}

function sayRoutes(app: App, deps: Deps): void {
  const { citizens } = deps;
  const route = <B extends z.ZodType>(summary: string, body: B) => ({
    config,
    bodyLimit: MOST_BODY,
    schema: { tags, summary, params: Token, body, response: { 200: RequestPageSchema } },
  });
  app.post(
    '/public/requests/:token/comment',
    route('Adds a comment of the citizen; the department reads it', z.strictObject({ text: Comment.min(1) })),
    async ({ params: { token }, body: { text } }) => {
      const { id: ticket } = ticketOf(token, deps);
      const said = await citizens.say({ ticket, token, comment: text, notFixed: false });
      return pageOf(said.ticket, deps);
    },
  );
  app.post(
    '/public/requests/:token/not-fixed',
    route(
      'Opens a request again that is said to be done, within the time of its service',
      z.strictObject({ text: Comment.default('') }).nullish(),
    ),
    async ({ params: { token }, body }) => {
      const { id: ticket } = ticketOf(token, deps);
      const said = await citizens.say({ ticket, token, comment: body?.text ?? '', notFixed: true });
      return pageOf(said.ticket, deps);
    },
  );
  app.post(
    '/public/requests/:token/rate',
    route(
      'Rates a closed request, once',
      z.strictObject({ stars: z.number().int().min(1).max(5), comment: Comment.default('') }),
    ),
    async ({ params: { token }, body: { stars, comment } }) => {
      const { id: ticket } = ticketOf(token, deps);
      return pageOf(await citizens.rate({ ticket, token, stars, comment }), deps);
    },
  );
}

function followRoutes(app: App, deps: Deps): void {
  const { progress } = deps.citizens;
  app.post(
    '/public/requests/:token/follow',
    {
      config,
      bodyLimit: MOST_BODY,
      schema: {
        tags,
        summary: 'Sends progress by mail or SMS, once the link in the first message is confirmed',
        params: Token,
        body: FollowBody,
        response: { 202: FollowResponse },
      },
    },
    async (request, reply) => {
      const { token } = request.params;
      const { channel, to, language = languageOf(request, undefined) } = request.body;
      await progress.follow({ ticket: ticketOf(token, deps), token, channel, to, language });
      return reply.code(202).send({ channel, confirmed: false });
    },
  );
  const route = (summary: string) => ({
    config,
    bodyLimit: MOST_BODY,
    schema: { tags, summary, params: Secret, response: { 200: both(FollowResponse, 'How it is followed') } },
  });
  const gone = () => new LamppostError('not-found', 'the link was ended, or is too old');
  app.get(
    '/public/follow/:secret',
    route('How a request is followed: JSON, or a page that confirms or ends it'),
    async (request, reply) => {
      const follower = progress.get(request.params.secret);
      if (follower === null) {
        if (wantsPage(request)) return sendGone(request, reply);
        throw gone();
      }
      const confirmed = follower.confirmedMs !== null;
      if (!wantsPage(request)) return { channel: follower.channel, confirmed };
      return sendPage(reply, followerPage(confirmed ? 'following' : 'asked', follower.language, request.params.secret));
    },
  );
  /** A link is confirmed or ended, and says so. */
  async function respond(action: 'confirm' | 'end', secret: string, request: FastifyRequest, reply: FastifyReply) {
    const follower = progress.get(secret);
    if (follower === null || !(await progress[action](secret))) {
      if (wantsPage(request)) return sendGone(request, reply);
      throw gone();
    }
    const confirmed = action === 'confirm';
    if (!wantsPage(request)) return { channel: follower.channel, confirmed };
    return sendPage(reply, followerPage(confirmed ? 'following' : 'ended', follower.language, secret));
  }
  app.post('/public/follow/:secret/confirm', route('Confirms that one follows a request'), async (request, reply) =>
    respond('confirm', request.params.secret, request, reply),
  );
  app.post(
    '/public/follow/:secret/end',
    route('Ends that one follows a request, and forgets the contact (RFC 8058)'),
    async (request, reply) => respond('end', request.params.secret, request, reply),
  );
}

type Language = keyof LocalText;

/** What the pages may do that citizens reach by a link: show text and their own photos, and send a form back. */
const PERSONAL_CSP = "default-src 'none'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const text = (en: string, zh: string): LocalText => ({ en, zh });

const FOLLOWING = {
  asked: {
    says: text('Send messages about your request to this address?', '是否将诉求进展发送到此地址？'),
    button: text('Yes, send them', '确认订阅'),
    action: 'confirm',
  },
  following: {
    says: text('You get messages about your request.', '您已订阅诉求进展。'),
    button: text('No more messages', '不再接收'),
    action: 'end',
  },
  ended: {
    says: text('You get no more messages, and the address is deleted.', '已停止发送，您的地址已删除。'),
    button: null,
    action: null,
  },
  gone: {
    says: text('This link was ended, or is too old.', '此链接已终止或已过期。'),
    button: null,
    action: null,
  },
} as const;

/** Returns the page on which somebody confirms that they follow a request, or ends it: opening it changes nothing. */
function followerPage(state: keyof typeof FOLLOWING, language: Language, secret = ''): string {
  const { says, button, action } = FOLLOWING[state];
  if (button === null) return documentOf(says[language], language, '');
  const address = `/public/follow/${encodeURIComponent(secret)}/${action}`;
  const form = `<form method="post" action="${address}"><button>${button[language]}</button></form>`;
  return documentOf(says[language], language, form);
}

function documentOf(title: string, language: Language, body: string): string {
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">`;
  return `<!doctype html><html lang="${language}"><head>${head}<title>${escapeXml(title)}</title></head><body><main><h1>${escapeXml(title)}</h1>${body}</main></body></html>`;
}

import { createTransport } from 'nodemailer';
import type { Clock } from '../../domain/index.ts';
import type { Answer } from '../ladder.ts';
import type { Mail } from './mail.ts';

/** A mail server, and as whom it is spoken to. */
export interface SmtpSettings {
  /** `smtp://user:password@host:587`, `smtps://…`; options of nodemailer follow a `?`, such as `requireTLS=true`. */
  readonly url: string;
  /** `Lamppost <lamppost@city.example>`. */
  readonly from: string;
}

/** A mail on its way. */
export interface Envelope {
  readonly to: string;
  readonly mail: Mail;
  /** Without `<>`; the same at every attempt. */
  readonly messageId: string;
  /** Of the thread that it belongs to; null where it belongs to none. */
  readonly thread: string | null;
  /** Ids of the events that it tells. */
  readonly events: readonly string[];
}

/** Sends mail. Whatever happens is an answer; nothing is thrown but the reason of an aborted signal. */
export interface Mailer {
  send(envelope: Envelope, signal: AbortSignal): Promise<Answer>;
  close(): void;
}

/** What nodemailer says went wrong: `code` where, `responseCode` what the server answered. */
type SmtpError = Error & { readonly code?: string; readonly responseCode?: number };

/** Steps in which a 5xx speaks of this mail; in others, such as the login, it speaks of our settings. */
const ABOUT_THE_MAIL: readonly (string | undefined)[] = ['EENVELOPE', 'EMESSAGE'];

/** Makes a mailer over SMTP (RFC 5321) with a few connections of its own, which opens none before the first mail. */
export function createMailer(clock: Clock, { url, from }: SmtpSettings, { timeoutMs }: { timeoutMs: number }): Mailer {
  const timeouts = { connectionTimeout: timeoutMs, greetingTimeout: timeoutMs, socketTimeout: timeoutMs };
  const closed = { disableFileAccess: true, disableUrlAccess: true };
  const transport = createTransport({ url, pool: true, maxConnections: 3, ...timeouts, ...closed });

  async function answerOf({ to, mail, messageId, thread, events }: Envelope): Promise<Omit<Answer, 'ms'>> {
    const { response } = await transport.sendMail({
      from,
      to,
      messageId: `<${messageId}>`,
      ...(thread === null ? {} : { references: `<${thread}>`, inReplyTo: `<${thread}>` }),
      // RFC 3834: nothing answers this by itself.
      headers: { 'Auto-Submitted': 'auto-generated', 'X-Lamppost-Events': events.join(' ') },
      ...mail,
    });
    return { outcome: 'delivered', status: Number(response.slice(0, 3)), retryAfterMs: null, text: response };
  }

  return {
    async send(envelope, signal) {
      const from = clock.now();
      const { promise: aborted, reject } = Promise.withResolvers<never>();
      const abort = () => reject(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      try {
        signal.throwIfAborted();
        return { ...(await Promise.race([answerOf(envelope), aborted])), ms: clock.now() - from };
      } catch (error) {
        signal.throwIfAborted();
        return { ...failureOf(error as SmtpError), ms: clock.now() - from };
      } finally {
        signal.removeEventListener('abort', abort);
      }
    },
    close: () => transport.close(),
  };
}

/** Every mail waits until there are settings. */
export const noMailer: Mailer = {
  send: async () => ({ outcome: 'unavailable', status: null, retryAfterMs: null, text: 'SMTP_URL is not set', ms: 0 }),
  close() {},
};

function failureOf({ code, responseCode, message }: SmtpError): Omit<Answer, 'ms'> {
  const answer = { status: responseCode ?? null, retryAfterMs: null, text: message };
  if (code === 'ETIMEDOUT') return { ...answer, outcome: 'timed-out' };
  if (responseCode === undefined) return { ...answer, outcome: 'unreachable' };
  if (responseCode < 500) return { ...answer, outcome: 'deferred' };
  return { ...answer, outcome: ABOUT_THE_MAIL.includes(code) ? 'rejected' : 'unavailable' };
}

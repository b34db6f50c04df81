import type { Clock } from '../../domain/index.ts';
import type { AttemptResult } from '../retry-policy.ts';
import type { Mail } from './mail.ts';

/** The mail server and the sender. */
export interface SmtpSettings {
  /** `smtp://user:password@host:587`, `smtps://…`; nodemailer options follow a `?`, such as `requireTLS=true`. */
  readonly url: string;
  /** `Lamppost <lamppost@city.example>`. */
  readonly from: string;
}

/** A mail with its addresses and ids. */
export interface Envelope {
  readonly to: string;
  readonly mail: Mail;
  /** Without `<>`; the same at every attempt. */
  readonly messageId: string;
  /** Message id of its thread; null where it has none. */
  readonly thread: string | null;
  /** Ids of its events. */
  readonly events: readonly string[];
  /** Where one click ends it (RFC 8058); absent: it is for the city's own people. */
  readonly endUrl?: string;
}

/** Sends mail. Returns a result for every failure; throws only the reason of an aborted signal. */
export interface Mailer {
  send(envelope: Envelope, signal: AbortSignal): Promise<AttemptResult>;
  /** Closes the connections. */
  stop(): void;
}

type Transport = ReturnType<typeof import('nodemailer').createTransport>;

/** An error of nodemailer: `code` names the step, `responseCode` is the server's reply. */
type SmtpError = Error & { readonly code?: string; readonly responseCode?: number };

/** Steps in which a 5xx concerns this mail. In other steps, such as the login, it concerns our settings. */
const ABOUT_THE_MAIL: readonly (string | undefined)[] = ['EENVELOPE', 'EMESSAGE'];

/** Creates a mailer over SMTP (RFC 5321) with up to three connections. It opens none before the first mail. */
export function createMailer(
  { clock }: { readonly clock: Clock },
  { url, from, timeoutMs }: SmtpSettings & { readonly timeoutMs: number },
): Mailer {
  const timeouts = { connectionTimeout: timeoutMs, greetingTimeout: timeoutMs, socketTimeout: timeoutMs };
  const closed = { disableFileAccess: true, disableUrlAccess: true };
  // Loaded with the first mail: most servers send none, and it takes 6 MiB.
  let transport: Promise<Transport> | null = null;
  const open = async () => {
    const { createTransport } = await import('nodemailer');
    return createTransport({ url, pool: true, maxConnections: 3, ...timeouts, ...closed });
  };

  async function resultOf({
    to,
    mail,
    messageId,
    thread,
    events,
    endUrl,
  }: Envelope): Promise<Omit<AttemptResult, 'ms'>> {
    transport ??= open();
    const { response } = await (await transport).sendMail({
      from,
      to,
      messageId: `<${messageId}>`,
      ...(thread === null ? {} : { references: `<${thread}>`, inReplyTo: `<${thread}>` }),
      // RFC 3834: automatic responders do not reply to this.
      headers: {
        'Auto-Submitted': 'auto-generated',
        ...(events.length === 0 ? {} : { 'X-Lamppost-Events': events.join(' ') }),
        ...(endUrl === undefined ? {} : oneClick(endUrl)),
      },
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
        return { ...(await Promise.race([resultOf(envelope), aborted])), ms: clock.now() - from };
      } catch (error) {
        signal.throwIfAborted();
        return { ...failureOf(error as SmtpError), ms: clock.now() - from };
      } finally {
        signal.removeEventListener('abort', abort);
      }
    },
    stop: () => void transport?.then((opened) => opened.close()),
  };
}

/** The mailer where no mail server is set: every mail waits. */
export const noMailer: Mailer = {
  send: async () => ({ outcome: 'unavailable', status: null, retryAfterMs: null, text: 'SMTP_URL is not set', ms: 0 }),
  stop() {},
};

const oneClick = (url: string) => ({
  'List-Unsubscribe': `<${url}>`,
  'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
});

function failureOf({ code, responseCode, message }: SmtpError): Omit<AttemptResult, 'ms'> {
  const result = { status: responseCode ?? null, retryAfterMs: null, text: message };
  if (code === 'ETIMEDOUT') return { ...result, outcome: 'timed-out' };
  if (responseCode === undefined) return { ...result, outcome: 'unreachable' };
  if (responseCode < 500) return { ...result, outcome: 'deferred' };
  return { ...result, outcome: ABOUT_THE_MAIL.includes(code) ? 'rejected' : 'unavailable' };
}

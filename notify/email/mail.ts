import { escapeXml, type LocalText } from '../../domain/index.ts';
import type { LamppostEvent } from '../../events/index.ts';
import { pageOf } from '../pages.ts';
import type { EmailSettings } from '../receiver.ts';
import { type Facts, factsOf, type MailCity } from './facts.ts';
import { mailEventsOf } from './together.ts';

/** The content of a mail. */
export interface Mail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** What a mail depends on besides its events. */
export interface MailContext {
  readonly language: EmailSettings['language'];
  readonly city: MailCity;
  /** Public URL of this Lamppost, without a slash at the end. */
  readonly publicUrl: string;
}

/** An event in words, and the page of its ticket; null where it has none. */
interface Linked extends Facts {
  readonly page: string | null;
}

/** What stands before the signature of a mail (RFC 3676 §4.3). */
export const TEXT_END = '\n\n-- \n';
export const HTML_END = '<p class="end">';

const LONGEST_SUBJECT = 150;
const WORDS = {
  digest: { en: 'Digest', zh: '汇总' },
  events: { en: 'events', zh: '条' },
  critical: { en: 'critical', zh: '条紧急' },
  noDepartment: { en: 'Without a department', zh: '无归属部门' },
  test: { en: 'A test message: mail from this Lamppost arrives.', zh: '测试邮件：可以收到本 Lamppost 的邮件。' },
} as const;

/**
 * Returns the mail of one event, or a digest of several in their order, by department. An alert and what follows from
 * it for its ticket are one.
 */
export function mailOf(events: readonly LamppostEvent[], context: MailContext): Mail {
  const parts = languagesOf(context.language).map((language) => {
    const facts = mailEventsOf(events).map(
      (one): Linked => ({
        ...factsOf(one, context.city, language),
        page: pageOf(one.event, context.publicUrl),
      }),
    );
    return facts.length === 1 ? single(facts[0]!) : digest(facts, language);
  });
  return inAll(parts, context);
}

/** Returns a test mail. */
export function testMail(context: MailContext): Mail {
  const parts = languagesOf(context.language).map((language) => {
    const words = WORDS.test[language];
    return { subject: words, text: words, html: `<p>${escapeXml(words)}</p>` };
  });
  return inAll(parts, context);
}

/** Chinese comes first, as in the city's own documents. */
function languagesOf(language: MailContext['language']): (keyof LocalText)[] {
  return language === 'both' ? ['zh', 'en'] : [language];
}

function inAll(parts: readonly Mail[], { city, language, publicUrl }: MailContext): Mail {
  const name = language === 'en' ? city.name.en : city.name.zh;
  // A header is one line.
  const subject = `[${name}] ${parts.map((part) => part.subject).join(' / ')}`.replace(/\s+/g, ' ');
  return {
    subject: subject.length > LONGEST_SUBJECT ? `${subject.slice(0, LONGEST_SUBJECT - 1)}…` : subject,
    text: `${parts.map(({ text }) => text).join('\n\n----\n\n')}${TEXT_END}${publicUrl}/\n`,
    html: `<!doctype html><meta charset="utf-8">${parts.map(({ html }) => html).join('<hr>')}${HTML_END}<a href="${escapeXml(publicUrl)}/">${escapeXml(publicUrl)}</a></p>`,
  };
}

function single({ what, title, time, fields, page }: Linked): Mail {
  const lines = fields.map(([label, value]) => `${label}: ${value}`);
  const rows = fields.map(([label, value]) => `<tr><td>${escapeXml(label)}</td><td>${escapeXml(value)}</td></tr>`);
  return {
    subject: `${what}: ${title}`,
    text: [title, `${what}, ${time}`, '', ...lines, ...(page === null ? [] : ['', page])].join('\n'),
    html: `<h2>${linked(title, page)}</h2><p>${escapeXml(`${what}, ${time}`)}</p><table>${rows.join('')}</table>`,
  };
}

/** Returns HTML of a text, as a link where it has a page. */
function linked(text: string, page: string | null): string {
  return page === null ? escapeXml(text) : `<a href="${escapeXml(page)}">${escapeXml(text)}</a>`;
}

function digest(facts: readonly Linked[], language: keyof LocalText): Mail {
  const critical = facts.filter(({ isCritical }) => isCritical).length;
  const count = `${facts.length} ${WORDS.events[language]}`;
  const departments = Map.groupBy(facts, ({ department }) => department ?? WORDS.noDepartment[language]);
  const sections = [...departments].map(([name, all]) => ({
    name,
    lines: all.map((one) => ({ line: lineOf(one), page: one.page })),
  }));
  const textOf = ({ line, page }: { line: string; page: string | null }) =>
    page === null ? `- ${line}` : `- ${line}\n  ${page}`;
  return {
    subject: `${WORDS.digest[language]}: ${count}${critical === 0 ? '' : `, ${critical} ${WORDS.critical[language]}`}`,
    text: sections.map(({ name, lines }) => [`# ${name}`, ...lines.map(textOf)].join('\n')).join('\n\n'),
    html: sections
      .map(
        ({ name, lines }) =>
          `<h2>${escapeXml(name)}</h2><ul>${lines.map(({ line, page }) => `<li>${linked(line, page)}</li>`).join('')}</ul>`,
      )
      .join(''),
  };
}

function lineOf({ time, what, title, fields }: Facts): string {
  const [, ticketOrSeverity] = fields[0] ?? ['', ''];
  return `${time} ${what}: ${title} (${ticketOrSeverity})`;
}

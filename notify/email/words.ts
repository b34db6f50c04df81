import { escapeXml, type LocalText } from '../../domain/index.ts';
import { isTicketEvent, type LamppostEvent } from '../../events/index.ts';
import type { EmailSettings } from '../receiver.ts';
import { HTML_END, type Mail, TEXT_END } from './mail.ts';

/**
 * What a citizen wrote, by its name; `removed` in both languages where they wanted it to be forgotten; null: nothing.
 */
export type WordsOf = (statement: string) => string | null;

/** Names what a citizen wrote about a ticket. */
interface Said {
  readonly ticket: string;
  readonly statement: string;
}

/** A mail as it is stored: without the words of citizens, which are put in whenever it is sent. */
export interface StoredMail extends Mail {
  readonly said?: readonly Said[];
  /** The subject whose mails are one thread; absent: it is about several. */
  readonly thread?: string;
}

const MOST_SAID = 20;
const LONGEST = 4_000;
const HEADING = { en: 'What the citizen wrote', zh: '市民留言' } as const;

/**
 * Returns the names of what citizens wrote, for the mail of the department (or whoever has its work now) that is
 * responsible for their tickets; nothing for any other receiver.
 */
export function saidIn(events: readonly LamppostEvent[], party: string): Pick<StoredMail, 'said'> {
  const said = events
    .filter(isTicketEvent)
    .filter(({ data }) => data.department === party)
    .map(({ data: { id, statement, rating, history } }) => {
      const [change] = history.slice(-1);
      const ofChange = change?.statement ?? (change?.action === 'rated' ? rating?.statement : null);
      return { ticket: id, statement: ofChange ?? statement };
    })
    .filter((one): one is Said => one.statement !== null);
  // What a citizen writes of a report is in the history of what it repeats, too.
  const once = [...new Map(said.map((one) => [one.statement, one])).values()];
  return once.length === 0 ? {} : { said: once.slice(0, MOST_SAID) };
}

/** Returns a mail with what citizens wrote, before its signature. What is not stored any more is left out. */
export function withWords(
  { said = [], ...mail }: StoredMail,
  wordsOf: WordsOf,
  language: EmailSettings['language'],
): Mail {
  const heading = headingIn(language);
  const found = said.flatMap(({ ticket, statement }) => {
    const words = wordsOf(statement);
    return words === null || words === '' ? [] : [{ ticket, words: words.slice(0, LONGEST) }];
  });
  if (found.length === 0) return mail;
  const text = found.map(({ ticket, words }) => `\n\n${heading} (${ticket}):\n${words.replace(/^/gm, '> ')}`).join('');
  const html = found
    .map(({ ticket, words }) => {
      const quoted = escapeXml(words).replace(/\r?\n/g, '<br>');
      return `<p>${escapeXml(`${heading} (${ticket}):`)}</p><blockquote>${quoted}</blockquote>`;
    })
    .join('');
  return { ...mail, text: before(TEXT_END, mail.text, text), html: before(HTML_END, mail.html, html) };
}

function headingIn(language: EmailSettings['language']): string {
  const languages: readonly (keyof LocalText)[] = language === 'both' ? ['zh', 'en'] : [language];
  return languages.map((one) => HEADING[one]).join(' / ');
}

/** Returns a text with another put in before its end; at the end of one that does not have it. */
function before(end: string, text: string, added: string): string {
  const at = text.lastIndexOf(end);
  return at === -1 ? text + added : text.slice(0, at) + added + text.slice(at);
}

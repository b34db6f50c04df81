import { escapeXml, type LocalText } from '../domain/index.ts';
import type { Follower } from './followers.ts';
import type { REQUEST_ACTIONS } from './page.ts';

/** What a message to a follower is about. */
export type RequestAction = (typeof REQUEST_ACTIONS)[number];

/** A message to a follower: a mail, or the text of an SMS. */
export interface ProgressMessage {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** The short form. */
  readonly sms: string;
}

/** What a message says. */
export interface Progress {
  readonly id: string;
  readonly service: LocalText;
  readonly city: LocalText;
  /** What happened; null: the follower is asked to confirm. */
  readonly action: RequestAction | null;
  /** Words of the department; null: none. */
  readonly words: string | null;
  /** Public URL of this Lamppost, without a slash at the end. */
  readonly publicUrl: string;
}

const text = (en: string, zh: string): LocalText => ({ en, zh });

const HAPPENED: Readonly<Record<RequestAction, LocalText>> = {
  opened: text('We have your request', '您的诉求已受理'),
  acknowledged: text('Somebody has seen your request', '您的诉求已有人查看'),
  started: text('Work on your request has begun', '您的诉求正在处理'),
  resolved: text('Your request is done', '您的诉求已办结'),
  closed: text('Your request is closed', '您的诉求已结案'),
  reopened: text('Your request is open again', '您的诉求已重新办理'),
  replied: text('The city replied to your request', '部门回复了您的诉求'),
  wrote: text('Your comment has arrived', '您的留言已收到'),
};

const WORDS = {
  confirm: text('Please confirm that you want to follow your request', '请确认订阅您的诉求进展'),
  why: text(
    'Somebody gave this address to get news of a request. If it was you, confirm it here; if not, do nothing.',
    '有人用此地址订阅了一项诉求的进展。如是您本人，请点击确认；如不是，请忽略。',
  ),
  page: text('Your request', '查看诉求'),
  stop: text('No more messages', '不再接收'),
} as const;

/** Returns what happened to a request, to its citizen. */
export const happened = (action: RequestAction) => HAPPENED[action];

/** Returns the page of a request, for who has its token. */
const pageOfRequest = (publicUrl: string, token: string) => `${publicUrl}/public/requests/${token}`;
/** Returns the page on which a follower confirms or ends it. */
export const pageOfFollower = (publicUrl: string, secret: string) => `${publicUrl}/public/follow/${secret}`;

/** Returns the message to a follower, in their language. */
export function progressOf({ language, token, secret }: Follower, progress: Progress): ProgressMessage {
  const { id, service, city, action, words, publicUrl } = progress;
  const own = pageOfFollower(publicUrl, secret);
  const what = (action === null ? WORDS.confirm : HAPPENED[action])[language];
  const about = `${service[language]} (${id})`;
  const said = words === null ? [] : [words];
  const links: [string, string][] =
    action === null
      ? [[what, own]]
      : [
          [WORDS.page[language], pageOfRequest(publicUrl, token)],
          [WORDS.stop[language], own],
        ];
  const lines = [what, about, ...said, ...(action === null ? [WORDS.why[language]] : [])];
  return {
    subject: `[${city[language]}] ${what}: ${service[language]}`.replace(/\s+/g, ' '),
    text: [...lines, '', ...links.map(([label, url]) => `${label}: ${url}`), ''].join('\n'),
    html: `<!doctype html><meta charset="utf-8">${lines.map((line) => `<p>${escapeXml(line)}</p>`).join('')}${links
      .map(([label, url]) => `<p><a href="${escapeXml(url)}">${escapeXml(label)}</a></p>`)
      .join('')}`,
    sms: `${city[language]}: ${what}. ${service[language]}. ${links.at(0)![1]}${action === null ? '' : ` ${WORDS.stop[language]}: ${own}`}`,
  };
}

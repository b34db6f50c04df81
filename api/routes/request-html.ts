import { escapeXml, type LocalText } from '../../domain/index.ts';

type Language = keyof LocalText;

/** What the pages may do that citizens reach by a link: show text and their own photos, and send a form back. */
export const PERSONAL_CSP =
  "default-src 'none'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

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
export function followerPage(state: keyof typeof FOLLOWING, language: Language, secret = ''): string {
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

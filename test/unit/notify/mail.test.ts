import { describe, expect, test } from 'vitest';
import { EVENT_TYPES } from '../../../domain/index.ts';
import { silenceEventOf } from '../../../events/cloudevent.ts';
import { type LamppostEvent, ticketEventOf } from '../../../events/index.ts';
import { whatHappened } from '../../../notify/email/facts.ts';
import { mailOf, testMail } from '../../../notify/email/mail.ts';
import { saidIn, withWords } from '../../../notify/email/words.ts';
import type { Silence } from '../../../tickets/index.ts';
import { CITY, openNotifier } from '../../kit/notify/kit.ts';
import { ticketOf } from '../../kit/tickets/scene.ts';

const context = { city: CITY, publicUrl: 'https://lamppost.example' } as const;
const opened = ticketEventOf(
  ticketOf('1.0', { title: 'Dust <b>&"x"', titleZh: '粉尘 <b>', dueAt: '2026-01-01T04:01:00.000Z' }),
);
const other = ticketEventOf(ticketOf('2.0', { department: 'gone', severity: 'critical' }));
const silence = silenceEventOf(
  {
    kind: 'ending',
    id: 's.ending',
    silence: {
      id: 's',
      comment: 'Works at the pier',
      endsAt: '2026-01-01T02:00:00.000Z',
      matchers: {},
    } as Partial<Silence> as Silence,
    alerts: [{ rule: 'r', group: 'g' }],
  },
  0,
);

function alert(): LamppostEvent {
  const kit = openNotifier();
  kit.happen('1.0', 'firing');
  return kit.state.events.page({ after: 0, limit: 1 }).items[0]!.event;
}

describe('mail - an event', () => {
  test('in English: what happened, the title and the fields', () => {
    const mail = mailOf([opened], { ...context, language: 'en' });
    expect(mail.subject).toBe('[Linjiang] Ticket opened: Dust <b>&"x"');
    expect(mail.text).toBe(
      [
        'Dust <b>&"x"',
        'Ticket opened, 2026-01-01 08:01',
        '',
        'Ticket: t-1-0',
        'Status: open',
        'Severity: high',
        'Department: Environment Bureau',
        'District: Harbour',
        'Due: 2026-01-01 12:01',
        'Note: opened: mean of pm25 is 91.23 (alert above 75)',
        '',
        'https://lamppost.example/tickets/t-1-0',
        '',
        '-- ',
        'https://lamppost.example/',
        '',
      ].join('\n'),
    );
  });

  test('in Chinese', () => {
    const mail = mailOf([opened], { ...context, language: 'zh' });
    expect(mail.subject).toBe('[临江市] 工单已创建: 粉尘 <b>');
    expect(mail.text).toContain('部门: 生态环境局');
    expect(mail.text).toContain('状态: 待处理');
  });

  test('in both, Chinese first', () => {
    const { subject, text } = mailOf([alert()], { ...context, language: 'both' });
    expect(subject).toBe('[临江市] 报警: 港区Pier 7细颗粒物超过75 / Alert: Fine dust above 75 at Pier 7, Harbour');
    expect(text.indexOf('级别: 高')).toBeLessThan(text.indexOf('Severity: high'));
    expect(text).toContain('Value: 91.23');
  });

  test('markup in titles is text in the HTML', () => {
    const { html } = mailOf([opened], { ...context, language: 'both' });
    expect(html).toContain('Dust &lt;b&gt;&amp;&quot;x&quot;');
    expect(html).not.toContain('<b>');
  });

  test('a subject is one line, and not too long', () => {
    const { subject } = mailOf(
      [ticketEventOf(ticketOf('1.0', { title: `a\r\nBcc: x@y.example\n${'z'.repeat(900)}` }))],
      {
        ...context,
        language: 'en',
      },
    );
    expect(subject).toMatch(/^\[Linjiang\] Ticket opened: a Bcc: x@y\.example z+…$/);
    expect(subject).toHaveLength(150);
  });

  test('a silence that ends lists the firing alerts that it silences', () => {
    const { subject, text } = mailOf([silence], { ...context, language: 'en' });
    expect(subject).toBe('[Linjiang] Silence ends soon: Works at the pier');
    expect(text).toContain('Ends: 2026-01-01 10:00\nAlert: r g');
  });

  test('every type of event has words in both languages', () => {
    for (const type of EVENT_TYPES) {
      const { en, zh } = whatHappened({ type });
      expect(en, type).toMatch(/^[A-Z][a-z]/);
      expect(zh, type).toMatch(/[\u4e00-\u9fff]/);
    }
  });
});

describe('mail - a digest', () => {
  test('is grouped by department, in the order of the events, and counts critical ones', () => {
    const { subject, text, html } = mailOf([opened, other, silence, opened], { ...context, language: 'en' });
    expect(subject).toBe('[Linjiang] Digest: 4 events, 1 critical');
    expect(text).toContain(
      [
        '# Environment Bureau',
        '- 2026-01-01 08:01 Ticket opened: Dust <b>&"x" (t-1-0)',
        '  https://lamppost.example/tickets/t-1-0',
        '- 2026-01-01 08:01 Ticket opened: Dust <b>&"x" (t-1-0)',
        '  https://lamppost.example/tickets/t-1-0',
        '',
        '# gone',
        '- 2026-01-01 08:02 Ticket opened: T (t-2-0)',
        '  https://lamppost.example/tickets/t-2-0',
        '',
        '# Without a department',
        '- 1970-01-01 08:00 Silence ends soon: Works at the pier (2026-01-01 10:00)',
      ].join('\n'),
    );
    expect(html).toContain('<ul><li><a href="https://lamppost.example/tickets/t-1-0">2026-01-01 08:01 Ticket opened');
    expect(html).not.toContain('<b>');
  });

  test('is in both languages', () => {
    const { subject } = mailOf([opened, other], { ...context, language: 'both' });
    expect(subject).toBe('[临江市] 汇总: 2 条, 1 条紧急 / Digest: 2 events, 1 critical');
  });
});

test('mail - a test mail says that it is one', () => {
  expect(testMail({ ...context, language: 'both' })).toMatchObject({
    subject: expect.stringContaining('测试邮件'),
    text: expect.stringContaining('A test message'),
  });
});

describe('mail - what citizens wrote', () => {
  const reported = ticketEventOf(ticketOf('3.0', { origin: 'citizen', statement: 'c-1' }));
  const wrote = ticketEventOf({
    ...ticketOf('4.0', { origin: 'citizen', statement: 'c-1' }),
    history: [
      {
        at: '2026-01-01T00:00:00.000Z',
        by: 'reporter',
        action: 'wrote',
        from: null,
        to: 'open',
        note: '',
        statement: 'c-2',
      },
    ],
  });
  const words = (statement: string) => (statement === 'c-1' ? 'needles & <glass>\nbehind the bin' : null);
  const stored = { ...mailOf([reported], { ...context, language: 'en' }), ...saidIn([reported], 'environment') };

  test('is in the mail of the department, quoted, before the signature', () => {
    const { text, html } = withWords(stored, words, 'en');
    expect(text).toContain(
      '\n\nWhat the citizen wrote (t-3-0):\n> needles & <glass>\n> behind the bin\n\n-- \nhttps://lamppost.example/\n',
    );
    expect(html).toContain('<blockquote>needles &amp; &lt;glass&gt;<br>behind the bin</blockquote><p class="end">');
    expect(withWords(stored, words, 'both').text).toContain('市民留言 / What the citizen wrote');
  });

  test('is not stored with the mail: only its name is', () => {
    expect(JSON.stringify(stored)).not.toContain('needles');
    expect(stored.said).toEqual([{ ticket: 't-3-0', statement: 'c-1' }]);
  });

  test('is in no mail of anybody but who is responsible for the ticket', () => {
    expect(saidIn([reported], 'person:li-wei')).toEqual({});
    expect(saidIn([reported], 'waste')).toEqual({});
  });

  test('a comment stands in the mail of its event; what is not stored any more is left out', () => {
    expect(saidIn([wrote, reported, reported], 'environment').said).toEqual([
      { ticket: 't-4-0', statement: 'c-2' },
      { ticket: 't-3-0', statement: 'c-1' },
    ]);
    const mail = mailOf([wrote], { ...context, language: 'en' });
    expect(withWords({ ...mail, ...saidIn([wrote], 'environment') }, words, 'en')).toEqual(mail);
  });
});

import {
  type City,
  CLOCK_DOUBTS,
  type CommandState,
  createZone,
  DROP_REASONS,
  END_CAUSES,
  type HistoryAction,
  isoOf,
  type LocalText,
  type Severity,
  type TicketStatus,
} from '../../domain/index.ts';
import {
  isAlertEvent,
  isClockEvent,
  isCommandEvent,
  isCommandType,
  isDesiredEvent,
  isLoginEvent,
  isSessionEvent,
  isTicketEvent,
  type LamppostEvent,
} from '../../events/index.ts';
import { renderValue } from '../../tickets/index.ts';
import type { MailEvent } from './together.ts';

/** What mail reads of the city. */
export type MailCity = Pick<City, 'name' | 'timezone' | 'departments' | 'districts'>;

/** An event in words for people, in one language. */
export interface Facts {
  /** For example "Ticket opened". */
  readonly what: string;
  readonly title: string;
  /** Local time of the city. */
  readonly time: string;
  readonly isCritical: boolean;
  /** Name of the department that is responsible; null where there is none. */
  readonly department: string | null;
  readonly fields: readonly (readonly [label: string, value: string])[];
}

type Field = readonly [label: keyof typeof FIELD_WORDS, value: string | null];

/** Returns an event, with the alert that it follows from, in words. */
export function factsOf({ event, alert }: MailEvent, city: MailCity, language: keyof LocalText): Facts {
  const fields = [...fieldsOf(event, city, language), ...alertFieldsOf(alert, city)].filter(
    (field): field is readonly [Field[0], string] => Boolean(field[1]),
  );
  const department =
    'departments' in event.data
      ? (event.data.departments[0] ?? null)
      : 'department' in event.data
        ? event.data.department
        : null;
  return {
    what: whatHappened(event)[language],
    title: titleOf(event, language),
    time: localTime(event.time, city.timezone),
    isCritical: 'severity' in event.data && event.data.severity === 'critical',
    department: department === null ? null : nameOf(city.departments, department, language),
    fields: fields.map(([label, value]) => [FIELD_WORDS[label][language], value]),
  };
}

function titleOf(event: Pick<LamppostEvent, 'data'>, language: keyof LocalText): string {
  const { data } = event;
  if ('matchers' in data) return data.comment;
  if ('session' in data) return data.session;
  if ('byMs' in data) return `${data.from} → ${data.to}`;
  if ('parameters' in data) return `${data.device}: ${data.command}`;
  if ('desired' in data) return data.device;
  if ('source' in data) return data.user === null ? data.source : `${data.user} (${data.source})`;
  return language === 'en' ? data.title : data.titleZh;
}

function fieldsOf(event: LamppostEvent, city: MailCity, language: keyof LocalText): Field[] {
  const time = (iso: string) => localTime(iso, city.timezone);
  if (isAlertEvent(event)) {
    const { severity, department, district, value, since, ticket, because } = event.data;
    return [
      ['severity', SEVERITY_WORDS[severity][language]],
      ['department', department && nameOf(city.departments, department, language)],
      ['district', nameOf(city.districts, district, language)],
      ['value', value === null ? null : renderValue(value)],
      ['since', time(since)],
      ['ticket', ticket],
      ['note', because === undefined ? null : END_CAUSES[because]],
    ];
  }
  if (isTicketEvent(event)) {
    const { severity, status, department, district, address, dueAt, history, id } = event.data;
    return [
      ['ticket', id],
      ['status', STATUS_WORDS[status][language]],
      ['severity', SEVERITY_WORDS[severity][language]],
      ['department', nameOf(city.departments, department, language)],
      ['district', nameOf(city.districts, district, language)],
      ['address', address],
      ['due', time(dueAt)],
      ['note', history.at(-1)?.note ?? null],
    ];
  }
  if (isSessionEvent(event)) {
    const { session, messages, reason } = event.data;
    return [
      ['session', session],
      ['messages', String(messages)],
      ['reason', DROP_REASONS[reason]],
    ];
  }
  if (isLoginEvent(event)) {
    const { source, user, failures, from } = event.data;
    return [
      ['source', source],
      ['user', user],
      ['failures', String(failures)],
      ['since', time(from)],
    ];
  }
  if (isClockEvent(event)) {
    const { from, to, doubt } = event.data;
    return [
      ['before', time(from)],
      ['after', time(to)],
      ['reason', doubt === null ? null : CLOCK_DOUBTS[doubt]],
    ];
  }
  if (isCommandEvent(event)) {
    const { parameters, by, validUntil, message } = event.data;
    return [
      [
        'parameters',
        Object.entries(parameters)
          .map(([name, value]) => `${name} ${value}`)
          .join(', '),
      ],
      ['user', by],
      ['ends', time(validUntil)],
      ['note', message],
    ];
  }
  if (isDesiredEvent(event)) return [['user', event.data.by]];
  const { endsAt, alerts } = event.data;
  return [['ends', time(endsAt)], ...alerts.map(({ rule, group }): Field => ['alert', `${rule} ${group}`])];
}

function alertFieldsOf(alert: MailEvent['alert'], city: MailCity): Field[] {
  if (alert === null) return [];
  const { rule, group, value, since } = alert.data;
  return [
    ['alert', `${rule} ${group}`],
    ['value', value === null ? null : renderValue(value)],
    ['since', localTime(since, city.timezone)],
  ];
}

function nameOf(
  known: ReadonlyMap<string, { readonly title: LocalText }>,
  id: string,
  language: keyof LocalText,
): string {
  return known.get(id)?.title[language] ?? id;
}

/** Returns local time of the city, such as `2026-01-31 08:05`. */
function localTime(iso: string, timezone: string): string {
  const ms = Date.parse(iso);
  const local = ms + createZone(timezone).offsetAt(ms);
  return isoOf(local).slice(0, 16).replace('T', ' ');
}

const text = (en: string, zh: string): LocalText => ({ en, zh });

const SEVERITY_WORDS: Readonly<Record<Severity, LocalText>> = {
  info: text('info', '提示'),
  low: text('low', '低'),
  medium: text('medium', '中'),
  high: text('high', '高'),
  critical: text('critical', '紧急'),
};

const STATUS_WORDS: Readonly<Record<TicketStatus, LocalText>> = {
  open: text('open', '待处理'),
  acknowledged: text('acknowledged', '已确认'),
  assigned: text('assigned', '已派单'),
  in_progress: text('in progress', '处理中'),
  resolved: text('resolved', '已解决'),
  closed: text('closed', '已关闭'),
};

const ACTION_WORDS: Readonly<Record<HistoryAction, LocalText>> = {
  opened: text('Ticket opened', '工单已创建'),
  updated: text('Ticket updated', '工单已更新'),
  acknowledged: text('Ticket acknowledged', '工单已确认'),
  offered: text('Ticket offered', '工单待认领'),
  taken: text('Ticket taken', '工单已认领'),
  declined: text('Ticket declined', '工单被婉拒'),
  assigned: text('Ticket assigned', '工单已派单'),
  started: text('Work started', '工单处理中'),
  commented: text('Comment on a ticket', '工单有新评论'),
  'handed-over': text('Ticket handed over', '工单已转派'),
  split: text('Ticket split', '工单已拆分'),
  linked: text('Ticket linked', '工单已关联'),
  warned: text('Ticket is due soon', '工单即将到期'),
  reminded: text('Ticket is still open', '工单仍未解决'),
  folded: text('Ticket folded into another', '工单已并入'),
  escalated: text('Ticket escalated', '工单已升级'),
  resolved: text('Ticket resolved', '工单已解决'),
  closed: text('Ticket closed', '工单已关闭'),
  reopened: text('Ticket reopened', '工单重新打开'),
  rated: text('Ticket rated', '工单已评价'),
  replied: text('Reply to the citizen', '已回复市民'),
  wrote: text('Comment of a citizen', '市民留言'),
};

const COMMAND_WORDS: Readonly<Record<CommandState, LocalText>> = {
  queued: text('Command to a device', '设备指令已下发'),
  sent: text('Command has arrived', '设备指令已送达'),
  acknowledged: text('Command was carried out', '设备指令已执行'),
  failed: text('Command failed', '设备指令执行失败'),
  expired: text('Command has expired', '设备指令已过期'),
  superseded: text('Command was superseded', '设备指令已被取代'),
  cancelled: text('Command was cancelled', '设备指令已取消'),
};

/** Returns what happened, in both languages. */
export function whatHappened({ type }: Pick<LamppostEvent, 'type'>): LocalText {
  if (type === 'city.lamppost.alert.firing') return text('Alert', '报警');
  if (type === 'city.lamppost.alert.resolved') return text('Alert resolved', '报警解除');
  if (type === 'city.lamppost.session.dropped') return text('An MQTT session lost messages', 'MQTT 会话丢失消息');
  if (type === 'city.lamppost.login.failing') return text('Logins fail', '登录持续失败');
  if (type === 'city.lamppost.clock.stepped') return text('The clock was set', '系统时钟已调整');
  if (type === 'city.lamppost.clock.doubted') return text('The clock is not believed', '系统时钟不可信');
  if (isCommandType(type)) return COMMAND_WORDS[type.slice('city.lamppost.command.'.length) as CommandState];
  if (type === 'city.lamppost.desired.changed') return text('Desired state changed', '设备期望状态已更改');
  if (type === 'city.lamppost.silence.created') return text('Silence created', '静默已创建');
  if (type === 'city.lamppost.silence.matched') return text('Silence holds alerts back', '静默已抑制告警');
  if (type === 'city.lamppost.silence.ending') return text('Silence ends soon', '静默即将结束');
  if (type === 'city.lamppost.silence.ended') return text('Silence has ended', '静默已结束');
  return ACTION_WORDS[type.slice('city.lamppost.ticket.'.length) as HistoryAction];
}

/** Labels of fields. */
const FIELD_WORDS = {
  severity: text('Severity', '级别'),
  status: text('Status', '状态'),
  department: text('Department', '部门'),
  district: text('District', '区域'),
  address: text('Address', '地址'),
  value: text('Value', '数值'),
  since: text('Since', '开始时间'),
  before: text('Before', '调整前'),
  after: text('After', '调整后'),
  due: text('Due', '期限'),
  ends: text('Ends', '结束时间'),
  note: text('Note', '备注'),
  ticket: text('Ticket', '工单'),
  alert: text('Alert', '报警'),
  session: text('Session', '会话'),
  messages: text('Messages', '消息数'),
  reason: text('Reason', '原因'),
  parameters: text('Parameters', '参数'),
  source: text('Address', '来源地址'),
  user: text('User name', '用户名'),
  failures: text('Failures', '失败次数'),
} as const;

import type { HistoryAction, LocalText, Severity, TicketStatus } from '../../domain/index.ts';
import type { LamppostEvent } from '../../events/index.ts';

const text = (en: string, zh: string): LocalText => ({ en, zh });

export const SEVERITY_WORDS: Readonly<Record<Severity, LocalText>> = {
  info: text('info', '提示'),
  low: text('low', '低'),
  medium: text('medium', '中'),
  high: text('high', '高'),
  critical: text('critical', '紧急'),
};

export const STATUS_WORDS: Readonly<Record<TicketStatus, LocalText>> = {
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
  escalated: text('Ticket escalated', '工单已升级'),
  resolved: text('Ticket resolved', '工单已解决'),
  closed: text('Ticket closed', '工单已关闭'),
  reopened: text('Ticket reopened', '工单重新打开'),
  rated: text('Ticket rated', '工单已评价'),
};

/** What happened, in both languages. */
export function whatHappened({ type }: Pick<LamppostEvent, 'type'>): LocalText {
  if (type === 'city.lamppost.alert.firing') return text('Alert', '报警');
  if (type === 'city.lamppost.alert.resolved') return text('Alert resolved', '报警解除');
  if (type === 'city.lamppost.session.dropped') return text('An MQTT session lost messages', 'MQTT 会话丢失消息');
  if (type === 'city.lamppost.silence.ending') return text('Silence ends soon', '静默即将结束');
  return ACTION_WORDS[type.slice('city.lamppost.ticket.'.length) as HistoryAction];
}

/** Labels of fields. */
export const FIELD_WORDS = {
  severity: text('Severity', '级别'),
  status: text('Status', '状态'),
  department: text('Department', '部门'),
  district: text('District', '区域'),
  address: text('Address', '地址'),
  value: text('Value', '数值'),
  since: text('Since', '开始时间'),
  due: text('Due', '期限'),
  ends: text('Ends', '结束时间'),
  note: text('Note', '备注'),
  ticket: text('Ticket', '工单'),
  alert: text('Alert', '报警'),
  session: text('Session', '会话'),
  messages: text('Messages', '消息数'),
  reason: text('Reason', '原因'),
} as const;

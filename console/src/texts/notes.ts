/** What a value of a note stands for: how it is shown in Chinese. */
export interface NoteWords {
  severity(id: string): string;
  department(id: string): string;
  metric(id: string): string;
  fn(id: string): string;
  op(id: string): string;
  time(iso: string): string;
}

/**
 * The notes that the engine writes into histories, which are part of the log in English, and the same in Chinese.
 * `{note}` is a note within a note or what a person wrote; `{from}` and `{to}` of a severity or department are named by
 * the city. A test compares them with the notes in `tickets/`.
 */
const NOTES: readonly (readonly [en: string, zh: string])[] = [
  ['opened: {note}', '已建立：{note}'],
  ['fired again, escalated from {s1} to {s2}: {note}', '再次触发，级别由{s1}升为{s2}：{note}'],
  ['fired again: {note}', '再次触发：{note}'],
  ['still fires without what explained it: {note}', '原因消除后仍在触发：{note}'],
  [
    'escalated from {s1} to {s2}: {rule} fires for {group}: {note}',
    '级别由{s1}升为{s2}：{rule} 在 {group} 触发：{note}',
  ],
  ['escalated from {s1} to {s2}: {note}', '级别由{s1}升为{s2}：{note}'],
  ['an alert rose to {s1}: {note}', '一项告警升为{s1}：{note}'],
  ['severity from {s1} to {s2}: {note}', '级别由{s1}改为{s2}：{note}'],
  ['severity from {s1} to {s2}', '级别由{s1}改为{s2}'],
  ['alert resolved, {left}: {note}', '告警已解除，{left}：{note}'],
  ['alert resolved: {note}', '告警已解除：{note}'],
  ['the rule was changed; it no longer holds, {left}: {note}', '规则已修改，告警不再成立，{left}：{note}'],
  ['the rule was changed; it no longer holds: {note}', '规则已修改，告警不再成立：{note}'],
  ['{ending}, {left}', '{ending}，{left}'],
  ['{ending}', '{ending}'],
  ['folded into {id}: {rule} fires for {group}', '并入 {id}：{rule} 在 {group} 触发'],
  ['it explains {list}', '它说明了 {list}'],
  ['offered to {p1} until {t1}', '已派给{p1}，请在 {t1} 前接单'],
  ['not taken by {p1} in time', '{p1}未按时接单'],
  ['declined by {p1}: {note}', '{p1}不接单：{note}'],
  ['declined by {p1}', '{p1}不接单'],
  ['withdrawn from {p1}: {note}', '不再派给{p1}：{note}'],
  ['withdrawn from {p1}', '不再派给{p1}'],
  ['{id} was handed over from {p1} to {p2}', '{id} 已由{p1}移交{p2}'],
  ['from {p1} to {p2} with {id}', '随 {id} 由{p1}移交{p2}'],
  ['from {s1} to {s2}: {note}', '由{s1}到{s2}：{note}'],
  ['from {s1} to {s2}', '由{s1}到{s2}'],
  ['with {id}', '随 {id} 一起'],
  ['the part {part} is open again', '子工单 {part} 重新打开'],
  ['the part {part} is done, {n} more to go', '子工单 {part} 已完成，还有 {n} 个'],
  ['the part {part} is done, it was the last one', '子工单 {part} 已完成，是最后一个'],
  ['the part {part} was the last one, and the alerts have ended', '子工单 {part} 是最后一个，告警也已结束'],
  ['a citizen wrote', '市民留言'],
  ['the citizen who reported it says that it is not fixed', '报告的市民表示问题没有解决'],
  ['nobody objected', '无人提出异议'],
  ['not closed, it still fires: {list}', '未关闭，告警仍在触发：{list}'],
  ['it still fires: {list}', '告警仍在触发：{list}'],
  ['open since {t1}, {missing}; to be resolved by {t2}', '自 {t1} 起未完成，{missing}；应在 {t2} 前解决'],
  ['{n} more alerts: {list}', '另有 {n} 项告警：{list}'],
  ['to be {verb} by {t1}', '应在 {t1} 前{verb}'],
  ['not {verb} by {t1}: {p1} is notified', '未在 {t1} 前{verb}：已通知{p1}'],
  ['{n} of 5: {note}', '{n} 星（满分 5）：{note}'],
  ['{n} of 5', '{n} 星（满分 5）'],
  ['{id} reports the same', '{id} 报告同一问题'],
  ['{id} for {p1}: {note}', '{id} 交给{p1}：{note}'],
  ['to {p1}: {note}', '交给{p1}：{note}'],
  ['to {p1}', '交给{p1}'],
  ['{value} groups would fire (at most {n})', '{value} 组会触发（上限 {n}）'],
  ['{value} devices match (alert from {n})', '{value} 个设备符合（达到 {n} 触发告警）'],
  ['the rule met an error', '规则出错'],
  ['the rule was changed', '规则已修改'],
  ['silence of the device in seconds is {value} (alert {op} {limit})', '设备静默 {value} 秒（{op} {limit} 触发告警）'],
  ['silence of {m1} in seconds is {value} (alert {op} {limit})', '{m1}静默 {value} 秒（{op} {limit} 触发告警）'],
  ['{fn} of {m1} is {value} (alert where it is not {or})', '{m1}的{fn}为 {value}（不是 {or} 时触发告警）'],
  ['{fn} of {m1} is {value} (alert where it is {or})', '{m1}的{fn}为 {value}（是 {or} 时触发告警）'],
  ['{m1} is {value} (alert where it is not {or})', '{m1}为 {value}（不是 {or} 时触发告警）'],
  ['{m1} is {value} (alert where it is {or})', '{m1}为 {value}（是 {or} 时触发告警）'],
  ['{fn} of {m1} is {value} (alert {op} {limit})', '{m1}的{fn}为 {value}（{op} {limit} 触发告警）'],
  ['{m1} is {value} (alert {op} {limit})', '{m1}为 {value}（{op} {limit} 触发告警）'],
];

/** Parts of notes that are one of a few. */
const FIXED = {
  left: {
    'confirm on site': '需现场确认',
    'parts of it are open': '子工单未完成',
    'work is under way': '处理正在进行',
    'a citizen reported what no sensor measures': '市民报告的问题传感器无法测量',
  },
  ending: {
    'the rule was changed; it no longer holds': '规则已修改，告警不再成立',
    'the rule is gone': '规则已删除',
    'the rule no longer applies to it': '规则不再适用',
    'the device was revoked': '设备已注销',
  },
  missing: { 'nobody has acknowledged it': '无人确认', 'it is not resolved': '尚未解决' },
  verb: { acknowledged: '确认', resolved: '解决' },
} as const;

/** Words of one kind are short; what comes last may be anything. */
const SHAPES: Readonly<Record<string, string>> = {
  note: '([\\s\\S]+)',
  list: '([\\s\\S]+)',
  or: '([\\s\\S]+)',
  ...Object.fromEntries(
    Object.entries(FIXED).map(([name, values]) => [name, `(${Object.keys(values).map(escaped).join('|')})`]),
  ),
  s1: '(info|low|medium|high|critical)',
  s2: '(info|low|medium|high|critical)',
  id: '(\\S+)',
  fn: '(\\w+)',
  op: '(above|below|outside|equals)',
};

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

const PATTERNS = NOTES.map(([en, zh]) => {
  const names = [...en.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  const parts = en.split(/\{\w+\}/).map(escaped);
  const source = parts.map((part, i) => part + (names[i] === undefined ? '' : (SHAPES[names[i]] ?? '(.+?)'))).join('');
  return { zh, names, pattern: new RegExp(`^${source}$`) };
});

/** Returns a note of the engine in Chinese; what it does not know, such as a person's words, as it is. */
export function noteInChinese(note: string, words: NoteWords): string {
  for (const { zh, names, pattern } of PATTERNS) {
    const found = pattern.exec(note);
    if (found === null) continue;
    const values = Object.fromEntries(names.map((name, i) => [name, shown(name, found[i + 1]!, words)]));
    return zh.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '');
  }
  return note;
}

function shown(name: string, value: string, words: NoteWords): string {
  const fixed = FIXED[name as keyof typeof FIXED] as Readonly<Record<string, string>> | undefined;
  if (fixed !== undefined) return fixed[value] ?? value;
  if (name === 'note') return noteInChinese(value, words);
  if (name === 'fn') return words.fn(value);
  if (name === 'op') return words.op(value);
  if (name === 'or') return value.replaceAll(' or ', ' 或 ');
  if (name.startsWith('s')) return words.severity(value);
  if (name.startsWith('t')) return words.time(value);
  if (name.startsWith('m')) return words.metric(value);
  // A person may stand behind the department: "waste: Li Na".
  if (name.startsWith('p') && name !== 'part') return words.department(value);
  return value;
}

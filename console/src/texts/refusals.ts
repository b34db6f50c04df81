/** A response that is not 2xx: its status, the name of why, and the server's own sentence, which is in English. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly detail: string;
}

type Both = readonly [en: string, zh: string];

/**
 * Why the server refused something, by its `reason`, with what would be right; `{detail}` is the server's sentence.
 * What is not in here is said by `BY_CODE`. A test compares them with the server's enumerations.
 */
const BY_REASON: Readonly<Record<string, Both>> = {
  'wrong-password': ['The e-mail address or the password is wrong.', '邮箱或密码错误。'],
  'code-needed': ['Enter the code of your authenticator as well.', '还需要输入验证器中的验证码。'],
  'wrong-code': ['The code is wrong, or was used already.', '验证码错误或已使用。'],
  'link-used': ['This link was used, or is too old. Ask for a new one.', '此链接已使用或已过期，请索取新的链接。'],
  'no-role': [
    'The city knows you, but gives you no role here. Ask an administrator.',
    '城市账户已确认，但您在此没有角色，请联系管理员。',
  ],
  'person-removed': ['Your account was removed. Ask an administrator.', '您的账户已被移除，请联系管理员。'],
  'person-suspended': ['The account is suspended. Ask an administrator.', '账户已停用，请联系管理员。'],
  'person-changed': [
    'Somebody else changed this person meanwhile. Close this, look at it again, and change that.',
    '其他人刚修改了此人员，请关闭后重新查看再改。',
  ],
  'email-taken': ['Somebody else has this e-mail address here. Choose another one.', '此邮箱已被他人使用，请换一个。'],
  'not-an-admin': [
    'Only an administrator changes people; you change your own password and codes under "My account".',
    '只有管理员可以更改人员；您可以在“我的账户”中更改自己的密码和验证码。',
  ],
  'provider-failed': ["The city's sign-in did not confirm you. Try again.", '统一账户未能确认您的身份，请重试。'],
  'cross-site': ['Another website sent this request. Open this page itself.', '请求来自其他网站，请直接打开本页面。'],

  'wrong-status': [
    'The ticket is in a status from which this is not possible. Look at it again.',
    '工单当前状态不允许此操作，请重新查看。',
  ],
  'not-your-ticket': [
    "The ticket is another department's: it was neither offered nor assigned to you.",
    '工单属于其他部门，既未征询也未指派给您。',
  ],
  'not-your-role': ['Your role does not allow this. Ask an administrator.', '您的角色不允许此操作，请联系管理员。'],
  'not-your-department': [
    'It is about another department than yours. Ask that one, or an administrator.',
    '此事属于其他部门，请联系该部门或管理员。',
  ],
  'not-a-department': ['Who reported it is shown to departments of the city only.', '报告人只对城市部门显示。'],
  'not-offered': ['The ticket is not offered to you.', '此工单没有征询您。'],
  'ticket-changed': ['The ticket has changed meanwhile. Look at it again.', '工单已发生变化，请重新查看。'],
  'unknown-party': [
    'The city has no department, contractor or group of this name. Choose one of the list.',
    '城市中没有此部门、承包商或团体，请从列表中选择。',
  ],
  'same-department': [
    "The ticket is already this department's. Choose another one.",
    '工单已属于该部门，请选择其他部门。',
  ],
  'parts-open': ['Parts of the ticket are still open. Resolve them first.', '工单的部分任务尚未完成，请先完成。'],
  superseded: [
    'Another ticket is open for the same alert. Go on with that one.',
    '同一告警已有另一个未完成的工单，请在那里继续。',
  ],
  'whole-ended': [
    'The ticket that this is a part of has ended. Reopen that one first.',
    '所属的主工单已结束，请先重新打开主工单。',
  ],
  'goes-along': [
    'The ticket reports what another one is about. Hand that one over.',
    '此工单与另一工单所报为同一事项，请转派那一工单。',
  ],
  'alerts-fire': [
    'An alert of the ticket fires with a higher severity. Choose at least that.',
    '该工单有级别更高的告警正在触发，请至少选择该级别。',
  ],
  'no-severity': ['Choose a severity.', '请选择严重程度。'],
  'already-rated': ['It was rated already.', '已经评价过。'],
  'not-the-reporter': [
    'Only who has the link of the request can do this. Open it by that link.',
    '只有持有请求链接的人可以这样做，请用该链接打开。',
  ],
  'too-late': [
    'The time in which you could say so is over. Report it once more.',
    '可以提出异议的时间已过，请重新报告。',
  ],
  'too-often': ['You wrote as often as one may in a day. Try again tomorrow.', '今天的留言次数已达上限，请明天再试。'],

  'rule-mistakes': ['The rule has mistakes: {detail}', '规则有错误，请改正：{detail}'],
  'rule-in-file': [
    'The rule is in a file of the city folder. Change it there.',
    '该规则在城市文件夹的文件中，请在那里修改。',
  ],
  'rule-exists': [
    'A rule of this id exists. Change that one, or choose another id.',
    '已有此标识的规则，请修改那条规则或换一个标识。',
  ],
  'rule-id': [
    'The rule names another id than its address. Keep the id, or make a new rule.',
    '规则中的标识与地址不一致，请保留原标识或新建规则。',
  ],
  'rule-changed': [
    'Somebody else saved the rule meanwhile. Take over their version below, and change that.',
    '其他人已保存该规则。请在下方取用其版本，再作修改。',
  ],

  'dev-eui-taken': [
    'Another device has this hardware. Put other hardware there first.',
    '此硬件已属于其他设备。请先为该设备更换硬件。',
  ],
  'id-taken': ['A device or key has this id already. Choose another one.', '此标识已被其他设备或密钥使用，请换一个。'],
  'device-changed': [
    'The device has changed meanwhile. Close this, look at it again, and change that.',
    '设备刚被修改，请关闭后重新查看再改。',
  ],
  'key-changed': [
    'The key has changed meanwhile. Close this, look at it again, and change that.',
    '密钥刚被修改，请关闭后重新查看再改。',
  ],
  'key-ended': ['The key was revoked, or has expired. Make a new one.', '密钥已吊销或已过期，请新建一个。'],
  'device-suspended': ['The device is suspended. Resume it first.', '设备已停用，请先恢复。'],
  'wrong-claim-code': [
    'The claim code is wrong, was used, or has expired. Ask for a new one.',
    '领取码有误、已使用或已过期。请索取新的领取码。',
  ],

  'unknown-command': [
    'The kind of device has no such command. Choose one of the list.',
    '此类设备没有这个命令，请从列表中选择。',
  ],
  'wrong-parameters': [
    'The parameters are not those that the city describes for this command: {detail}',
    '参数与城市描述的不一致：{detail}',
  ],
  'not-valid': [
    'The command would be over before it began, or valid for longer than a year. Choose other times.',
    '命令在开始前就会失效，或有效期超过一年，请选择其他时间。',
  ],
  'command-ended': ['The command has ended already.', '命令已经结束。'],
  'no-network-server': [
    'No uplink of the device came yet, so it is not known which network server reaches it. Wait for its first one.',
    '尚未收到该设备的上行消息，不知道经由哪个网络服务器，请等待第一条上行消息。',
  ],
  'desired-changed': [
    'Somebody else changed the desired state meanwhile. What you typed is still here.',
    '其他人刚修改了期望状态。您输入的内容仍在。',
  ],
  'too-much': ['The state is larger than it may be. Leave something out.', '状态过大，请减少内容。'],

  'unknown-service': [
    'The city does not take reports about this any more. Load the page again, and choose.',
    '城市不再受理此类报告，请重新加载页面后选择。',
  ],
  'outside-the-city': [
    'The place is outside the city. Choose one inside it.',
    '所选位置不在本市范围内，请选择市内的位置。',
  ],
  'bad-place': ['The place cannot be read. Choose it on the map.', '无法识别位置，请在地图上选择。'],
  'wrong-answer': ['One of the questions needs another answer: {detail}', '有一项回答需要更改：{detail}'],
  'bad-photo': [
    'The photo cannot be used. Choose a JPEG, PNG or WebP of up to 5 MB.',
    '无法使用此照片，请选择不超过 5 MB 的 JPEG、PNG 或 WebP。',
  ],
};

/** The same by its code or status, where it has no reason: in English the server's sentence says more. */
const BY_CODE: Readonly<Record<string, string>> = {
  config: '设置有误：{detail}',
  city: '城市文件夹有误，请改正：{detail}',
  'journal-full': '磁盘空间不足，服务器暂不接受新内容，请联系运维人员。',
  'journal-closed': '服务器正在停止，请稍后再试。',
  'log-away': '日志暂时无法写入，请稍后再试。',
  disk: '磁盘出错，请联系运维人员：{detail}',
  damaged: '数据文件已损坏，请联系运维人员：{detail}',
  'too-new': '数据由更新的版本写入，请联系运维人员：{detail}',
  history: '历史数据库暂时不可用，请稍后再试。',
  forbidden: '您无权执行此操作，请联系管理员。（{detail}）',
  'not-found': '没有找到，可能已被删除，请返回列表查看。（{detail}）',
  conflict: '与现有内容冲突，请改正：{detail}',
  invalid: '内容有误，请改正：{detail}',
  mistakes: '内容有误，请改正：{detail}',
  precondition: '内容已被他人更改，请重新查看后再改。',
  limit: '已达上限，请稍后再试，或减少内容：{detail}',
  busy: '服务器繁忙，请稍后再试。',
  400: '内容有误，请改正：{detail}',
  401: '登录已失效，请重新登录。',
  403: '您无权执行此操作，请联系管理员。（{detail}）',
  404: '没有找到，可能已被删除，请返回列表查看。',
  405: '地址不支持此操作，请重新加载页面。',
  408: '请求超时，请重试。',
  409: '与现有内容冲突，请改正：{detail}',
  412: '内容已被他人更改，请重新查看后再改。',
  413: '内容过大，请减少后再发送。',
  415: '无法识别内容的格式，请重新加载页面后再试。',
  422: '内容有误，请改正：{detail}',
  429: '请求过于频繁，请稍后再试。',
  500: '服务器内部错误，请稍后再试；如仍出现，请联系运维人员。',
  503: '服务器暂时不可用，请稍后再试。',
};

/** Whether the catalogue has a text of its own for a reason, code or status. */
export const isRefusal = (name: string): boolean => name in BY_REASON || name in BY_CODE;

/** Returns why the server refused something, in a language; empty where neither it nor the catalogue says it. */
export function refusalText({ status, reason, detail }: Refusal, language: 'en' | 'zh'): string {
  const text =
    BY_REASON[reason]?.[language === 'zh' ? 1 : 0] ??
    (language === 'zh' ? (BY_CODE[reason] ?? BY_CODE[status]) : undefined) ??
    '{detail}';
  return text.replace('{detail}', () => detail).replace('（）', '');
}

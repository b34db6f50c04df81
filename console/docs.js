// Shows openapi.json and asyncapi.json: routes and topics, who may use them, and the shapes of their data.

import { bodyTypeOf } from './docs-request.js';
import { nodesOf, shape } from './docs-shape.js';
import { formOf } from './docs-try.js';

const TEXTS = {
  en: {
    other: '中文',
    topics: 'MQTT topics',
    schemas: 'Shapes',
    parameters: 'Parameters',
    body: 'Body',
    examples: 'Examples',
    receive: 'to Lamppost',
    send: 'from Lamppost',
    retained: 'retained',
    open: 'Needs no key.',
    served: 'JSON Schema of each event: /schemas/{type}.json',
    search: 'Search',
    found: '{n} found',
    key: 'Key, to try requests',
    session: 'empty: as you are signed in here',
    try: 'Try it',
    copy: 'Copy',
    'send-it': 'Send',
    'send-changes': 'Send (it changes this server)',
    'not-sent': 'It was not sent',
  },
  zh: {
    other: 'English',
    topics: 'MQTT 主题',
    schemas: '数据结构',
    parameters: '参数',
    body: '请求体',
    examples: '示例',
    receive: '发往 Lamppost',
    send: '来自 Lamppost',
    retained: '保留消息',
    open: '无需密钥。',
    served: '各类事件的 JSON Schema：/schemas/{type}.json',
    search: '搜索',
    found: '找到 {n} 项',
    key: '密钥，用于试用请求',
    session: '留空：使用当前登录身份',
    try: '试一试',
    copy: '复制',
    'send-it': '发送',
    'send-changes': '发送（会更改此服务器）',
    'not-sent': '未能发送',
  },
};

const json = async (path) => (await fetch(path)).json();
const [http, topics] = await Promise.all([json('/openapi.json'), json('/asyncapi.json')]);
const search = document.getElementById('search');
const key = document.getElementById('key');
// The console's key, where somebody entered one there.
key.value = sessionStorage.getItem('key') ?? '';
let language = localStorage.getItem('language') ?? (navigator.language.startsWith('zh') ? 'zh' : 'en');
const say = (name) => TEXTS[language][name];

function make(tag, ...children) {
  const node = document.createElement(tag);
  node.append(...children);
  return node;
}

const heading = (text) => make('h3', text);
const shown = (schema) => make('pre', ...nodesOf(shape(schema)));

/** A line that opens to show its details. */
function entry(kind, name, about, ...inside) {
  const summary = make('summary', make('b', kind), make('code', name), ' ', make('span', about));
  return make('details', summary, ...inside);
}

/** Makes the form of a route once its entry is opened: there are many of them. */
function withForm(details, route) {
  const isTried = !route.operation.requestBody || bodyTypeOf(route.operation) !== undefined;
  const once = () => {
    if (!details.open || details.querySelector('form') !== null) return;
    details.append(heading(say('try')), formOf(route, say));
  };
  if (isTried) details.addEventListener('toggle', once);
  return details;
}

function routeOf(path, method, operation) {
  const { summary, description, parameters = [], requestBody, responses } = operation;
  const inside = [make('p', description ?? say('open'))];
  if (parameters.length > 0) {
    const properties = Object.fromEntries(parameters.map(({ name, schema }) => [name, schema]));
    const required = parameters.filter((one) => one.required).map(({ name }) => name);
    inside.push(heading(say('parameters')), shown({ type: 'object', properties, required }));
  }
  const bodies = (title, content = {}) => {
    for (const [type, { schema, example }] of Object.entries(content)) {
      inside.push(heading(title(type)), shown(schema));
      if (example !== undefined) inside.push(heading(say('examples')), make('pre', JSON.stringify(example, null, 2)));
    }
  };
  bodies(() => say('body'), requestBody?.content);
  for (const [status, { content }] of Object.entries(responses)) bodies((type) => `${status} ${type}`, content);
  return withForm(entry(method.toUpperCase(), path, summary, ...inside), { path, method, operation });
}

/** A section of routes for each tag. */
function routes() {
  const sections = new Map();
  for (const [path, methods] of Object.entries(http.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const [tag] = operation.tags;
      if (!sections.has(tag)) sections.set(tag, make('section', make('h2', tag)));
      sections.get(tag).append(routeOf(path, method, operation));
    }
  }
  return [...sections.values()];
}

const named = (document, { $ref }) =>
  $ref
    .split('/')
    .slice(1)
    .reduce((value, key) => value[key.replaceAll('~1', '/').replaceAll('~0', '~')], document);

function topicOf({ action, channel, bindings: { mqtt } }) {
  const { address, summary, description, messages } = named(topics, channel);
  const quality = `QoS ${mqtt.qos}${mqtt.retain ? `, ${say('retained')}` : ''}`;
  const inside = Object.values(messages).flatMap((one) => {
    const message = named(topics, one);
    const examples = (message.examples ?? []).map(({ payload }) => make('pre', JSON.stringify(payload, null, 2)));
    const title = heading(`${message.summary} (${message.contentType})`);
    return [title, shown(message.payload), ...(examples.length > 0 ? [heading(say('examples')), ...examples] : [])];
  });
  return entry(say(action), address, `${summary}. ${quality}`, make('p', description), ...inside);
}

function schemas() {
  const all = { ...topics.components.schemas, ...http.components.schemas };
  const entries = Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([name, schema]) => {
    const details = entry('', name, schema.description ?? '', shown(schema));
    details.id = `schema-${name}`;
    return details;
  });
}

function draw() {
  document.documentElement.lang = language;
  document.getElementById('language').textContent = say('other');
  search.placeholder = say('search');
  search.setAttribute('aria-label', say('search'));
  key.placeholder = say('session');
  document.getElementById('key-label').textContent = say('key');
  document
    .getElementById('docs')
    .replaceChildren(
      ...routes(),
      make('section', make('h2', say('topics')), ...Object.values(topics.operations).map(topicOf)),
      make('section', make('h2', say('schemas')), make('p', say('served')), ...schemas()),
    );
  follow();
  find();
}

/** Shows what has every word that is searched for, and the sections of it. */
function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const section of document.querySelectorAll('#docs section')) {
    const entries = [...section.querySelectorAll(':scope > details')];
    for (const one of entries) one.hidden = !words.every((word) => textOf(one).includes(word));
    const shown = entries.filter((one) => !one.hidden).length;
    section.hidden = shown === 0;
    count += shown;
  }
  document.getElementById('found').textContent = words.length === 0 ? '' : say('found').replace('{n}', count);
}

/** What of an entry is searched: its line, and the first sentence under it. */
const textOf = (details) =>
  `${details.firstElementChild.textContent} ${details.children[1]?.textContent ?? ''}`.toLowerCase();

/** Opens the shape that the URL names. */
function follow() {
  const found = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!found) return;
  found.open = true;
  found.scrollIntoView();
}

document.getElementById('language').addEventListener('click', () => {
  language = language === 'en' ? 'zh' : 'en';
  localStorage.setItem('language', language);
  draw();
});
search.addEventListener('input', find);
addEventListener('keydown', (event) => {
  if (event.key !== '/' || /^(INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
  event.preventDefault();
  search.focus();
});
addEventListener('hashchange', follow);
draw();

// Shows openapi.json and asyncapi.json: routes and topics, who may use them, and the shapes of their data.
import { nodesOf, shape } from './docs-shape.js';

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
  },
};

const json = async (path) => (await fetch(path)).json();
const [http, topics] = await Promise.all([json('/openapi.json'), json('/asyncapi.json')]);
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

function routeOf(path, method, { summary, description, parameters = [], requestBody, responses }) {
  const inside = [make('p', description ?? say('open'))];
  if (parameters.length > 0) {
    const properties = Object.fromEntries(parameters.map(({ name, schema }) => [name, schema]));
    const required = parameters.filter((one) => one.required).map(({ name }) => name);
    inside.push(heading(say('parameters')), shown({ type: 'object', properties, required }));
  }
  for (const { schema } of Object.values(requestBody?.content ?? {})) inside.push(heading(say('body')), shown(schema));
  for (const [status, { content = {} }] of Object.entries(responses)) {
    for (const [type, { schema }] of Object.entries(content)) inside.push(heading(`${status} ${type}`), shown(schema));
  }
  return entry(method.toUpperCase(), path, summary, ...inside);
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
  document
    .getElementById('docs')
    .replaceChildren(
      ...routes(),
      make('section', make('h2', say('topics')), ...Object.values(topics.operations).map(topicOf)),
      make('section', make('h2', say('schemas')), make('p', say('served')), ...schemas()),
    );
  follow();
}

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
addEventListener('hashchange', follow);
draw();

// The operators' page: ledger, open tickets and events. Everything from the server is set as text, never as HTML.

import { TEXTS } from './texts.js';
import { createTicketView } from './ticket.js';

const $ = (id) => document.getElementById(id);
let language = localStorage.getItem('language') ?? (navigator.language.startsWith('zh') ? 'zh' : 'en');
let key = sessionStorage.getItem('key');
let tickets = [];
let ledger = null;
let lastEvent = null;
const events = [];

if (location.hash.startsWith('#key=')) {
  key = decodeURIComponent(location.hash.slice(5));
  sessionStorage.setItem('key', key);
  history.replaceState(null, '', location.pathname);
}

const say = (name) => TEXTS[language][name];
const view = createTicketView({
  say,
  element,
  language: () => language,
  request: (path, init) => fetch(path, { ...init, headers: { ...init?.headers, authorization: `Bearer ${key}` } }),
  changed: () => void refresh(),
});

function element(tag, text, className) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}

function age(ms) {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  if (minutes < 60) return `${minutes} min`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 1440)} d`;
}

function equation(name, total, parts) {
  const line = element('div', undefined, 'equation');
  const sum = Object.values(parts).reduce((a, b) => a + b, 0);
  const cellOf = (label, value) => {
    const cell = element('span');
    cell.append(element('small', label), element('b', value.toLocaleString(language)));
    return cell;
  };
  line.append(cellOf(`${name} · ${say('received')}`, total));
  Object.entries(parts).forEach(([part, value], i) => {
    line.append(element('span', i === 0 ? '=' : '+', 'sign'), cellOf(say(part), value));
  });
  const good = sum === total;
  line.append(element('span', say(good ? 'balanced' : 'unbalanced'), good ? 'balanced' : 'unbalanced'));
  return line;
}

function drawLedger() {
  if (ledger === null) return;
  const { received, ...where } = ledger.messages;
  const { received: readings, ...became } = ledger.readings;
  $('ledger').replaceChildren(equation(say('messages'), received, where), equation(say('readings'), readings, became));
}

function drawTickets() {
  const now = Date.now();
  $('count').textContent = tickets.length;
  $('none').hidden = tickets.length > 0;
  $('tickets').replaceChildren(
    ...tickets.map((ticket) => {
      const row = element('tr');
      const severity = element('td');
      severity.append(element('span', say('severity')[ticket.severity], `severity ${ticket.severity}`));
      const left = Date.parse(ticket.dueAt) - now;
      const title = element('td', undefined, 'title');
      const open = element('button', language === 'zh' ? ticket.titleZh : ticket.title, 'link');
      open.addEventListener('click', () => view.show(ticket.id));
      title.append(open);
      row.append(
        severity,
        title,
        element('td', say('statuses')[ticket.status], ticket.silencedBy.length > 0 ? 'silenced' : ''),
        element('td', ticket.district),
        element('td', ticket.department),
        element('td', age(now - Date.parse(ticket.openedAt))),
        element('td', left < 0 ? say('overdue') : age(left), left < 0 ? 'overdue' : ''),
      );
      return row;
    }),
  );
}

function drawFeed() {
  $('feed').replaceChildren(
    ...events.map(({ event }) => {
      const item = element('li');
      const { data } = event;
      item.append(
        element('time', new Date(event.time).toLocaleTimeString(language)),
        element('span', `${say('types')[event.type.replace('city.lamppost.', '')] ?? event.type} · `, data.severity),
        document.createTextNode((language === 'zh' ? data.titleZh : data.title) ?? event.subject),
      );
      return item;
    }),
  );
}

function draw() {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll('[data-text]')) node.textContent = say(node.dataset.text);
  $('language').textContent = say('other');
  $('columns').replaceChildren(...say('columns').map((name) => element('th', name)));
  drawLedger();
  drawTickets();
  drawFeed();
  view.draw();
}

async function get(path) {
  const response = await fetch(path, { headers: { authorization: `Bearer ${key}` } });
  if (response.status === 401) {
    sessionStorage.removeItem('key');
    key = null;
    show();
    $('refused').textContent = say('refused');
  }
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

async function refresh() {
  if (key === null) return;
  try {
    const open = ['open', 'acknowledged', 'assigned', 'in_progress'];
    const pages = await Promise.all(open.map((status) => get(`/api/v1/tickets?limit=200&status=${status}`)));
    tickets = pages.flatMap((page) => page.items).sort((a, b) => (a.openedAt < b.openedAt ? 1 : -1));
    ledger = await get('/api/v1/ledger');
    drawLedger();
    drawTickets();
  } catch {
    // The event stream shows that the connection is lost.
  }
}

// fetch instead of EventSource: the key goes into a header, never into a URL.
async function follow() {
  while (key !== null) {
    try {
      if (lastEvent === null) await fillFeed();
      const response = await fetch('/api/v1/events', {
        headers: { authorization: `Bearer ${key}`, accept: 'text/event-stream', 'last-event-id': String(lastEvent) },
      });
      if (!response.ok) throw new Error(String(response.status));
      $('state').textContent = say('live');
      await readStream(response.body.pipeThrough(new TextDecoderStream()).getReader());
    } catch {
      $('state').textContent = say('lost');
    }
    await new Promise((resolve) => setTimeout(resolve, 2_000));
  }
}

async function fillFeed() {
  let after = null;
  do {
    const page = await get(`/api/v1/events?limit=1000${after === null ? '' : `&after=${after}`}`);
    for (const item of page.items) take(item);
    lastEvent = page.items.at(-1)?.n ?? lastEvent;
    after = page.next;
  } while (after !== null);
  lastEvent ??= 0;
  drawFeed();
}

async function readStream(reader) {
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split('\n\n');
    rest = parts.pop();
    for (const part of parts) takePart(part);
    drawFeed();
    void refresh();
  }
}

function takePart(part) {
  const fields = Object.fromEntries(
    part.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  );
  if (fields.event === 'reset') lastEvent = null;
  else if (fields.id) lastEvent = fields.id;
  if (fields.id && fields.data && fields.event !== 'reset') take({ event: JSON.parse(fields.data) });
}

function take(item) {
  events.unshift(item);
  events.length = Math.min(events.length, 100);
}

function show() {
  $('login').hidden = key !== null;
  document.querySelector('main').hidden = key === null;
  if (key === null) $('key').focus();
}

$('language').addEventListener('click', () => {
  language = language === 'en' ? 'zh' : 'en';
  localStorage.setItem('language', language);
  draw();
});
$('login').addEventListener('submit', (event) => {
  event.preventDefault();
  key = $('key').value.trim();
  sessionStorage.setItem('key', key);
  $('refused').textContent = '';
  begin();
});

function begin() {
  show();
  draw();
  if (key === null) return;
  void refresh();
  void follow();
}

setInterval(refresh, 2_000);
begin();

// A form under each route: it sends the request from this page, and shows it as a curl command.
import { bodyTypeOf, curlOf, requestOf } from './docs-request.js';

const MOST_SHOWN = 20_000;

/** The key that somebody entered; it lasts as long as the tab, as that of the console. */
const keyOf = () => document.getElementById('key').value.trim();

function field(label, input) {
  const node = document.createElement('label');
  node.append(label, input);
  return node;
}

/** Returns the form of a route. `say` returns a text of the page. */
export function formOf(route, say) {
  const { path, method, operation } = route;
  const { parameters = [], requestBody, security } = operation;
  const isOpen = security?.length === 0;
  const form = document.createElement('form');
  const inputs = parameters.map((one) => {
    const input = document.createElement('input');
    input.name = one.name;
    input.required = one.required === true;
    input.placeholder = String(one.example ?? '');
    if (one.in === 'path') input.value = String(one.example ?? '');
    return field(`${one.name}${input.required ? ' *' : ''}`, input);
  });
  const body = document.createElement('textarea');
  body.spellcheck = false;
  body.rows = 6;
  const type = bodyTypeOf(operation);
  if (type !== undefined) {
    body.value = JSON.stringify(requestBody.content[type].example ?? {}, null, 2);
    inputs.push(field(say('body'), body));
  }
  const command = document.createElement('pre');
  const copy = button(say('copy'), () => void navigator.clipboard?.writeText(command.textContent));
  const send = button(say(method === 'get' ? 'send-it' : 'send-changes'));
  send.type = 'submit';
  const result = document.createElement('output');
  const current = () => {
    const values = Object.fromEntries(new FormData(form));
    return requestOf(route, values, type === undefined ? '' : body.value);
  };
  const draw = () => {
    command.textContent = curlOf(current(), location.origin, isOpen);
  };
  form.addEventListener('input', draw);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    send.disabled = true;
    result.replaceChildren(await responseOf(current(), say));
    send.disabled = false;
  });
  form.setAttribute('aria-label', `${method.toUpperCase()} ${path}`);
  form.append(...inputs, command, copy, send, result);
  draw();
  return form;
}

function button(text, onClick) {
  const node = document.createElement('button');
  node.type = 'button';
  node.textContent = text;
  if (onClick !== undefined) node.addEventListener('click', onClick);
  return node;
}

/** Sends a request; resolves to what came back, as an element. */
async function responseOf({ path, method, headers, body }, say) {
  const shown = document.createElement('pre');
  const key = keyOf();
  const authorization = key === '' ? {} : { authorization: `Bearer ${key}` };
  try {
    const response = await fetch(path, { method, headers: { ...headers, ...authorization }, body });
    const text = await response.text();
    shown.textContent = `${response.status} ${response.statusText}\n${prettyOf(text).slice(0, MOST_SHOWN)}`;
    shown.className = response.ok ? 'good' : 'bad';
  } catch (error) {
    shown.textContent = `${say('not-sent')}: ${error.message}`;
    shown.className = 'bad';
  }
  return shown;
}

function prettyOf(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

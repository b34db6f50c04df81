// A request of a route of openapi.json: what is sent for the values of a form, and the same as a curl command.

/** The media type of a body that a form can have; undefined: the route takes none. */
export function bodyTypeOf({ requestBody }) {
  return Object.keys(requestBody?.content ?? {}).find((type) => type === 'application/json');
}

/** Returns the request of a route; `values` has the parameters by name, and `body` its text. Empty ones are left out. */
export function requestOf({ path, method, operation }, values, body) {
  const { parameters = [] } = operation;
  const given = parameters.filter(({ name }) => (values[name] ?? '') !== '');
  const address = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name] ?? ''));
  const query = given.filter((one) => one.in === 'query').map(({ name }) => [name, values[name]]);
  const own = given.filter((one) => one.in === 'header').map(({ name }) => [name, values[name]]);
  const hasBody = bodyTypeOf(operation) !== undefined && body.trim() !== '';
  return {
    method: method.toUpperCase(),
    path: query.length === 0 ? address : `${address}?${new URLSearchParams(query)}`,
    headers: { ...Object.fromEntries(own), ...(hasBody ? { 'content-type': 'application/json' } : {}) },
    body: hasBody ? body : undefined,
  };
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Returns the command of a request. The key is that of the shell: none stands in a command that somebody copies. */
export function curlOf({ method, path, headers, body }, origin, isOpen) {
  const lines = [
    `curl ${method === 'GET' ? '' : `-X ${method} `}${quoted(origin + path)}`,
    ...(isOpen ? [] : ['-H "Authorization: Bearer $LAMPPOST_KEY"']),
    ...Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    ...(body === undefined ? [] : [`--data-binary ${quoted(body)}`]),
  ];
  return lines.join(' \\\n  ');
}

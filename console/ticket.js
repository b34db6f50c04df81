/** The statuses in which an action makes sense. The server decides whether it is allowed, and says why not. */
const FROM = {
  acknowledge: ['open'],
  take: ['open', 'acknowledged'],
  decline: ['open', 'acknowledged'],
  assign: ['open', 'acknowledged', 'assigned', 'in_progress'],
  start: ['open', 'acknowledged', 'assigned'],
  resolve: ['open', 'acknowledged', 'assigned', 'in_progress'],
  close: ['resolved'],
  reopen: ['resolved', 'closed'],
  'hand-over': ['open', 'acknowledged', 'assigned', 'in_progress'],
  comment: ['open', 'acknowledged', 'assigned', 'in_progress', 'resolved', 'closed'],
};
const NAMES_A_PARTY = ['assign', 'hand-over'];
const OF_AN_OFFER = ['take', 'decline'];

/**
 * Shows one ticket in a dialog: its facts, its history and its actions. Each action sends the version that is shown.
 */
export function createTicketView({ say, element, language, request, changed }) {
  const dialog = document.getElementById('ticket');
  let ticket = null;
  let tag = null;
  let refused = '';

  async function show(id) {
    const response = await request(`/api/v1/tickets/${encodeURIComponent(id)}`);
    if (!response.ok) return;
    display(await response.json(), response.headers.get('etag'));
    if (!dialog.open) dialog.showModal();
  }

  function display(shown, version) {
    ticket = shown;
    tag = version;
    refused = '';
    draw();
  }

  async function act(action, note, to) {
    const body = { ...(note === '' ? {} : { note }), ...(to === '' || !NAMES_A_PARTY.includes(action) ? {} : { to }) };
    const response = await request(`/api/v1/tickets/${encodeURIComponent(ticket.id)}/${action}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'if-match': tag },
      body: JSON.stringify(body),
    });
    const result = await response.json();
    if (response.ok) display(result, response.headers.get('etag'));
    else if (response.status === 412) await show(ticket.id);
    refused = response.ok ? '' : result.detail;
    draw();
    changed();
  }

  function facts() {
    const list = element('p', undefined, 'facts');
    const parts = [
      say('severity')[ticket.severity],
      say('statuses')[ticket.status],
      ticket.service,
      ticket.district,
      ticket.party === null ? ticket.department : `${ticket.department} → ${ticket.party}`,
      ticket.offer === null ? '' : `${say('offered')} ${ticket.offer.to}`,
      ticket.alertCount > 0 ? `${ticket.alertCount} ${say('alerts')}` : '',
      ticket.reports > 0 ? `${ticket.reports} ${say('reports')}` : '',
      ticket.silencedBy.length > 0 ? say('waits').silenced : '',
    ];
    list.textContent = parts.filter(Boolean).join(' · ');
    return list;
  }

  function history() {
    const list = element('ol', undefined, 'history');
    for (const { at, by, action, note } of ticket.history.toReversed()) {
      const item = element('li');
      const type = say('types')[`ticket.${action}`] ?? action;
      item.append(element('time', new Date(at).toLocaleString(language())), element('b', type));
      item.append(document.createTextNode(` ${by}${note === '' ? '' : `: ${note}`}`));
      list.append(item);
    }
    return list;
  }

  function actions() {
    const form = element('div', undefined, 'actions');
    const note = element('input');
    note.placeholder = say('note');
    note.setAttribute('aria-label', say('note'));
    const to = element('input');
    to.placeholder = say('to');
    to.setAttribute('aria-label', say('to'));
    form.append(note, to);
    for (const [action, from] of Object.entries(FROM)) {
      if (!from.includes(ticket.status) || (OF_AN_OFFER.includes(action) && ticket.offer === null)) continue;
      const button = element('button', say('actions')[action]);
      button.addEventListener('click', () => void act(action, note.value.trim(), to.value.trim()));
      form.append(button);
    }
    return form;
  }

  function draw() {
    if (ticket === null) return;
    const title = language() === 'zh' ? ticket.titleZh : ticket.title;
    const shut = element('button', say('shut'));
    shut.addEventListener('click', () => dialog.close());
    const problem = element('p', refused, 'refusal');
    problem.setAttribute('role', 'alert');
    const words = ticket.description === null ? [] : [element('p', ticket.description)];
    dialog.replaceChildren(
      element('h2', `${ticket.id} · ${title}`),
      facts(),
      ...words,
      actions(),
      problem,
      history(),
      shut,
    );
  }

  return { show, draw };
}

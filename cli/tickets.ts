import { SEVERITIES, TICKET_STATUSES, type Ticket } from '../domain/index.ts';
import { allOf, clientOf } from './client.ts';
import { SERVER } from './flags.ts';
import { print, table } from './output.ts';
import { command, type Given, type Group, list, someOf } from './spec.ts';

const LIST = {
  ...SERVER,
  status: someOf(TICKET_STATUSES, 'only of these states'),
  severity: someOf(SEVERITIES, 'only of these severities'),
  department: list('D', 'only of these departments'),
  district: list('D', 'only of these districts'),
  service: list('S', 'only of these services'),
  rule: list('ID', 'only of these rules'),
};

/** `ticket …`: reads the tickets of a running server. */
export const TICKET: Group = {
  about: 'Tickets of a running server.',
  commands: {
    list: command({
      about: 'lists tickets, newest first; several values of a flag with commas',
      flags: LIST,
      run: listTickets,
    }),
    show: command({ about: 'shows a ticket and its history', args: '<id>', flags: SERVER, run: showTicket }),
  },
};

async function listTickets({ flags }: Given<typeof LIST>, environment: NodeJS.ProcessEnv): Promise<number> {
  const { url: _, key: __, json, ...filters } = flags;
  const query = new URLSearchParams();
  for (const [name, values] of Object.entries(filters)) if (values !== undefined) query.set(name, values.join(','));
  const tickets = await allOf<Ticket>(clientOf(flags, environment), `/api/v1/tickets?${query}`);
  const row = ({ id, status, severity, department, district, openedAt, title }: Ticket) => [
    ...[id, status, severity, department, district, minute(openedAt), title],
  ];
  const head = ['id', 'status', 'severity', 'department', 'district', 'opened', 'title'];
  print(json, tickets, (all) => table([head, ...all.map(row)]));
  return 0;
}

async function showTicket({ args, flags }: Given<typeof SERVER>, environment: NodeJS.ProcessEnv): Promise<number> {
  const path = `/api/v1/tickets/${encodeURIComponent(args[0]!)}`;
  print(flags.json, await clientOf(flags, environment).json<Ticket>('GET', path), linesOf);
  return 0;
}

function linesOf({ history, ...ticket }: Ticket): string[] {
  const facts = (['id', 'title', 'status', 'severity', 'service', 'department', 'district', 'openedAt'] as const).map(
    (name) => [name, String(ticket[name])],
  );
  const changes = history.map(({ at, to, by, note }) => `${minute(at)}  ${to}  by ${by}${note ? `: ${note}` : ''}`);
  return [...table(facts), '', ...changes];
}

const minute = (iso: string) => iso.slice(0, 16).replace('T', ' ');

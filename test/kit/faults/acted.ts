import { execFile } from 'node:child_process';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import type { AuditEntry } from '../../../actions/index.ts';
import type { CloudEvent, Ticket } from '../../../domain/index.ts';
import { MOVES } from '../../../tickets/index.ts';
import { BIN, type ServerProcess } from '../server.ts';
import type { Acting, Asked } from './acting.ts';

/** Returns what is wrong with the histories, events and audit trail after clients have acted; the server runs. */
export async function faultsAfter(server: ServerProcess, { asked, tickets }: Acting): Promise<string[]> {
  const faults: string[] = [];
  const byTicket = Map.groupBy(asked, ({ ticket }) => ticket);
  for (const id of tickets) {
    const ticket = await server.get<Ticket>(`/api/v1/tickets/${id}`);
    for (const one of byTicket.get(id) ?? []) faults.push(...faultsOf(one, ticket.history));
    faults.push(...faultsIn(ticket), ...(await faultsOfEvents(server, ticket)));
  }
  faults.push(...(await faultsOfTrail(server, asked)));
  return faults;
}

/** What was answered is in the history once, at its version; what was refused is not. */
function faultsOf({ mark, by, action, ifMatch, status, version }: Asked, history: Ticket['history']): string[] {
  const at = history.flatMap(({ note }, i) => (note.includes(mark) ? [i + 1] : []));
  const name = `${mark} ${action}, answered ${status}`;
  const wanted = version === null ? [] : [version];
  if (status === null ? at.length > 1 : at.join() !== wanted.join())
    return [`${name}: it is at ${at.join() || 'no version'} rather than ${wanted.join() || 'none'}`];
  const [found] = at;
  if (found === undefined) return [];
  const entry = history[found - 1]!;
  const isIts = entry.by === by && entry.action === MOVES[action].done;
  if (!isIts) return [`${name}: its entry says ${entry.by} ${entry.action}`];
  return ifMatch !== null && found !== ifMatch + 1 ? [`${name}: it acted on ${ifMatch}, and is at ${found}`] : [];
}

/** Versions without a gap, each status from the one before, each transition allowed, times in order. */
function faultsIn({ id, version, status, history }: Ticket): string[] {
  const moves = Object.values(MOVES);
  const isWhole =
    history.length === version &&
    history.at(-1)!.to === status &&
    history.every(({ from }, i) => from === (history[i - 1]?.to ?? null)) &&
    history.slice(1).every(({ at }, i) => at >= history[i]!.at) &&
    history
      .slice(1)
      .every(({ from, action }) => moves.find((one) => one.done === action)?.from.some((one) => one === from));
  return isWhole ? [] : [`${id}: its history is not consistent: ${JSON.stringify(history)}`];
}

/** Every version was published once, as an event of its own. */
async function faultsOfEvents(server: ServerProcess, { id, history }: Ticket): Promise<string[]> {
  const events = await server.all<{ event: CloudEvent }>(`/api/v1/events?ticket=${id}`);
  const found = events.map(({ event }) => `${event.id} ${event.type.split('.').at(-1)}`);
  const wanted = history.map(({ action }, i) => `${id}.${i + 1} ${action}`);
  return found.join() === wanted.join() ? [] : [`${id}: its events are ${found}, not ${wanted}`];
}

/** Every answered action is in the trail, with its result. */
async function faultsOfTrail(server: ServerProcess, asked: readonly Asked[]): Promise<string[]> {
  const done = new Map<string, number>();
  for (const { actor, action, target } of await server.all<AuditEntry>('/api/v1/audit?result=done')) {
    const name = `${actor} ${action} ${target}`;
    done.set(name, (done.get(name) ?? 0) + 1);
  }
  const nameOf = ({ by, action, ticket }: Asked) => `${by.slice('key:'.length)} ticket.${action} ticket ${ticket}`;
  return [...Map.groupBy(asked, nameOf)].flatMap(([name, some]) => {
    const answered = some.filter(({ status }) => status === 200).length;
    const unknown = some.filter(({ status }) => status === null).length;
    const found = done.get(name) ?? 0;
    if (found >= answered && found <= answered + unknown) return [];
    return [`${name}: ${found} times in the trail; ${answered} were answered, of ${unknown} nobody knows`];
  });
}

/**
 * Returns what is wrong with the tickets of a state that was restored to a moment: between two times of the clients.
 */
export function faultsAtMoment(
  state: string,
  asked: readonly Asked[],
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): string[] {
  const db = new DatabaseSync(state, { readOnly: true });
  const notes = db.prepare('select note from ticket_changes').all();
  db.close();
  const marks = new Set(notes.flatMap(({ note }) => String(note).match(/<[^>]+>/) ?? []));
  return asked.flatMap(({ mark, status, sentMs, knownMs }) => {
    if (status === 200 && knownMs < fromMs && !marks.has(mark)) return [`${mark} was answered before, and is missing`];
    return sentMs > toMs && marks.has(mark) ? [`${mark} was sent later, and is there`] : [];
  });
}

/** Runs a command over the files; returns what it prints, as a fault where it does not end with 0. */
export async function faultsOfCommand(args: readonly string[]): Promise<string[]> {
  try {
    await promisify(execFile)(process.execPath, [BIN, ...args], { maxBuffer: 2 ** 26 });
    return [];
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    return [`lamppost ${args.join(' ')}: ${stdout ?? ''}${stderr ?? ''}`];
  }
}

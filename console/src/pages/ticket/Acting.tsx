import { Alert, Button, Textarea } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { ProblemError } from '../../api/client.ts';
import { useTicket } from '../../api/queries.ts';
import type { ShownTicket } from '../../api/schema.ts';
import { useKeys } from '../../frame/keys.ts';
import { useWords } from '../../language.ts';
import { Choice } from '../../parts/Choice.tsx';
import { toast } from '../../parts/toasts.tsx';
import { refusalOf } from '../../session.ts';
import { SEVERITIES } from '../tickets/filter.ts';
import { ACTIONS, type Action, NAMES_A_PARTY, undoOf, useAct, useCanAct } from './actions.ts';
import { Changes } from './History.tsx';
import { Whom } from './Whom.tsx';

interface Props {
  readonly ticket: ShownTicket;
  readonly etag: string;
}

/** What somebody wanted, where another was faster: the version that they had seen. */
interface Conflict {
  readonly action: Action;
  readonly seen: number;
}

/** What can be done. Whatever is refused, what was typed stays. */
export function Acting({ ticket, etag }: Props) {
  const { t, term } = useWords();
  const [note, setNote] = useState('');
  const [to, setTo] = useState<string | null>(null);
  const [assignee, setAssignee] = useState('');
  const [severity, setSeverity] = useState<string>();
  const [open, setOpen] = useState(false);
  const [refused, setRefused] = useState('');
  const [conflict, setConflict] = useState<Conflict | null>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const fresh = useTicket(ticket.id);
  const act = useAct();
  const canAct = useCanAct();
  const buttons = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // The button that was pressed may be gone: the keyboard stays among the others.
    if (act.isIdle || act.isPending || document.activeElement !== document.body) return;
    buttons.current?.querySelector('button')?.focus({ preventScroll: true });
  }, [act.isIdle, act.isPending]);

  async function run(action: Action) {
    setRefused('');
    setConflict(null);
    const why = missing(action, note, to, severity);
    if (why !== null) {
      setRefused(t(why));
      return;
    }
    const whom = NAMES_A_PARTY.includes(action) ? { to: to ?? '' } : {};
    const person = action === 'assign' ? { assignee: assignee.trim() } : {};
    const rank = action === 'set-severity' ? { severity: severity! } : {};
    const readers = action === 'comment' && open ? { public: true } : {};
    try {
      const said = { note: note.trim(), ...whom, ...person, ...rank, ...readers };
      const { data: after, etag: now } = await act.mutateAsync({ id: ticket.id, action, etag, ...said });
      setNote('');
      setOpen(false);
      setTo(null);
      setAssignee('');
      setSeverity(undefined);
      const back = undoOf(action, ticket, after);
      const undo = () =>
        void act.mutateAsync({ id: ticket.id, etag: now, note: t('undone'), ...back! }).then(
          () => toast(t('undone')),
          (error: unknown) => toast(refusalOf(error), true),
        );
      const isPossible = back !== null && canAct(back.action, after);
      toast(t('acted', { action: term('action', action), id: ticket.id }), false, isPossible ? undo : null);
    } catch (error) {
      const isConflict = error instanceof ProblemError && error.status === 412;
      if (!isConflict) return setRefused(refusalOf(error));
      await fresh.refetch();
      setConflict({ action, seen: ticket.version });
    }
  }

  const press = (action: Action) => () => canAct(action, ticket) && void run(action);
  useKeys({
    a: press('acknowledge'),
    s: press('start'),
    r: press('resolve'),
    c: (event) => {
      event.preventDefault();
      field.current?.focus();
    },
  });
  return (
    <section className="panel stack" aria-label={t('actions')}>
      <Textarea
        ref={field}
        label={t('note')}
        autosize
        minRows={2}
        maxRows={10}
        maxLength={4_000}
        value={note}
        onChange={(event) => setNote(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void run('comment');
        }}
      />
      {canAct('comment', ticket) && (
        <label>
          <input type="checkbox" checked={open} onChange={(event) => setOpen(event.currentTarget.checked)} />{' '}
          {t('note.public')}
        </label>
      )}
      {NAMES_A_PARTY.some((action) => canAct(action, ticket)) && (
        <Whom to={to} setTo={setTo} assignee={assignee} setAssignee={setAssignee} />
      )}
      {canAct('set-severity', ticket) && (
        <Choice
          label={t('column.severity')}
          data={SEVERITIES.map((value) => ({ value, label: term('severity', value) }))}
          value={severity}
          onChange={setSeverity}
        />
      )}
      {ticket.warnings.length > 0 && (
        <Alert color="yellow" title={t('warned')} id="warnings">
          {t('warned.alerts-fire')}
        </Alert>
      )}
      {refused !== '' && (
        <p role="alert" className="late" id="refusal">
          {refused}
        </p>
      )}
      {conflict !== null && (
        <Alert color="orange" role="alert" title={t('conflict')} id="conflict">
          <div className="stack">
            <Changes of={ticket.history.slice(conflict.seen)} />
            <p>{t('conflict.kept')}</p>
            {canAct(conflict.action, ticket) && (
              <Button variant="default" onClick={() => void run(conflict.action)}>
                {t('conflict.again', { action: term('action', conflict.action) })}
              </Button>
            )}
          </div>
        </Alert>
      )}
      <div ref={buttons} className="bar">
        {ACTIONS.filter((action) => canAct(action, ticket)).map((action, i) => (
          <Button
            key={action}
            variant={i === 0 ? 'filled' : 'default'}
            disabled={act.isPending}
            onClick={() => void run(action)}
          >
            {term('action', action)}
          </Button>
        ))}
      </div>
      <p className="dim wide">{t('acting.keys')}</p>
    </section>
  );
}

/** Returns what an action lacks. */
function missing(action: Action, note: string, to: string | null, severity: string | undefined) {
  if (action === 'set-severity' && severity === undefined) return 'missing.severity';
  if (action === 'comment' && note.trim() === '') return 'missing.note';
  return NAMES_A_PARTY.includes(action) && to === null ? 'missing.party' : null;
}

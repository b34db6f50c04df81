import { Button, Select, Textarea } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { ticketOf, useCity, useNames } from '../../api/queries.ts';
import type { ShownTicket } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { FormDialog } from '../../parts/Form.tsx';
import { Status, TicketLink } from '../../parts/words.tsx';
import { useCanAct } from './actions.ts';

interface Props {
  readonly ticket: ShownTicket;
  readonly etag: string;
}

/** The parts of a ticket for other departments, and the reports of the same; a part is made here. */
export function Parts({ ticket, etag }: Props) {
  const { t, language } = useWords();
  const name = useNames();
  const canAct = useCanAct();
  const [splitting, setSplitting] = useState(false);
  const { data } = useQuery({
    queryKey: ['tickets', 'parent', ticket.id],
    queryFn: () => bodyOf(api.GET('/api/v1/tickets', { params: { query: { parent: ticket.id, limit: 100 } } })),
  });
  const children = (data?.items ?? []) as ShownTicket[];
  const maySplit = canAct('split', ticket);
  if (children.length === 0 && !maySplit) return null;
  return (
    <section className="panel stack" aria-labelledby="parts">
      <header className="bar">
        <h2 id="parts">{t('parts')}</h2>
        <span className="push" />
        {maySplit && (
          <Button variant="default" size="compact-xs" onClick={() => setSplitting(true)}>
            {t('parts.new')}
          </Button>
        )}
      </header>
      {children.length === 0 && <p className="dim">{t('parts.none')}</p>}
      {children.map((child) => (
        <div key={child.id} className="bar">
          <TicketLink id={child.id}>{language === 'zh' ? child.titleZh : child.title}</TicketLink>
          <span className="dim">
            {child.relation === 'part' ? name('departments', child.department) : t('parts.report')}
          </span>
          <span className="push" />
          <Status of={child.status} />
        </div>
      ))}
      {splitting && <Split ticket={ticket} etag={etag} close={() => setSplitting(false)} />}
    </section>
  );
}

function Split({ ticket, etag, close }: Props & { readonly close: () => void }) {
  const { t, language } = useWords();
  const client = useQueryClient();
  const city = useCity();
  const [department, setDepartment] = useState('');
  const [note, setNote] = useState('');
  async function run() {
    const params = { path: { id: ticket.id }, header: { 'If-Match': etag } };
    await ticketOf(api.POST('/api/v1/tickets/{id}/parts', { params, body: { department, note } }));
    for (const key of ['tickets', 'ticket', 'counts']) void client.invalidateQueries({ queryKey: [key] });
    close();
  }
  const others =
    city.data?.departments.filter(({ id, kind }) => kind === 'department' && id !== ticket.department) ?? [];
  return (
    <FormDialog title={t('parts.new')} submit={t('parts.new')} close={close} run={run}>
      <p className="dim">{t('parts.about')}</p>
      <Select
        label={t('column.department')}
        required
        searchable
        data={others.map(({ id, title }) => ({ value: id, label: title[language] }))}
        value={department || null}
        onChange={(chosen) => setDepartment(chosen ?? '')}
      />
      <Textarea
        label={t('parts.what')}
        required
        autosize
        minRows={2}
        maxLength={4_000}
        value={note}
        onChange={(event) => setNote(event.currentTarget.value)}
      />
    </FormDialog>
  );
}

import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useCity } from '../../api/queries.ts';
import type { DeviceCommand, ShownTicket } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Sure, useAct } from '../../parts/acting.tsx';
import { useMayIn } from '../../session.ts';

interface Props {
  readonly ticket: ShownTicket;
  readonly etag: string;
}

/** Sends the command that the service of a ticket names to the device of its alert, after somebody confirmed it. */
export function RunCommand({ ticket: { id, service, group, department }, etag }: Props) {
  const { t } = useWords();
  const city = useCity();
  const mayIn = useMayIn();
  const act = useAct('ticket', 'tickets', 'commands');
  const [sent, setSent] = useState<DeviceCommand | null>(null);
  const command = city.data?.services.find((one) => one.id === service)?.command ?? null;
  const isOne = group !== null && group !== 'city' && !group.startsWith('~');
  const isDevice = isOne && city.data?.districts.every(({ id: district }) => district !== group);
  if (command === null || !isDevice || !mayIn('commands.write', department)) return null;
  const run = async () => {
    const params = { path: { id }, header: { 'If-Match': etag } };
    setSent(await bodyOf(api.POST('/api/v1/tickets/{id}/run-command', { params, body: {} })));
  };
  const values = { command, device: group };
  return (
    <section className="panel stack" aria-label={t('command')}>
      <div className="bar">
        <Sure
          label={t('ticket.command', values)}
          question={t('ticket.command-sure', values)}
          run={() => act.mutate(run)}
        />
      </div>
      {sent !== null && (
        <p role="status" id="command-sent">
          {t(`command.${sent.state}`)}{' '}
          <Link to="/devices/$id" params={{ id: sent.device }}>
            {sent.device}
          </Link>
        </p>
      )}
    </section>
  );
}

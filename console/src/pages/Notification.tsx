import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useParams } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import type { DeliveryInFull } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { Small, Sure, useAct } from '../parts/acting.tsx';
import { Failure } from '../parts/words.tsx';
import { useMay } from '../session.ts';
import { type Mail, whenOf } from './Notifications.tsx';
import { Attempts, Deliveries } from './receivers/deliveries.tsx';
import { Filtered } from './receivers/FilterFields.tsx';
import { MailForm } from './receivers/MailForm.tsx';
import { Log, Switches } from './Webhook.tsx';
import { Working } from './Webhooks.tsx';

/** One subscription by mail: its settings, what can be done with it, and what was mailed. */
export function Notification() {
  const words = useWords();
  const { t, term } = words;
  const { id } = useParams({ strict: false }) as { id: string };
  const may = useMay('subscriptions.write');
  const { data, error, refetch } = useQuery({
    queryKey: ['subscriptions', id],
    refetchInterval: 10_000,
    queryFn: () => bodyOf(api.GET('/api/v1/subscriptions/{id}', { params: { path: { id } } })),
  });
  // A request that failed later takes away neither a form nor a secret that is shown once.
  if (error !== null && data === undefined) return <Failure error={error} again={() => void refetch()} />;
  if (data?.channel !== 'email') return null;
  return (
    <>
      <h1>{data.to}</h1>
      {may && <Acts key={id} mail={data} />}
      <section className="panel">
        <dl className="facts">
          <dt>{t('column.state')}</dt>
          <dd>
            <Working of={data} />
          </dd>
          <dt>{t('filter')}</dt>
          <dd>
            <Filtered filter={data.filter} />
          </dd>
          <dt>{t('mail.when')}</dt>
          <dd>{whenOf(data, words)}</dd>
          <dt>{t('mail.critical')}</dt>
          <dd>{term('critical', data.critical)}</dd>
          <dt>{t('language')}</dt>
          <dd>{term('mail-language', data.language)}</dd>
          <dt>{t('receiver.waiting')}</dt>
          <dd>{data.waiting + data.held}</dd>
        </dl>
      </section>
      {data.log.length > 0 && <Log log={data.log} />}
      <Deliveries kind="subscriptions" id={id} may={may} />
    </>
  );
}

function Acts({ mail }: { readonly mail: Mail }) {
  const { t } = useWords();
  const navigate = useNavigate();
  const act = useAct('subscriptions', 'deliveries');
  const [changing, setChanging] = useState(false);
  const [tested, setTested] = useState<DeliveryInFull | null>(null);
  const params = { path: { id: mail.id } };
  const test = async () => setTested(await bodyOf(api.POST('/api/v1/subscriptions/{id}/test', { params })));
  const remove = async () => {
    await bodyOf(api.DELETE('/api/v1/subscriptions/{id}', { params }));
    await navigate({ to: '/notifications' });
  };
  return (
    <>
      <div className="bar">
        <Button variant="default" onClick={() => act.mutate(test)} loading={act.isPending}>
          {t('receiver.test')}
        </Button>
        <Small label={t('mail.change')} onClick={() => setChanging(true)} />
        <Switches kind="subscriptions" id={mail.id} enabled={mail.enabled} />
        <Sure label={t('receiver.remove')} question={t('receiver.remove-sure')} run={() => act.mutate(remove)} />
      </div>
      {tested !== null && (
        <section className="panel" id="pinged" aria-label={t('receiver.test')}>
          <Attempts delivery={tested} />
        </section>
      )}
      {changing && <MailForm subscription={mail} close={() => setChanging(false)} />}
    </>
  );
}

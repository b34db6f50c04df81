import { Button, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useParams } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import type { DeliveryInFull, WebhookInFull } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { Small, Sure, useAct } from '../parts/acting.tsx';
import { FormDialog } from '../parts/Form.tsx';
import { Once } from '../parts/Once.tsx';
import { toast } from '../parts/toasts.tsx';
import { Failure } from '../parts/words.tsx';
import { useMay } from '../session.ts';
import { Attempts, Deliveries } from './receivers/deliveries.tsx';
import { Filtered } from './receivers/FilterFields.tsx';
import { WebhookForm } from './receivers/WebhookForm.tsx';
import { Working } from './Webhooks.tsx';

/** One webhook: its settings, what can be done with it, and what it was sent. */
export function Webhook() {
  const { t, time } = useWords();
  const { id } = useParams({ strict: false }) as { id: string };
  const may = useMay('webhooks.write');
  const { data, error, refetch } = useQuery({
    queryKey: ['webhooks', id],
    refetchInterval: 10_000,
    queryFn: () => bodyOf(api.GET('/api/v1/webhooks/{id}', { params: { path: { id } } })),
  });
  // A request that failed later takes away neither a form nor a secret that is shown once.
  if (error !== null && data === undefined) return <Failure error={error} again={() => void refetch()} />;
  if (data === undefined) return null;
  const facts = [
    [t('column.state'), <Working key="works" of={data} />],
    [t('webhook.format'), data.format],
    [t('filter'), <Filtered key="filter" filter={data.filter} />],
    [t('receiver.party'), data.party ?? '–'],
    [t('receiver.waiting'), data.waiting],
    [t('device.since'), time(data.createdAt)],
  ] as const;
  return (
    <>
      <h1>{data.url}</h1>
      {data.description !== '' && <p className="dim">{data.description}</p>}
      {may && <Acts key={id} webhook={data} />}
      <section className="panel">
        <dl className="facts">
          {facts.map(([name, value]) => (
            <div key={name} style={{ display: 'contents' }}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </section>
      {data.log.length > 0 && <Log log={data.log} />}
      <Deliveries kind="webhooks" id={id} may={may} />
    </>
  );
}

/** What happened to a receiver. */
export function Log({ log }: Pick<WebhookInFull, 'log'>) {
  const { t, time } = useWords();
  return (
    <section className="panel" aria-label={t('history')}>
      <ol className="timeline">
        {log.map(({ at, note }) => (
          <li key={`${at} ${note}`}>
            <span className="dim">{time(at)}</span> {note}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Acts({ webhook }: { readonly webhook: WebhookInFull }) {
  const { t } = useWords();
  const { id, enabled } = webhook;
  const [open, setOpen] = useState<'change' | 'again' | null>(null);
  const navigate = useNavigate();
  const act = useAct('webhooks', 'deliveries');
  const [pinged, setPinged] = useState<DeliveryInFull | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const params = { path: { id } };
  const test = async () => setPinged(await bodyOf(api.POST('/api/v1/webhooks/{id}/ping', { params })));
  const rotate = async () => setSecret((await bodyOf(api.POST('/api/v1/webhooks/{id}/rotate', { params }))).secret);
  const remove = async () => {
    await bodyOf(api.DELETE('/api/v1/webhooks/{id}', { params }));
    await navigate({ to: '/webhooks' });
  };
  return (
    <>
      <div className="bar">
        <Button variant="default" onClick={() => act.mutate(test)} loading={act.isPending}>
          {t('receiver.test')}
        </Button>
        <Small label={t('device.change')} onClick={() => setOpen('change')} />
        <Switches kind="webhooks" id={id} enabled={enabled} />
        <Small label={t('webhook.again')} onClick={() => setOpen('again')} />
        <Sure label={t('device.rotate')} question={t('webhook.rotate-sure')} run={() => act.mutate(rotate)} />
        <Sure label={t('receiver.remove')} question={t('receiver.remove-sure')} run={() => act.mutate(remove)} />
      </div>
      {pinged !== null && (
        <section className="panel" id="pinged" aria-label={t('receiver.test')}>
          <Attempts delivery={pinged} />
        </section>
      )}
      {open === 'change' && <WebhookForm of={webhook} close={() => setOpen(null)} made={setSecret} />}
      {open === 'again' && <Again id={id} close={() => setOpen(null)} />}
      {secret !== null && (
        <Once
          title={t('webhook.secret')}
          value={secret}
          about={t('webhook.secret-about')}
          close={() => setSecret(null)}
        />
      )}
    </>
  );
}

/** Sends the events of a time again, such as after the receiver lost them. */
function Again({ id, close }: { readonly id: string; readonly close: () => void }) {
  const { t, number } = useWords();
  const client = useQueryClient();
  const [from, setFrom] = useState('');
  const [to, setTo] = useState('');
  const isoOf = (local: string) => (local === '' ? new Date() : new Date(local)).toISOString();
  async function run() {
    const params = { path: { id } };
    const body = { from: isoOf(from), to: isoOf(to) };
    const { deliveries } = await bodyOf(api.POST('/api/v1/webhooks/{id}/redeliver', { params, body }));
    await client.invalidateQueries({ queryKey: ['deliveries'] });
    toast(t('webhook.again.done', { n: number(deliveries) }));
    close();
  }
  return (
    <FormDialog title={t('webhook.again')} submit={t('delivery.again')} close={close} run={run}>
      <p className="dim">{t('webhook.again.about')}</p>
      <TextInput
        type="datetime-local"
        required
        label={t('silence.from')}
        value={from}
        onChange={(event) => setFrom(event.currentTarget.value)}
      />
      <TextInput
        type="datetime-local"
        label={t('webhook.again.until')}
        value={to}
        onChange={(event) => setTo(event.currentTarget.value)}
      />
    </FormDialog>
  );
}

interface SwitchesProps {
  readonly kind: 'webhooks' | 'subscriptions';
  readonly id: string;
  readonly enabled: boolean;
}

/** Disables a receiver, or enables it with or without what it missed. */
export function Switches({ kind, id, enabled }: SwitchesProps) {
  const { t } = useWords();
  const act = useAct(kind, 'deliveries');
  const params = { path: { id } };
  const enable = (missed: 'deliver' | 'skip') => () =>
    bodyOf(api.POST(`/api/v1/${kind}/{id}/enable`, { params, body: { missed } }));
  if (enabled) {
    return (
      <Small
        label={t('receiver.disable')}
        onClick={() => act.mutate(() => bodyOf(api.POST(`/api/v1/${kind}/{id}/disable`, { params })))}
      />
    );
  }
  return (
    <>
      <Small label={t('receiver.enable')} onClick={() => act.mutate(enable('deliver'))} />
      <Small label={t('receiver.enable-new')} onClick={() => act.mutate(enable('skip'))} />
    </>
  );
}

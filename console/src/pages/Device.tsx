import { Button, Modal } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import { useLedger, useNames } from '../api/queries.ts';
import type { DeviceWithConnection, ShownTicket } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { Small, Sure, useAct } from '../parts/acting.tsx';
import { toast } from '../parts/toasts.tsx';
import { Age, Failure, Severity, Status, TicketLink } from '../parts/words.tsx';
import { refusalOf, useMay } from '../session.ts';
import { Calibrations } from './device/Calibrations.tsx';
import { Change } from './device/Change.tsx';
import { Charts } from './device/Charts.tsx';
import { ClaimCode } from './device/ClaimCode.tsx';
import { Commands } from './device/Commands.tsx';
import { Explained } from './device/Explained.tsx';
import { Secret } from './devices/Secret.tsx';
import { Ledger } from './now/Ledger.tsx';

/** One device: what it measures, what was refused, why its alerts fire, and its tickets. */
export function Device() {
  const { id } = useParams({ from: '/devices/$id' });
  const { t } = useWords();
  const ledger = useLedger(id);
  const mayReadings = useMay('readings.read');
  const mayAlerts = useMay('alerts.read');
  const { data, error, refetch } = useQuery({
    queryKey: ['device', id],
    queryFn: () => bodyOf(api.GET('/api/v1/devices/{id}', { params: { path: { id } } })),
  });
  if (error !== null && data === undefined) return <Failure error={error} again={() => void refetch()} />;
  if (data === undefined) return <p className="dim">{t('loading')}</p>;
  return (
    <>
      <div className="bar">
        <h1>{data.name ?? data.id}</h1>
        {data.suspended && <span className="pill late">{t('device.suspended')}</span>}
        <span className="push" />
        <Actions key={data.id} device={data} />
      </div>
      <div className="columns">
        <div className="stack">
          {mayReadings && <Charts device={data} />}
          {mayAlerts && <Explained device={id} />}
        </div>
        <div className="stack">
          <Facts device={data} />
          <Calibrations key={`calibrations ${data.id}`} device={data} />
          {ledger.data !== undefined && <Ledger ledger={ledger.data} />}
          <Commands key={data.id} device={data} />
          <Tickets device={id} />
        </div>
      </div>
    </>
  );
}

function Facts({ device }: { readonly device: DeviceWithConnection }) {
  const { t, time, term, duration } = useWords();
  const name = useNames();
  const { location, connection, clock, oldSecretUntil, replacedAt, devEui, gateway, asset, tags = {} } = device;
  const refusals = connection?.refusals ?? [];
  return (
    <section className="panel" aria-label={t('facts')}>
      <dl className="facts">
        <dt>{t('device.id')}</dt>
        <dd>{device.id}</dd>
        {devEui !== undefined && (
          <>
            <dt>{t('device.dev-eui')}</dt>
            <dd>{devEui}</dd>
          </>
        )}
        <dt>{t('column.profile')}</dt>
        <dd>{name('profiles', device.profile)}</dd>
        <dt>{t('column.district')}</dt>
        <dd>{name('districts', device.district)}</dd>
        {location !== undefined && (
          <>
            <dt>{t('place')}</dt>
            <dd>{`${location.lat}, ${location.lon}`}</dd>
          </>
        )}
        {gateway !== undefined && (
          <>
            <dt>{t('device.gateway')}</dt>
            <dd>
              <Link to="/devices/$id" params={{ id: gateway }}>
                {gateway}
              </Link>
            </dd>
          </>
        )}
        {asset !== undefined && (
          <>
            <dt>{t('asset')}</dt>
            <dd>{asset}</dd>
          </>
        )}
        {Object.entries(tags).map(([tag, value]) => (
          <div key={tag} style={{ display: 'contents' }}>
            <dt>{tag}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        <dt>{t('device.since')}</dt>
        <dd>{time(device.registeredAt)}</dd>
        {replacedAt !== null && (
          <>
            <dt>{t('device.replaced')}</dt>
            <dd>{time(replacedAt)}</dd>
          </>
        )}
        <dt>{t('device.connection')}</dt>
        <dd>{t(connection !== null && connection.connections > 0 ? 'device.online' : 'device.offline')}</dd>
        {clock !== null && (
          <>
            <dt>{t('device.clock')}</dt>
            <dd>
              {t(clock.offsetSeconds < 0 ? 'device.clock.behind' : 'device.clock.ahead', {
                by: duration(Math.abs(clock.offsetSeconds) * 1_000),
                since: time(clock.since),
              })}
            </dd>
          </>
        )}
        {oldSecretUntil !== null && (
          <>
            <dt>{t('device.old-secret')}</dt>
            <dd>{t('device.old-secret.until', { at: time(oldSecretUntil) })}</dd>
          </>
        )}
        {refusals.map((refusal) => (
          <div key={refusal.reason} style={{ display: 'contents' }}>
            <dt>{t('device.refused')}</dt>
            <dd>{`${term('mqtt', refusal.reason)} × ${refusal.count}: ${refusal.detail}`}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Actions({ device }: { readonly device: DeviceWithConnection }) {
  const { t } = useWords();
  const client = useQueryClient();
  const mayWrite = useMay('devices.write');
  const maySilence = useMay('silences.write');
  const [secret, setSecret] = useState<string | null>(null);
  const [changing, setChanging] = useState<'change' | 'replace' | null>(null);
  const navigate = useNavigate();
  const act = useAct('device', 'devices', 'placed');
  const path = { id: device.id };
  const confirm = () => bodyOf(api.POST('/api/v1/devices/{id}/confirm', { params: { path } }));
  const remove = async () => {
    await bodyOf(api.DELETE('/api/v1/devices/{id}', { params: { path } }));
    await navigate({ to: '/devices' });
  };
  const state = useMutation({
    mutationFn: () =>
      bodyOf(
        device.suspended
          ? api.POST('/api/v1/devices/{id}/resume', { params: { path } })
          : api.POST('/api/v1/devices/{id}/suspend', { params: { path } }),
      ),
    onSuccess: () => toast(t('done')),
    onError: (error) => toast(refusalOf(error), true),
    onSettled: () => client.invalidateQueries({ queryKey: ['device', device.id] }),
  });
  const claim = useMutation({
    gcTime: 0,
    mutationFn: () => bodyOf(api.POST('/api/v1/devices/{id}/claim-code', { params: { path }, body: {} })),
    onError: (error) => toast(refusalOf(error), true),
  });
  const rotate = useMutation({
    // The old secret stays valid until the device has the new one.
    mutationFn: async () => {
      const made = await bodyOf(api.POST('/api/v1/devices/{id}/rotate', { params: { path }, body: { overlap: true } }));
      // Nothing keeps it once it is no longer shown.
      setSecret(made.secret);
    },
    onSettled: () => client.invalidateQueries({ queryKey: ['device', device.id] }),
    onError: (error) => toast(refusalOf(error), true),
  });
  return (
    <>
      {maySilence && (
        <Link className="pill" to="/silences" search={{ device: device.id }}>
          {t('silence.make')}
        </Link>
      )}
      {mayWrite && (
        <>
          <Button variant="default" onClick={() => setChanging('change')}>
            {t('device.change')}
          </Button>
          <Button variant="default" onClick={() => setChanging('replace')}>
            {t('device.replace')}
          </Button>
          <Button variant="default" loading={claim.isPending} onClick={() => claim.mutate()}>
            {t('claim')}
          </Button>
          <Button variant="default" loading={rotate.isPending} onClick={() => rotate.mutate()}>
            {t('device.rotate')}
          </Button>
          <Button variant="default" loading={state.isPending} onClick={() => state.mutate()}>
            {t(device.suspended ? 'device.resume' : 'device.suspend')}
          </Button>
          {device.oldSecretUntil !== null && (
            <Small label={t('key.confirm')} busy={act.isPending} onClick={() => act.mutate(confirm)} />
          )}
          <Sure
            label={t('device.delete')}
            question={t('device.delete-sure', { id: device.id })}
            run={() => act.mutate(remove)}
          />
        </>
      )}
      {changing !== null && <Change device={device} how={changing} close={() => setChanging(null)} />}
      {claim.data !== undefined && <ClaimCode code={claim.data} close={() => claim.reset()} />}
      {secret !== null && (
        <Modal
          opened
          onClose={() => setSecret(null)}
          closeOnClickOutside={false}
          title={t('device.rotated')}
          closeButtonProps={{ 'aria-label': t('close') }}
        >
          <p>{t('device.overlap')}</p>
          <Secret device={device.id} secret={secret} />
        </Modal>
      )}
    </>
  );
}

function Tickets({ device }: { readonly device: string }) {
  const { t, language } = useWords();
  const may = useMay('tickets.read');
  const { data } = useQuery({
    queryKey: ['tickets', 'device', device],
    enabled: may,
    queryFn: () => bodyOf(api.GET('/api/v1/tickets', { params: { query: { group: device, limit: 10 } } })),
  });
  const tickets = (data?.items ?? []) as ShownTicket[];
  return (
    <section className="panel stack" aria-labelledby="device-tickets">
      <h2 id="device-tickets">{t('nav.tickets')}</h2>
      {tickets.length === 0 && <p className="dim">{t('device.no-tickets')}</p>}
      {tickets.map((ticket) => (
        <div key={ticket.id} className="bar">
          <Severity of={ticket.severity} />
          <TicketLink id={ticket.id}>{language === 'zh' ? ticket.titleZh : ticket.title}</TicketLink>
          <Status of={ticket.status} />
          <span className="dim push">
            <Age at={ticket.openedAt} />
          </span>
        </div>
      ))}
      <Link to="/tickets" search={{ group: device, status: 'all' }}>
        {t('device.all-tickets')}
      </Link>
      <Link to="/quarantine" search={{ device }}>
        {t('device.quarantine')}
      </Link>
    </section>
  );
}

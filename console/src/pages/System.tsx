import { Button } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { api, bodyOf } from '../api/client.ts';
import { useLedger, useReady } from '../api/queries.ts';
import { useWords } from '../language.ts';
import { Reload } from '../parts/Reload.tsx';
import { toast } from '../parts/toasts.tsx';
import { Age } from '../parts/words.tsx';
import { refusalOf, useMay } from '../session.ts';
import { Ledger } from './now/Ledger.tsx';
import { Bridges } from './system/Bridges.tsx';
import { Measured } from './system/Measured.tsx';
import { Nodes } from './system/Nodes.tsx';

/** Whether Lamppost itself works: its parts, how far each is behind, space and backups. */
export function System() {
  const { t } = useWords();
  const ledger = useLedger();
  const mayQuarantine = useMay('quarantine.read');
  const mayBackups = useMay('backups.read');
  const mayMetrics = useMay('metrics.read');
  const mayReload = useMay('city.write');
  return (
    <>
      <h1>{t('nav.system')}</h1>
      <div className="columns">
        <div className="stack">
          <Parts />
          {ledger.data !== undefined && <Ledger ledger={ledger.data} />}
          {mayMetrics && <Nodes />}
          {mayMetrics && <Bridges />}
        </div>
        <div className="stack">
          {mayMetrics && <Measured />}
          {mayBackups && <Backups />}
          {mayQuarantine && <Space />}
          <section className="panel stack">
            {mayReload && <Reload />}
            <a href="/docs">{t('system.api')}</a>
            <a href="/public">{t('system.public')}</a>
          </section>
        </div>
      </div>
    </>
  );
}

function Parts() {
  const { t, number, duration } = useWords();
  const { data } = useReady();
  if (data === undefined) return null;
  return (
    <section className="panel" aria-labelledby="parts">
      <header>
        <h2 id="parts">{t('system.parts')}</h2>
        <span className={data.ready ? 'good push' : 'late push'}>
          {t(data.ready ? 'system.ready' : 'system.trouble')}
        </span>
      </header>
      <table className="list">
        <thead>
          <tr>
            <th>{t('system.part')}</th>
            <th>{t('column.state')}</th>
            <th className="num">{t('system.behind')}</th>
            <th className="num">{t('system.left')}</th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <td>{t('part.devices')}</td>
            <td>{t('state.ready')}</td>
            <td className="num">–</td>
            <td className="num">–</td>
          </tr>
          {(['rules', 'history'] as const).map((part) => {
            const { state, behindBlocks, secondsLeft } = data.parts[part];
            return (
              <tr key={part}>
                <td>{t(`part.${part}`)}</td>
                <td className={state === 'trouble' ? 'late' : ''}>{t(`state.${state}`)}</td>
                <td className="num">{number(behindBlocks)}</td>
                <td className="num">{secondsLeft === null ? '–' : duration(secondsLeft * 1_000)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}

function Space() {
  const { t, number } = useWords();
  const { data } = useQuery({
    queryKey: ['usage'],
    refetchInterval: 30_000,
    queryFn: () => bodyOf(api.GET('/api/v1/quarantine/usage')),
  });
  if (data === undefined) return null;
  return (
    <section className="panel" aria-labelledby="space">
      <header>
        <h2 id="space">{t('nav.quarantine')}</h2>
      </header>
      <dl className="facts">
        <dt>{t('system.space')}</dt>
        <dd>{`${number(data.bytes / 1_048_576)} MiB`}</dd>
        <dt>{t('system.dropped')}</dt>
        <dd>{number(data.dropped.messages)}</dd>
      </dl>
    </section>
  );
}

function Backups() {
  const { t, number } = useWords();
  const client = useQueryClient();
  const may = useMay('backups.write');
  const { data } = useQuery({
    queryKey: ['backup'],
    refetchInterval: ({ state }) => (state.data?.state === 'running' ? 1_000 : 60_000),
    // None since the start is no failure.
    queryFn: async () => (await api.GET('/api/v1/backup')).data ?? null,
  });
  const begin = useMutation({
    mutationFn: () => bodyOf(api.POST('/api/v1/backup', { body: {} })),
    onError: (error) => toast(refusalOf(error), true),
    onSettled: () => client.invalidateQueries({ queryKey: ['backup'] }),
  });
  return (
    <section className="panel stack" aria-labelledby="backups">
      <header>
        <h2 id="backups">{t('system.backup')}</h2>
        {may && (
          <Button
            className="push"
            variant="default"
            loading={begin.isPending || data?.state === 'running'}
            onClick={() => begin.mutate()}
          >
            {t('system.back-up')}
          </Button>
        )}
      </header>
      {data == null ? (
        <p className="dim">{t('system.no-backup')}</p>
      ) : (
        <dl className="facts">
          <dt>{t('column.state')}</dt>
          <dd className={data.state === 'failed' ? 'late' : ''}>{t(`backup.${data.state}`)}</dd>
          <dt>{t('system.where')}</dt>
          <dd>{data.path}</dd>
          <dt>{t('silence.from')}</dt>
          <dd>
            <Age at={data.startedAt} />
          </dd>
          {data.bytes !== null && (
            <>
              <dt>{t('system.space')}</dt>
              <dd>{`${number(data.bytes / 1_048_576)} MiB`}</dd>
            </>
          )}
          {data.error !== null && (
            <>
              <dt>{t('system.trouble')}</dt>
              <dd className="late">{data.error}</dd>
            </>
          )}
        </dl>
      )}
    </section>
  );
}

import { useMutation, useQuery } from '@tanstack/react-query';
import { api, bodyOf } from '../../api/client.ts';
import type { ShownTicket } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Small, Sure, useAct } from '../../parts/acting.tsx';
import { refusalOf, useMayIn } from '../../session.ts';

/**
 * What the citizen who reported a ticket filled in, and the photo. A photo elsewhere is a link: no other host is asked.
 */
export function Report({ id }: { readonly id: string }) {
  const { t, language } = useWords();
  const { data } = useQuery({
    queryKey: ['report', id],
    queryFn: () => bodyOf(api.GET('/api/v1/tickets/{id}/request', { params: { path: { id } } })),
  });
  if (data === undefined || (data.mediaUrl === null && data.answers.length === 0)) return null;
  const { mediaUrl, answers } = data;
  return (
    <section className="panel stack" aria-label={t('report')}>
      {answers.length > 0 && (
        <dl className="facts">
          {answers.flatMap(({ code, title, answer }) => [
            <dt key={code}>{title?.[language] ?? code}</dt>,
            <dd key={`${code} answer`}>{[answer].flat().join(', ')}</dd>,
          ])}
        </dl>
      )}
      {mediaUrl?.startsWith('/') && <img className="photo" src={mediaUrl} alt={t('photo')} />}
      {mediaUrl?.startsWith('https://') && (
        <a href={mediaUrl} target="_blank" rel="noopener noreferrer">
          {t('photo')}
        </a>
      )}
    </section>
  );
}

/**
 * Who reported a ticket. It is asked for only when somebody wants to know, since each access is in the audit trail, and
 * is not kept.
 */
export function Reporter({ ticket: { id, department } }: { readonly ticket: ShownTicket }) {
  const { t, time } = useWords();
  const mayIn = useMayIn();
  const act = useAct('ticket', 'tickets', 'report');
  const params = { path: { id } };
  const ask = useMutation({
    gcTime: 0,
    mutationFn: () => bodyOf(api.GET('/api/v1/tickets/{id}/reporter', { params })),
  });
  const remove = async () => {
    await bodyOf(api.DELETE('/api/v1/tickets/{id}/reporter', { params }));
    ask.reset();
  };
  if (!mayIn('reporters.read', department)) return null;
  const { name, email, phone, accountId, deviceId, reportedAt } = ask.data ?? {};
  const known = { name, email, 'reporter.phone': phone, 'reporter.account': accountId, 'reporter.device': deviceId };
  return (
    <section className="panel stack" aria-label={t('reporter')}>
      {ask.data === undefined ? (
        <div className="bar">
          <Small label={t('reporter.show')} busy={ask.isPending} onClick={() => ask.mutate()} />
          <span className="dim">{t('reporter.about')}</span>
        </div>
      ) : (
        <dl className="facts" id="reporter">
          {(Object.keys(known) as (keyof typeof known)[]).map((key) =>
            known[key] ? (
              <div key={key} style={{ display: 'contents' }}>
                <dt>{t(key)}</dt>
                <dd>{known[key]}</dd>
              </div>
            ) : null,
          )}
          <dt>{t('opened')}</dt>
          <dd>{time(reportedAt!)}</dd>
        </dl>
      )}
      {ask.error !== null && (
        <p role="alert" className="late">
          {refusalOf(ask.error)}
        </p>
      )}
      {mayIn('reporters.delete', department) && (
        <div className="bar">
          <Sure label={t('reporter.delete')} question={t('reporter.delete-sure')} run={() => act.mutate(remove)} />
        </div>
      )}
    </section>
  );
}

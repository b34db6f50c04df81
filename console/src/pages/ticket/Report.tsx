import { useQuery } from '@tanstack/react-query';
import { api, bodyOf } from '../../api/client.ts';
import { useWords } from '../../language.ts';

/** What the citizen who reported a ticket answered, and the photo. A photo elsewhere is a link: no other host is asked. */
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

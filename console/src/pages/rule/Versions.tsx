import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useWords } from '../../language.ts';

const Difference = lazy(async () => ({ default: (await import('./Editor.tsx')).Difference }));

interface Props {
  readonly rule: string;
  /** Puts the text of a version into the editor. */
  readonly use: (text: string) => void;
}

/** The versions of a rule, the newest first. */
export function Versions({ rule, use }: Props) {
  const { t, time } = useWords();
  const [compared, setCompared] = useState<number | null>(null);
  const { data } = useQuery({
    queryKey: ['rule-versions', rule],
    queryFn: () => bodyOf(api.GET('/api/v1/rules/{id}/history', { params: { path: { id: rule } } })),
  });
  if (data === undefined) return null;
  /** The text of the version before; null: there was none, or that change deleted it. */
  const before = (i: number) => data.items[i + 1]?.text ?? null;
  return (
    <section className="panel" aria-labelledby="versions">
      <header>
        <h2 id="versions">{t('history')}</h2>
      </header>
      <ol className="timeline">
        {data.items.map(({ number, version, by, at, note, text }, i) => (
          <li key={`${number} ${version} ${at}`}>
            <b>{number === null ? t('rule.of-file') : t('rule.version', { n: number })}</b>{' '}
            <span className="dim">{`${by}${at === null ? '' : ` · ${time(at)}`}`}</span>
            {note !== '' && <p>{note}</p>}
            {text !== null && (
              <p>
                <Button variant="default" size="compact-xs" onClick={() => use(text)}>
                  {t('rule.use')}
                </Button>{' '}
                {before(i) !== null && (
                  <Button
                    variant="default"
                    size="compact-xs"
                    aria-expanded={compared === i}
                    onClick={() => setCompared(compared === i ? null : i)}
                  >
                    {t('rule.compare')}
                  </Button>
                )}
              </p>
            )}
            {compared === i && text !== null && (
              <Suspense fallback={null}>
                <Difference label={t('rule.compare')} before={before(i) ?? ''} after={text} />
              </Suspense>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}

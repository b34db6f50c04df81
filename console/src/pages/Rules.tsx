import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api, bodyOf } from '../api/client.ts';
import type { Rule } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { Failure, Scroll, Severity } from '../parts/words.tsx';
import { useMay } from '../session.ts';
import { NEW_RULE } from './rule/drafts.ts';

/** All rules, from files and from here, and what keeps one out of force. */
export function Rules() {
  const { t } = useWords();
  const may = useMay('rules.write');
  const { data, error, refetch } = useQuery({
    queryKey: ['rules'],
    queryFn: () => bodyOf(api.GET('/api/v1/rules', { params: { query: { limit: 1000 } } })),
  });
  return (
    <>
      <div className="bar">
        <h1>{t('nav.rules')}</h1>
        <span className="push" />
        {may && (
          <Link className="pill" to="/rules/$id" params={{ id: NEW_RULE }}>
            {t('rule.new')}
          </Link>
        )}
      </div>
      {error !== null && <Failure error={error} again={() => void refetch()} />}
      {data !== undefined && (
        <div className="panel">
          <Scroll label={t('nav.rules')}>
            <RuleTable rules={data.items} />
          </Scroll>
        </div>
      )}
    </>
  );
}

const DAYS = 7;

/** How often each rule fired in the last days; null while it is not known. */
function useFired(): ReadonlyMap<string, number> | null {
  const { data } = useQuery({
    queryKey: ['rules-fired'],
    staleTime: 60_000,
    queryFn: () => bodyOf(api.GET('/api/v1/alerts/fired', { params: { query: { days: DAYS } } })),
  });
  return data === undefined ? null : new Map(data.counts.map(({ rule, fired }) => [rule, fired]));
}

function RuleTable({ rules }: { readonly rules: readonly Rule[] }) {
  const { t, term, language, number } = useWords();
  const fired = useFired();
  return (
    <table className="list" aria-label={t('nav.rules')}>
      <thead>
        <tr>
          <th>{t('column.severity')}</th>
          <th>{t('rule')}</th>
          <th>{t('column.title')}</th>
          <th>{t('rule.condition')}</th>
          <th className="num">{t('rule.fired', { n: DAYS })}</th>
          <th>{t('column.origin')}</th>
          <th>{t('column.state')}</th>
        </tr>
      </thead>
      <tbody>
        {rules.map(({ id, severity, title, titleZh, when, origin, inForce, problems }) => (
          <tr key={id}>
            <td>{severity !== undefined && <Severity of={severity} />}</td>
            <td className="nowrap">
              <Link to="/rules/$id" params={{ id }}>
                {id}
              </Link>
            </td>
            <td>{(language === 'zh' ? titleZh : title) ?? ''}</td>
            <td>{when === undefined ? '' : term('kind', when.kind)}</td>
            <td className="num" data-fired={id}>
              {fired === null ? '' : number(fired.get(id) ?? 0)}
            </td>
            <td className="dim">{origin.startsWith('file:') ? origin.slice(5) : t('rule.here')}</td>
            <td className={inForce ? 'good' : 'late'}>
              {inForce ? t('rule.in-force') : (problems[0]?.message ?? t('rule.not-in-force'))}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

import { Textarea } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useCity } from '../../api/queries.ts';
import { useWords } from '../../language.ts';
import type { Schema } from './complete.ts';

const Editor = lazy(() => import('./Editor.tsx'));

interface Props {
  readonly value: string;
  readonly change: (text: string) => void;
}

/** The text of a rule in an editor, whose code is loaded when it is shown. */
export function RuleText({ value, change }: Props) {
  const { t, language } = useWords();
  const city = useCity();
  const schema = useQuery({
    queryKey: ['rule-schema'],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: () => bodyOf(api.GET('/schemas/{name}.json', { params: { path: { name: 'rule' } } })),
  });
  const plain = <Textarea label={t('rule.text')} autosize minRows={12} readOnly value={value} />;
  return (
    <Suspense fallback={plain}>
      <Editor
        label={t('rule.text')}
        value={value}
        change={change}
        schema={schema.data as Schema | undefined}
        city={city.data}
        language={language}
      />
    </Suspense>
  );
}

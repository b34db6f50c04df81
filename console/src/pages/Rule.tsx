import { Button, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useParams } from '@tanstack/react-router';
import { useState } from 'react';
import { api, bodyOf, inFull } from '../api/client.ts';
import type { Rule as Shown } from '../api/schema.ts';
import { useWords } from '../language.ts';
import { Sure, useAct } from '../parts/acting.tsx';
import { toast } from '../parts/toasts.tsx';
import { Failure } from '../parts/words.tsx';
import { refusalOf, useMay } from '../session.ts';
import { Backtest } from './rule/Backtest.tsx';
import { withCondition } from './rule/condition.ts';
import { DRAFT, NEW_RULE } from './rule/drafts.ts';
import { RuleText } from './rule/RuleText.tsx';
import { Suggest } from './rule/Suggest.tsx';
import { Trial } from './rule/Trial.tsx';
import { Versions } from './rule/Versions.tsx';

/** A rule: its text, what it would do with a reading and would have done, and its versions. */
export function Rule() {
  const { id } = useParams({ from: '/rules/$id' });
  const { t } = useWords();
  const isNew = id === NEW_RULE;
  const { data, error, refetch } = useQuery({
    queryKey: ['rule', id],
    enabled: !isNew,
    queryFn: () => inFull(api.GET('/api/v1/rules/{id}', { params: { path: { id } } })),
  });
  if (error !== null && data === undefined) return <Failure error={error} again={() => void refetch()} />;
  if (data === undefined && !isNew) return <p className="dim">{t('loading')}</p>;
  // Another version, saved by somebody else, does not replace what is being written.
  return <Editing key={id} rule={isNew ? null : data!.data} etag={data?.etag ?? ''} />;
}

interface EditingProps {
  readonly rule: Shown | null;
  readonly etag: string;
}

function Editing({ rule, etag }: EditingProps) {
  const { t } = useWords();
  const mayTry = useMay('rules.try');
  const [text, setText] = useState(rule?.source ?? DRAFT);
  // The version that is being changed: what others save meanwhile is a conflict, not overwritten.
  const [base, setBase] = useState(etag);
  return (
    <>
      <div className="bar">
        <h1>{rule?.id ?? t('rule.new')}</h1>
        {rule !== null && (
          <span className={rule.inForce ? 'good' : 'late'}>
            {t(rule.inForce ? 'rule.in-force' : 'rule.not-in-force')}
          </span>
        )}
      </div>
      {rule?.problems.map(({ file, line, message }) => (
        <p key={`${line} ${message}`} className="late">{`${file}:${line}: ${message}`}</p>
      ))}
      <div className="columns">
        <div className="stack">
          <section className="panel stack" aria-label={t('rule.text')}>
            <h2>{t('rule.text')}</h2>
            <RuleText value={text} change={setText} />
            <p className="dim wide">{t('rule.keys')}</p>
            <Saving rule={rule} etag={base} text={text} saved={setBase} />
          </section>
          {mayTry && <Backtest text={text} />}
          {mayTry && <Suggest use={(when) => setText(withCondition(text, when))} />}
        </div>
        <div className="stack">
          {mayTry && <Trial text={text} />}
          {rule !== null && (
            <Versions
              rule={rule.id}
              use={(version) => {
                setText(version);
                setBase(etag);
              }}
            />
          )}
        </div>
      </div>
    </>
  );
}

interface SavingProps extends EditingProps {
  readonly text: string;
  /** Called with the tag of the version that was saved. */
  readonly saved: (etag: string) => void;
}

function Saving({ rule, etag, text, saved }: SavingProps) {
  const { t } = useWords();
  const client = useQueryClient();
  const navigate = useNavigate();
  const may = useMay('rules.write');
  const [note, setNote] = useState('');
  const save = useMutation({
    mutationFn: () =>
      rule === null
        ? inFull(api.POST('/api/v1/rules', { body: { text, note } }))
        : inFull(
            api.PUT('/api/v1/rules/{id}', {
              params: { path: { id: rule.id }, header: { 'If-Match': etag } },
              body: { text, note },
            }),
          ),
    onSuccess: async ({ data: { id }, etag: made }) => {
      saved(made);
      toast(t('rule.saved', { id }));
      setNote('');
      for (const key of ['rules', 'rule', 'rule-versions']) await client.invalidateQueries({ queryKey: [key] });
      await navigate({ to: '/rules/$id', params: { id } });
    },
  });
  const act = useAct('rules', 'rule');
  const remove = async () => {
    const params = { path: { id: rule!.id }, query: { note }, header: { 'If-Match': etag } };
    await bodyOf(api.DELETE('/api/v1/rules/{id}', { params }));
    const text = rule!.source;
    const undo = async () => {
      await bodyOf(api.POST('/api/v1/rules', { body: { text, note: t('undone') } }));
      toast(t('rule.saved', { id: rule!.id }));
    };
    toast(t('rule.deleted', { id: rule!.id }), false, () => act.mutate(undo));
    await navigate({ to: '/rules' });
  };
  if (rule?.readOnly === true) return <p className="dim">{t('rule.in-file', { file: rule.origin.slice(5) })}</p>;
  if (!may) return null;
  return (
    <>
      <TextInput
        label={t('rule.note')}
        maxLength={1_000}
        value={note}
        onChange={(event) => setNote(event.currentTarget.value)}
      />
      {save.error !== null && (
        <p role="alert" className="late">
          {refusalOf(save.error)}
        </p>
      )}
      <div className="bar">
        <Button loading={save.isPending} onClick={() => save.mutate()}>
          {t('rule.save')}
        </Button>
        {rule !== null && (
          <Sure
            label={t('rule.delete')}
            question={t('rule.delete-sure', { id: rule.id })}
            run={() => act.mutate(remove)}
          />
        )}
      </div>
    </>
  );
}

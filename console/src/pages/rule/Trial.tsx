import { Button, SegmentedControl, Textarea, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useWords } from '../../language.ts';
import { refusalOf } from '../../session.ts';

/** Tries the rule, as it is written now, on a reading of a device. */
export function Trial({ text }: { readonly text: string }) {
  const { t, language } = useWords();
  const [device, setDevice] = useState('');
  const [kind, setKind] = useState<'reading' | 'message'>('reading');
  const [topic, setTopic] = useState('');
  const [reading, setReading] = useState('{"metrics": {"fill": 95}}');
  const trial = useMutation({
    mutationFn: async () => {
      const sent = JSON.parse(reading) as Record<string, unknown>;
      const tried =
        kind === 'reading'
          ? { readings: [sent] }
          : { message: { topic: topic.trim() || `devices/${device}/readings`, payload: sent } };
      return bodyOf(api.POST('/api/v1/rules/try', { body: { rule: text, device, ...tried } }));
    },
  });
  const isJson = !(trial.error instanceof SyntaxError);
  return (
    <form
      className="panel stack"
      aria-label={t('trial')}
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        trial.mutate();
      }}
    >
      <h2>{t('trial')}</h2>
      <TextInput
        label={t('column.device')}
        required
        value={device}
        onChange={(event) => setDevice(event.currentTarget.value)}
      />
      <SegmentedControl
        aria-label={t('trial.what')}
        value={kind}
        onChange={(value) => setKind(value as typeof kind)}
        data={(['reading', 'message'] as const).map((value) => ({ value, label: t(`trial.${value}`) }))}
      />
      {kind === 'message' && (
        <TextInput
          label={t('trial.topic')}
          placeholder={`devices/${device || '…'}/readings`}
          maxLength={500}
          value={topic}
          onChange={(event) => setTopic(event.currentTarget.value)}
        />
      )}
      <Textarea
        label={t(kind === 'reading' ? 'trial.json-reading' : 'trial.payload')}
        autosize
        minRows={2}
        spellCheck={false}
        classNames={{ input: 'mono' }}
        value={reading}
        error={isJson ? undefined : t('trial.json')}
        onChange={(event) => setReading(event.currentTarget.value)}
      />
      <Button type="submit" variant="default" loading={trial.isPending}>
        {t('trial.run')}
      </Button>
      {trial.error !== null && isJson && (
        <p role="alert" className="late">
          {refusalOf(trial.error)}
        </p>
      )}
      {trial.data?.steps.map(({ at, refused, would, wouldZh, explanation }) => (
        <div key={at} className="stack" id="trial-result">
          {refused.map(({ detail }) => (
            <p key={detail} className="late">
              {detail}
            </p>
          ))}
          <b>{language === 'zh' ? wouldZh : would}</b>
          <p className="dim">{explanation.text[language]}</p>
        </div>
      ))}
    </form>
  );
}

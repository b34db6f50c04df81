import { Button, Modal, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useWords } from '../../language.ts';
import { toast } from '../../parts/toasts.tsx';
import { Failure } from '../../parts/words.tsx';
import { refusalOf, useMay } from '../../session.ts';
import { Remedy } from './Remedy.tsx';
import { Replay } from './Replay.tsx';

interface Props {
  readonly id: string;
  readonly close: () => void;
}

/** One refusal: what was sent and what its format makes of it, side by side. */
export function Detail({ id, close }: Props) {
  const { t, term, time } = useWords();
  const may = useMay('quarantine.write');
  const { data, error } = useQuery({
    queryKey: ['quarantined', id],
    queryFn: () => bodyOf(api.GET('/api/v1/quarantine/{id}', { params: { path: { id } } })),
  });
  return (
    <Modal
      opened
      onClose={close}
      size="xl"
      title={data === undefined ? id : term('fault', data.reason)}
      closeButtonProps={{ 'aria-label': t('close') }}
    >
      {error !== null && <Failure error={error} />}
      {data !== undefined && (
        <div className="stack">
          <p>{data.detail}</p>
          <p className="dim">{`${data.topic} · ${time(data.receivedAt)} · ${data.paths.join(', ') || data.path}`}</p>
          <div className="columns">
            <div className="stack">
              <h2>{t('quarantine.raw')}</h2>
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be reached by the keyboard. */}
              <pre className="code" tabIndex={0}>
                {textOf(data.raw)}
              </pre>
            </div>
            <div className="stack">
              <h2>{t('quarantine.decoded')}</h2>
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be reached by the keyboard. */}
              <pre className="code" tabIndex={0}>
                {JSON.stringify(data.decoded, null, 2)}
              </pre>
            </div>
          </div>
          <Remedy entry={data} />
          {may && <Deciding id={id} close={close} />}
        </div>
      )}
    </Modal>
  );
}

/** The payload as text; of bytes that are none, hexadecimal digits. */
function textOf(base64: string): string {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  }
}

function Deciding({ id, close }: Props) {
  const { t } = useWords();
  const client = useQueryClient();
  const [note, setNote] = useState('');
  const decide = useMutation({
    mutationFn: () => bodyOf(api.POST('/api/v1/quarantine/discard', { body: { ids: [id], note } })),
    onSuccess: () => {
      toast(t('done'));
      close();
    },
    onError: (error) => toast(refusalOf(error), true),
    onSettled: () => client.invalidateQueries({ queryKey: ['quarantine'] }),
  });
  return (
    <div className="bar">
      <Replay
        label={t('quarantine.replay-one')}
        body={{ ids: [id] }}
        ended={({ refusedAgain, state }) => {
          if (state !== 'done' || refusedAgain > 0) return;
          toast(t('done'));
          close();
        }}
      />
      <TextInput
        aria-label={t('quarantine.why')}
        placeholder={t('quarantine.why')}
        value={note}
        onChange={(event) => setNote(event.currentTarget.value)}
      />
      <Button variant="default" disabled={note.trim() === ''} onClick={() => decide.mutate()}>
        {t('quarantine.discard')}
      </Button>
    </div>
  );
}

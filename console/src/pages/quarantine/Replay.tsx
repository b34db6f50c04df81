import { Button } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import type { Replay as Job, Quarantined } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { toast } from '../../parts/toasts.tsx';
import { refusalOf, useMay } from '../../session.ts';

interface Props {
  readonly label: string;
  /** What is replayed. */
  readonly body: { readonly ids: string[] } | { readonly device?: string; readonly reason?: Quarantined['reason'] };
  /** Called with what became of it. */
  readonly ended?: (job: Job) => void;
}

/** Replays what was refused, shows how far it is, and cancels it. */
export function Replay({ label, body, ended = () => {} }: Props) {
  const { t } = useWords();
  const client = useQueryClient();
  const may = useMay('quarantine.write');
  const [job, setJob] = useState<string | null>(null);
  const refused = (error: unknown) => toast(refusalOf(error), true);
  const begin = useMutation({
    mutationFn: () => bodyOf(api.POST('/api/v1/quarantine/replay', { body })),
    onSuccess: ({ id }) => setJob(id),
    onError: refused,
  });
  const params = { path: { id: job! } };
  const cancel = useMutation({
    mutationFn: () => bodyOf(api.DELETE('/api/v1/quarantine/replays/{id}', { params })),
    onError: refused,
  });
  const { data } = useQuery({
    queryKey: ['replay', job],
    enabled: job !== null,
    refetchInterval: ({ state }) => (state.data?.state === 'running' || state.data === undefined ? 500 : false),
    queryFn: async () => {
      const found = await bodyOf(api.GET('/api/v1/quarantine/replays/{id}', { params }));
      if (found.state !== 'running') {
        for (const key of ['quarantine', 'quarantine-groups']) void client.invalidateQueries({ queryKey: [key] });
        ended(found);
      }
      return found;
    },
  });
  if (!may) return null;
  const isRunning = begin.isPending || data?.state === 'running';
  return (
    <>
      <Button loading={isRunning} onClick={() => begin.mutate()}>
        {label}
      </Button>
      {isRunning && (
        <Button variant="subtle" loading={cancel.isPending} onClick={() => cancel.mutate()}>
          {t('cancel')}
        </Button>
      )}
      {data !== undefined && (
        <span role="status" className={data.state === 'failed' ? 'late' : 'dim'} id="replay">
          {t('quarantine.progress', { done: data.settled, all: data.entries, again: data.refusedAgain })}
          {data.state === 'cancelled' && ` ${t('quarantine.cancelled')}`}
          {data.error !== null && ` ${data.error}`}
        </span>
      )}
    </>
  );
}

import { Button } from '@mantine/core';
import { api, bodyOf } from '../api/client.ts';
import { useWords } from '../language.ts';
import { useAct } from './acting.tsx';
import { toast } from './toasts.tsx';

/** Reads the city folder again; where it has mistakes, they are shown and the old city stays in force. */
export function Reload() {
  const { t } = useWords();
  const act = useAct('city');
  const reload = async () => {
    const { changed } = await bodyOf(api.POST('/api/v1/city/reload'));
    toast(t(changed ? 'system.reloaded' : 'system.unchanged'));
  };
  return (
    <Button variant="default" onClick={() => act.mutate(reload)} loading={act.isPending}>
      {t('system.reload')}
    </Button>
  );
}

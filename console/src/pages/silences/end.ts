import { api, bodyOf } from '../../api/client.ts';
import type { ShownSilence } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { useAct } from '../../parts/acting.tsx';
import { toast } from '../../parts/toasts.tsx';

/** Returns the function that ends a silence. To undo that makes another one like it, until the same time. */
export function useEndSilence(): (silence: ShownSilence) => void {
  const { t } = useWords();
  const act = useAct('silences', 'silence-times', 'ticket', 'tickets');
  async function again({ matchers, startsAt, endsAt, calendar, comment }: ShownSilence) {
    const later = Date.parse(startsAt) > Date.now() ? { startsAt } : {};
    await bodyOf(api.POST('/api/v1/silences', { body: { matchers, ...later, endsAt, calendar, comment } }));
    toast(t('undone'));
  }
  return (silence) =>
    act.mutate(async () => {
      await bodyOf(api.DELETE('/api/v1/silences/{id}', { params: { path: { id: silence.id } } }));
      toast(t('silence.ended'), false, () => act.mutate(() => again(silence)));
    });
}
